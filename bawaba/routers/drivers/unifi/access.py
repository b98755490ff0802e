"""Letting a device in, and putting it out so that it stays out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bawaba.routers.driver import (
    Client,
    GatewayError,
    Grant,
    Reason,
    Result,
    RouterAuthFailed,
    RouterRejected,
    RouterSession,
    Unsupported,
)
from bawaba.routers.drivers.unifi import counting, notes, units
from bawaba.routers.drivers.unifi.box import Box, Place, identity, understood
from bawaba.routers.drivers.unifi.client import Row
from bawaba.routers.drivers.unifi.notes import Mark
from bawaba.routers.drivers.unifi.refusals import is_rejected

TRY_AGAIN_S = 0.5
TRIES = 4
ROUNDS = 3
NO_MAC = "this gateway knows devices by their MAC"


async def admit(box: Box, grant: Grant, client: Client) -> RouterSession:
    """Let a device in; asked twice, the newer limits hold. The mark is written first, so that a device that is let in
    is never without one; `Mark.before` tells a right that is still to be given from one that is."""
    units.native(grant.limits, box.clock.now())  # nothing left: nothing is asked
    if client.mac is None:
        raise RouterRejected(NO_MAC, Reason.UNKNOWN_CLIENT)
    async with box.turn(client.mac):
        session, elsewhere = await _let_in(box, grant, client.mac)
    for other in elsewhere:
        await put_out(box, other, grant.key)
    return session


async def _let_in(box: Box, grant: Grant, mac: str) -> tuple[RouterSession, list[Place]]:
    """The session, and other devices that are in by the same right."""
    place, elsewhere = await _find(box, grant, mac)
    mark = place.mark(box.install)
    if mark is not None and (mark.key, mark.rev) == (grant.key, grant.rev) and place.holds(mark):
        return counting.session_of(box, mark, place), elsewhere
    limits, wanted = _wanted(box, grant, place, mark)
    await box.write_note(place.user_id, notes.with_mark(place.note, wanted))
    try:
        place.granted = await _authorise(box, place, limits)
    except (RouterRejected, RouterAuthFailed, Unsupported):
        await box.write_note(place.user_id, str(place.note or ""))  # as it was read
        raise
    return counting.session_of(box, wanted, place), elsewhere


async def _find(box: Box, grant: Grant, mac: str) -> tuple[Place, list[Place]]:
    """Where the device is, and other devices that are in by the same right. Raises `RouterRejected` for one that may
    not be let in, or that the controller does not see."""
    seen, users = await asyncio.gather(station_of(box, mac), box.users())
    user = users.get(mac)
    if user is not None and user.get("blocked"):
        raise RouterRejected("the device is blocked at the controller")
    station = seen or await _seen_soon(box, mac)
    if station.get("is_guest") is False:
        raise RouterRejected("the device is not in a hotspot network")
    place = Place(mac, user, station)
    mark = place.mark(box.install)
    others = [other for other in _with_keys(box, places_of(users, []), {grant.key}) if other.mac != mac]
    if mark is not None or station.get("authorized") is not False:
        since = mark.since if mark is not None else None
        place.granted = (await box.authorisations(since)).get(mac)
    return place, others


async def _seen_soon(box: Box, mac: str) -> Row:
    """The connection of a device that has just joined, and is not seen yet."""
    for _ in range(TRIES):
        await asyncio.sleep(TRY_AGAIN_S)
        found = await station_of(box, mac)
        if found is not None:
            return found
    raise RouterRejected("the controller does not see this device", Reason.UNKNOWN_CLIENT)


async def station_of(box: Box, mac: str) -> Row | None:
    """A device's connection, if it has one."""
    try:
        rows = await box.api.classic("GET", f"stat/sta/{mac}")
    except RouterRejected as error:
        if is_rejected(error, Reason.UNKNOWN_CLIENT, Reason.NOT_FOUND):
            return None
        raise
    return next((row for row in rows if str(row.get("mac", "")).lower() == mac), None)


