"""What can go wrong with an installation as a whole."""

from __future__ import annotations

from bawaba.core.errors import Conflict
from bawaba.web.messages import say


class UpgradeFailed(Conflict):
    """The new version's shape does not hold; what was there before is there again."""

    code = "upgrade_failed"


class AlreadyPostgresql(Conflict):
    """There is nothing to move."""

    code = "move_nothing"


class TargetNotEmpty(Conflict):
    """Somebody's data is there."""

    code = "move_not_empty"


class MoveFailed(Conflict):
    """What arrived is not what was sent; nothing of it is kept."""

    code = "move_failed"


say(
    upgrade_failed="The database could not be brought to this version: %(why)s. It is again as it was before. "
    "A copy of it is in %(copy)s.",
    move_nothing="These data are in PostgreSQL already.",
    move_not_empty="There are data in that database already. Give an empty one.",
    move_failed="What arrived is not what was sent (%(why)s). Nothing was kept there, and nothing has changed here.",
)
