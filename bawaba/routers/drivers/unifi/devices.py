"""Trusted and blocked devices. Those that the controller's owner blocked are never touched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bawaba.routers.driver import Reason, RouterRejected
from bawaba.routers.drivers.unifi import notes
from bawaba.routers.drivers.unifi.access import as_it_is, disconnect, places_of
from bawaba.routers.drivers.unifi.box import Box, Place, understood
from bawaba.routers.drivers.unifi.notes import BLOCKED, TRUSTED, Mark
from bawaba.routers.drivers.unifi.units import LONGEST_MINUTES


async def set_devices(box: Box, trusted: Sequence[str], blocked: Sequence[str]) -> None:
    """Make these the devices that we trust and block, no others."""
    wanted = dict.fromkeys(trusted, TRUSTED) | dict.fromkeys(blocked, BLOCKED)
    found = {place.mac: place for place in places_of(*await asyncio.gather(box.users(), box.stations()))}
    for mac, place in found.items():
        mark = notes.device_mark(place.note, box.install)
        if mark is not None and wanted.get(mac) != mark.key:
            async with box.turn(mac):
                await _undo(box, mac, mark)
    for mac, key in wanted.items():
        async with box.turn(mac):
            await (_trust if key == TRUSTED else _block)(box, mac, found.get(mac))


async def _undo(box: Box, mac: str, mark: Mark) -> None:
    if mark.key == BLOCKED:
        await box.command("unblock-sta", mac)
    else:
        await box.command("unauthorize-guest", mac)
        await disconnect(box, mac)
    place = await as_it_is(box, mac)
    if notes.device_mark(place.note, box.install) is not None:
        await box.write_note(place.user_id, notes.without_mark(place.note, box.install, device=True))


async def _trust(box: Box, mac: str, place: Place | None) -> None:
    """Let a device through for as long as a controller lets anybody."""
    await _mark(box, mac, place, TRUSTED)
    await box.command("authorize-guest", mac, minutes=LONGEST_MINUTES)


async def _block(box: Box, mac: str, place: Place | None) -> None:
    """Keep a device out, unless the owner does so already."""
    is_ours = place is not None and notes.device_mark(place.note, box.install) is not None
    if place is not None and place.user is not None and place.user.get("blocked") and not is_ours:
        return
    await _mark(box, mac, place, BLOCKED)
    await box.command("unauthorize-guest", mac)
    await box.command("block-sta", mac)


async def _mark(box: Box, mac: str, place: Place | None, key: str) -> None:
    """Write our mark behind what stands in the client's note now; a client that is not known is made."""
    mark = Mark(box.install, key)
    if place is not None and notes.device_mark(place.note, box.install) == mark:
        return
    if place is None and await _make(box, mac, str(mark)):
        return
    now = await as_it_is(box, mac)
    if now.user is None and now.station is None:
        raise RouterRejected("the controller knows this device and does not show it", Reason.UNKNOWN_CLIENT)
    await box.write_note(now.user_id, notes.with_mark(now.note, mark))


async def _make(box: Box, mac: str, note: str) -> bool:
    """Make a client's record; False where there is one."""
    sent = {"objects": [{"data": {"mac": mac, "note": note, "noted": True}}]}
    rows = await box.api.classic("POST", "group/user", sent)
    with understood():
        return not rows or (rows[0].get("meta") or {}).get("rc") != "error"