def _wanted(box: Box, grant: Grant, place: Place, mark: Mark | None) -> tuple[units.Native, Mark]:
    """What is to be granted, and the mark for it. A session that goes on counts on."""
    assert place.station is not None
    before = identity(place.granted) if place.granted is not None else ""
    if mark is None or mark.key != grant.key:
        if mark is not None:
            box.memory.keep_replaced(mark.key, _as_ended(counting.session_of(box, mark, place)))
        limits = units.native(grant.limits, box.clock.now())
        up, down = counting.bytes_of(place.station)
        epoch = max(box.now_ms(), mark.epoch + 1 if mark is not None else 0)
        start = Mark(
            box.install, grant.key, grant.rev, epoch, box.now_ms(), counting.association(place.station), up, down
        )
        return limits, replace(start, quota=limits.quota, before=before)
    if not counting.is_same_life(box, mark, place.mac, place.station):
        mark = counting.next_life(box, mark, place)
    now_used = sum(counting.used(box, mark, place))
    limits = units.native(grant.limits, box.clock.now(), _unbooked(box, mark, now_used))
    quota = None if limits.quota is None else now_used + limits.quota
    if mark.rev == grant.rev and mark.quota is not None:  # asked twice for the same, it allows no more than once
        quota = mark.quota if quota is None else min(mark.quota, quota)
        if quota <= now_used:
            raise RouterRejected("its data is used up", Reason.LIMIT_REACHED)
    limits = replace(limits, quota=None if quota is None else quota - now_used)
    return limits, replace(mark, rev=grant.rev, since=box.now_ms(), quota=quota, before=before)


def _unbooked(box: Box, mark: Mark, now_used: int) -> int:
    """The bytes since the reading from which the limits were worked out: the last one that was told."""
    epoch, up, down = box.memory.told.get(mark.key, (0, 0, 0))
    return max(0, now_used - up - down) if epoch == mark.epoch else 0


def _as_ended(session: RouterSession) -> RouterSession:
    return replace(session, raw={"ended": "replaced"})


async def _authorise(box: Box, place: Place, limits: units.Native) -> Row:
    """Let the device through; the authorisation is returned."""
    assert place.station is not None
    rows = await box.command(
        "authorize-guest",
        place.mac,
        minutes=limits.minutes,
        up=limits.up_kbps,
        down=limits.down_kbps,
        bytes=limits.megabytes,
        ap_mac=place.station.get("ap_mac"),
    )
    return rows[0] if rows else {"_id": "new"}


# --- the other way


async def kick(box: Box, target: RouterSession | Client) -> RouterSession | None:
    """End a device's session, with its last counters; None where nobody was there."""
    client = target if isinstance(target, Client) else target.client
    key = None if isinstance(target, Client) else target.key
    if key is None:
        return await _kick_device(box, client)
    last: RouterSession | None = box.memory.replaced.get(key)
    async with box.turn(client.mac or ""):
        found = _with_keys(box, await _everybody(box), {key})
        for place in (place for place in found if place.mac == client.mac):
            last = await _put_out(box, place)
    for place in (place for place in found if place.mac != client.mac):
        last = await put_out(box, place, key) or last
    last = last or await _kick_unmarked(box, client)
    box.memory.replaced.pop(key, None)  # a kick that was cut short is asked for again, and must find it
    return last


async def _kick_unmarked(box: Box, client: Client) -> RouterSession | None:
    """Put a device out that has no mark any more, for somebody has wiped its note; or that is away, where a controller
    shows no notes then. One that has gone on with another right stays."""
    if client.mac is None:
        return None
    async with box.turn(client.mac):
        place = await as_it_is(box, client.mac)
        if notes.marks_in(place.note):
            return None
        if place.station is None:
            await box.command("unauthorize-guest", client.mac)
        elif place.station.get("authorized") and place.station.get("is_guest") is not False:
            return await _put_out(box, place)
    return None


