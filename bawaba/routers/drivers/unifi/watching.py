"""Who is online, what is ours, how the controller is, and who has an address."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from bawaba.routers.driver import Client, Health, Limits, Owned, RouterAuthFailed, RouterRejected, RouterSession
from bawaba.routers.drivers.unifi import counting, notes
from bawaba.routers.drivers.unifi.access import places_of, station_of
from bawaba.routers.drivers.unifi.box import Box, Place, understood
from bawaba.routers.drivers.unifi.client import Row
from bawaba.routers.drivers.unifi.notes import Mark

SAME_BOOT_MS = 60_000


async def places(box: Box) -> list[Place]:
    """Every device that is connected or has a note, with the authorisation that it has."""
    found = places_of(*await asyncio.gather(box.users(), box.stations()))
    since = [mark.since for place in found if (mark := place.mark(box.install)) is not None]
    granted: Mapping[str, Row] = await box.authorisations(min(since)) if since else {}
    for place in found:
        place.granted = granted.get(place.mac)
    return found


async def sessions(box: Box) -> list[RouterSession]:
    """Everybody whom the controller lets through, and our sessions that ended by themselves, with their last counters.
    A device that is out of reach keeps its right, and is told as it was."""
    told: list[RouterSession] = []
    for place in await places(box):
        mark = place.mark(box.install)
        if mark is not None:
            mark = await _caught_up(box, mark, place)
            told.append(counting.session_of(box, mark, place))
        elif _is_stranger(box, place):
            told.append(_stranger(place))
    box.memory.told = {s.key: (s.epoch, s.up, s.down) for s in told if s.key is not None}
    box.memory.seen = {mac: seen for mac, seen in box.memory.seen.items() if mac in {s.client.mac for s in told}}
    return told


async def _caught_up(box: Box, mark: Mark, place: Place) -> Mark:
    """The mark; a new one where the device has connected anew, for its counters have begun from zero. It is written
    down, so that whoever looks next tells the same."""
    station = place.station
    if station is None or not place.holds(mark) or counting.is_same_life(box, mark, place.mac, station):
        return mark
    async with box.turn(place.mac):
        now = await station_of(box, place.mac)
        if now is None or (now.get("note") is not None and notes.session_mark(now["note"], box.install) != mark):
            return mark  # it went on with another right meanwhile: the next look tells
        place.station = now
        fresh = counting.next_life(box, mark, place)
        await box.write_note(place.user_id, notes.with_mark(place.note, fresh))
    return fresh


def _is_stranger(box: Box, place: Place) -> bool:
    """Whether a device is let through by a right that is not ours."""
    station = place.station
    if station is None or not station.get("is_guest") or not station.get("authorized"):
        return False
    return notes.device_mark(place.note, box.install) is None


def _stranger(place: Place) -> RouterSession:
    assert place.station is not None
    up, down = counting.bytes_of(place.station)
    with understood():
        seconds = int(place.station.get("uptime") or 0)
    epoch = counting.association(place.station)
    return RouterSession(
        place.mac, None, None, place.device, None, seconds, up, down, epoch, {"station": place.station}
    )


async def owned(box: Box) -> list[Owned]:
    """Every session of ours, by the marks that lie in clients' notes."""
    marked = [(place, mark) for place in await places(box) if (mark := place.mark(box.install)) is not None]
    return [_owned(box, place, mark) for place, mark in marked]


def _owned(box: Box, place: Place, mark: Mark) -> Owned:
    up, down = counting.used(box, mark, place)
    left = None if mark.quota is None else max(0, mark.quota - up - down)
    return Owned(mark.key, mark.rev, place.user_id, place.holds(mark), Limits(bytes_total=left), up, down)


async def health(box: Box) -> Health:
    """How the controller is. It says nothing of processor and memory here."""
    about, stations = await asyncio.gather(sysinfo(box), box.stations())
    with understood():
        uptime = int(about["uptime"]) if about.get("uptime") is not None else None
        users = sum(1 for row in stations if row.get("is_guest") and row.get("authorized"))
    return Health(uptime_s=uptime, sessions=users, boot=_boot(box, uptime))


async def sysinfo(box: Box) -> Row:
    """What the controller says of itself; nothing where the account may not see it."""
    try:
        rows = await box.api.classic("GET", "stat/sysinfo")
    except (RouterRejected, RouterAuthFailed) as error:
        if isinstance(error, RouterAuthFailed) and "NoPermission" not in str(error):
            raise
        return {}
    return rows[0] if rows else {}


def _boot(box: Box, uptime_s: int | None) -> int:
    """When it started, by our clock: the same number until it starts again, however its seconds are rounded, and
    however far the two clocks have gone apart since."""
    memory = box.memory
    started = box.now_ms() - 1000 * (uptime_s or 0)
    if memory.boot == 0 or (uptime_s is not None and started - (memory.started or memory.boot) > SAME_BOOT_MS):
        memory.boot = started
    if uptime_s is not None:
        memory.started = started
    return memory.boot


async def locate(box: Box, ip: str | None, mac: str | None) -> Client | None:
    """Who has an address among those that are connected now."""
    if mac is not None:
        station = await station_of(box, mac)
        return None if station is None else Place(mac, None, station).device
    with understood():
        found = [row for row in await box.stations() if row.get("ip") == ip]
        newest = max(found, key=lambda row: float(row.get("last_seen") or 0), default=None)
        return None if newest is None else Client(str(newest["mac"]).lower(), ip)
