"""What can go wrong around plans."""

from __future__ import annotations

from bawaba.core.errors import Conflict, NotFound
from bawaba.web.messages import say


class PlanNotFound(NotFound):
    """Not there, or of a site that the caller does not see."""


class PlanArchived(Conflict):
    """No new cards of a plan that was put away."""

    code = "plan_archived"


say(plan_archived="This plan was put away. Bring it back to make new cards of it.")
