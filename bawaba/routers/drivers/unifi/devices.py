"""Trusted and blocked devices. Those that the controller's owner blocked are never touched."""

from __future__ import annotations

from collections.abc import Sequence

from bawaba.routers.driver import Reason, RouterProtocolError, RouterRejected
from bawaba.routers.drivers.unifi import notes
from bawaba.routers.drivers.unifi.access import station_of
from bawaba.routers.drivers.unifi.box import Box, Place, understood
from bawaba.routers.drivers.unifi.client import Row
from bawaba.routers.drivers.unifi.notes import BLOCKED, TRUSTED, Mark
from bawaba.routers.drivers.unifi.refusals import is_rejected
from bawaba.routers.drivers.unifi.units import LONGEST_MINUTES


async def set_devices(box: Box, trusted: Sequence[str], blocked: Sequence[str]) -> None:
    """Make these the devices that we trust and block, no others."""
    wanted = dict.fromkeys(trusted, TRUSTED) | dict.fromkeys(blocked, BLOCKED)
    users = await box.users()
    for mac, user in users.items():
        mark = notes.device_mark(user.get("note"), box.install)
        if mark is not None and wanted.get(mac) != mark.key:
            await _undo(box, Place(mac, user, None), mark)
    for mac, key in wanted.items():
        known = users.get(mac)
        is_ours = known is not None and notes.device_mark(known.get("note"), box.install) is not None
        if key == TRUSTED:
            await _trust(box, mac, known)
        elif is_ours or known is None or not known.get("blocked"):  # else the owner has done it
            await _block(box, mac, known)


async def _undo(box: Box, place: Place, mark: Mark) -> None:
    if mark.key == BLOCKED:
        await box.command("unblock-sta", place.mac)
    else:
        await box.command("unauthorize-guest", place.mac)
        await _disconnect(box, place.mac)
    await box.write_note(place.user_id, notes.without_mark(await _note(box, place), box.install, device=True))


async def _note(box: Box, place: Place) -> object:
    """The note as it is now."""
    return ((await box.users()).get(place.mac) or {}).get("note")


async def _trust(box: Box, mac: str, user: Row | None) -> None:
    """Let a device through for as long as a controller lets anybody."""
    await _mark(box, mac, user, TRUSTED)
    await box.command("authorize-guest", mac, minutes=LONGEST_MINUTES)


async def _block(box: Box, mac: str, user: Row | None) -> None:
    await _mark(box, mac, user, BLOCKED)
    await box.command("unauthorize-guest", mac)
    await box.command("block-sta", mac)


async def _mark(box: Box, mac: str, user: Row | None, key: str) -> None:
    mark = Mark(box.install, key)
    station = None if user is not None else await station_of(box, mac)
    if user is None and station is None:
        if await _make(box, mac, str(mark)):
            return
        raise RouterProtocolError("the controller knows a client and does not show it")
    place = Place(mac, user, station)
    if notes.device_mark(place.note, box.install) != mark:
        await box.write_note(place.user_id, notes.with_mark(place.note, mark))


async def _make(box: Box, mac: str, note: str) -> bool:
    """Make a client's record; False where there is one."""
    sent = {"objects": [{"data": {"mac": mac, "note": note, "noted": True}}]}
    rows = await box.api.classic("POST", "group/user", sent)
    with understood():
        return not rows or (rows[0].get("meta") or {}).get("rc") != "error"


async def _disconnect(box: Box, mac: str) -> None:
    try:
        await box.command("kick-sta", mac)
    except RouterRejected as error:
        if not is_rejected(error, Reason.UNKNOWN_CLIENT, Reason.NOT_FOUND):
            raise
