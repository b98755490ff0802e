"""When the router started, as a number that is the same until it starts again, whatever any clock does.

The router itself keeps it, in a line that it forgets at a restart: a dynamic one in an address list that no rule names.
A clock cannot say it to the second for months. Where the router refuses such a line, our own memory has to do.
"""

from __future__ import annotations

from bawaba.routers.driver import GatewayError, Reason, RouterAuthFailed, RouterRejected, RouterUnreachable, Unsupported
from bawaba.routers.drivers.routeros import words
from bawaba.routers.drivers.routeros.box import USER, Box, answer_error, understood
from bawaba.routers.drivers.routeros.client import Reply, command, reading
from bawaba.routers.drivers.routeros.refusals import is_rejected

RESOURCE = "/system/resource"
PATH, LIST = "/ip/firewall/address-list", "bawaba-boot"
ADDRESS = "192.0.2.1"  # a documentation address (RFC 5737)
KEY = "boot"
SAME_BOOT_MS = 60_000
WARM_S = 60
QUESTION = reading(PATH, "comment", f"?list={LIST}")
UPTIME = reading(RESOURCE, "uptime")
_boots: dict[tuple[str, int, str], int] = {}  # by host, port and installation


async def boot_of(box: Box, uptime: str, marks: Reply | GatewayError) -> int:
    """The start's number (ms, by our clock if that has not been set back), from the answers to `UPTIME` and `QUESTION`.

    It is later than the epoch of every session from before the start; those that begin now are to be later than it.
    """
    if (known := _kept(box, marks)) is not None:
        return known
    (sessions,) = await box.api.read(reading(USER, "comment", f"?email={words.mark(box.install, 'session')}"))
    epochs = [tag.epoch for row in sessions if (tag := box.tag_of(row)) is not None]
    with understood():
        started = max([box.now_ms() - 1000 * words.seconds(uptime), *(epoch + 1 for epoch in epochs)])
    refused = answer_error(marks) or await _keep(box, started)
    if refused is None:
        return started
    if is_rejected(refused, Reason.DUPLICATE):  # another process of ours was first
        again = (await box.api.ask_all([QUESTION]))[0]
        if (known := _kept(box, again)) is not None:
            return known
    if not isinstance(refused, RouterRejected | Unsupported | RouterAuthFailed):
        raise refused
    return _remembered(box, started)


async def must_be_up(box: Box) -> None:
    """Where a list came back empty: in the first minute a router answers before its hotspot is there, and what it says
    of users then is not so. Raises `RouterUnreachable`."""
    servers, resource = await box.api.read(reading("/ip/hotspot", ".id"), UPTIME)
    with understood():
        if not servers and words.seconds(resource[0].get("uptime", "")) < WARM_S:
            raise RouterUnreachable("the router has just started, and its hotspot is not there yet")


async def _keep(box: Box, started: int) -> GatewayError | None:
    line = {
        "list": LIST,
        "address": ADDRESS,
        "timeout": "none-dynamic",
        "comment": str(words.Tag(box.install, KEY, 0, started)),
    }
    return answer_error((await box.api.ask_all([command(f"{PATH}/add", line)]))[0])


def _kept(box: Box, marks: Reply | GatewayError) -> int | None:
    rows = marks.rows if isinstance(marks, Reply) else []
    return next((tag.epoch for row in rows if (tag := box.tag_of(row)) is not None and tag.key == KEY), None)


def _remembered(box: Box, started: int) -> int:
    place = (box.api.way.host, box.api.way.port, box.install)
    if abs(_boots.get(place, 0) - started) > SAME_BOOT_MS:
        _boots[place] = started
    return _boots[place]