async def _kick_device(box: Box, client: Client) -> RouterSession | None:
    """Put a device out, whatever lets it in."""
    if client.mac is None:
        raise RouterRejected(NO_MAC, Reason.UNKNOWN_CLIENT)
    async with box.turn(client.mac):
        place = await as_it_is(box, client.mac)
        if place.mark(box.install) is None and not (place.station or {}).get("authorized"):
            return None
        return await _put_out(box, place)


async def put_out(box: Box, place: Place, key: str) -> RouterSession | None:
    """Put a device out, if it is in by this right still."""
    async with box.turn(place.mac):
        place = await as_it_is(box, place.mac)
        mark = place.mark(box.install)
        return await _put_out(box, place) if mark is not None and mark.key == key else None


async def as_it_is(box: Box, mac: str) -> Place:
    """How a device stands now."""
    station, users = await asyncio.gather(station_of(box, mac), box.users())
    return Place(mac, users.get(mac), station)


async def _put_out(box: Box, place: Place) -> RouterSession:
    """In this order, for a device that is disconnected comes back at once: the right ends, what it has used is read and
    kept, it is disconnected, and only then our mark goes, so that whoever asks again finds what is left to do."""
    note, user_id, mark = place.note, place.user_id, place.mark(box.install)
    for _ in range(ROUNDS):
        await box.command("unauthorize-guest", place.mac)
        place.station, granted = await asyncio.gather(
            station_of(box, place.mac), box.authorisations(mark.since if mark is not None else None)
        )
        place.granted = granted.get(place.mac)
        if place.granted is None:
            break
    last = _last(box, mark, place)
    if mark is not None:
        box.memory.keep_replaced(mark.key, last)
    if place.station is not None:
        await disconnect(box, place.mac)
    if mark is not None:
        await box.write_note(user_id, notes.without_mark(note, box.install, device=False))
        box.memory.replaced.pop(mark.key, None)
    box.memory.seen.pop(place.mac, None)
    return last


async def disconnect(box: Box, mac: str) -> None:
    """Disconnect a device; one that has left by itself is fine."""
    try:
        await box.command("kick-sta", mac)
    except RouterRejected as error:
        if not is_rejected(error, Reason.UNKNOWN_CLIENT, Reason.NOT_FOUND):
            raise


def _last(box: Box, mark: Mark | None, place: Place) -> RouterSession:
    if mark is not None:
        return replace(counting.session_of(box, mark, place), raw={"ended": "kicked"})
    up, down = counting.bytes_of(place.station) if place.station is not None else (0, 0)
    return RouterSession(place.mac, None, None, place.device, None, 0, up, down, raw={"ended": "kicked"})


async def drop(box: Box, keys: Sequence[str]) -> list[Result]:
    """Take rights away, and put out who is in by them. One that is not there is fine."""
    found: dict[str, GatewayError | None] = {}
    for place in _with_keys(box, await _everybody(box), set(keys)):
        mark = place.mark(box.install)
        assert mark is not None
        try:
            await put_out(box, place, mark.key)
            found.setdefault(mark.key, None)
        except RouterRejected as error:
            found[mark.key] = error
    return [Result(key, found.get(key) is None, key in found, found.get(key)) for key in keys]


async def _everybody(box: Box) -> list[Place]:
    return places_of(*await asyncio.gather(box.users(), box.stations()))


def places_of(users: Mapping[str, Row], stations: Sequence[Row]) -> list[Place]:
    """Every device that has a note or is connected."""
    with understood():
        connected = {str(row["mac"]).lower(): row for row in stations}
    return [Place(mac, users.get(mac), connected.get(mac)) for mac in dict.fromkeys((*connected, *users))]


def _with_keys(box: Box, places: Sequence[Place], keys: set[str]) -> list[Place]:
    """Those of the devices that have our mark with one of these keys."""
    return [place for place in places if (mark := place.mark(box.install)) is not None and mark.key in keys]
