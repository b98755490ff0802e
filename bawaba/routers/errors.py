"""What can go wrong with a router, for the person who looks after it."""

from __future__ import annotations

from bawaba.core.errors import Conflict, Invalid, NotFound, Unavailable
from bawaba.web.messages import say


class RouterNotFound(NotFound):
    """There is no such router at a site that the caller sees."""

    code = "router_not_found"


class UnknownDriver(Invalid):
    """No driver has this name."""

    code = "unknown_driver"


class RouterUnreachableNow(Unavailable):
    """The router does not answer, and neither does a spare."""

    code = "router_unreachable"


class RouterInUse(Conflict):
    """Guests are online through this router."""

    code = "router_in_use"


class JobNotFound(NotFound):
    """There is no such job."""

    code = "job_not_found"


class JobIsDone(Conflict):
    """The job is done; there is nothing left to decide about it."""

    code = "job_is_done"


class JobStays(Conflict):
    """This work is about its own router: another one could not do it."""

    code = "job_stays"


say(
    router_not_found="There is no such router here.",
    unknown_driver="No driver has this name. Known ones: %(known)s.",
    router_unreachable="The router does not answer at the moment. Your card is untouched; try again in a minute.",
    router_in_use="Guests are online through this router (%(online)s). End their sessions first, or confirm that they "
    "are sent off.",
    job_not_found="There is no such job here.",
    job_stays="This work is about this very router, so no other one can do it. Try it again, or give it up.",
    job_is_done="This job is done already.",
)
