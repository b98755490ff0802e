"""A session's counters, from those of a device's association: each association counts from zero."""

from __future__ import annotations

from dataclasses import replace

from bawaba.routers.driver import RouterSession
from bawaba.routers.drivers.unifi.box import Box, Place, understood
from bawaba.routers.drivers.unifi.client import Row
from bawaba.routers.drivers.unifi.notes import Mark

COUNTED = (
    ("rx_bytes", "wired-rx_bytes"),
    ("tx_bytes", "wired-tx_bytes"),
)  # the access point's view: rx is the guest's up
LAST_MEGABYTE = 1024 * 1024  # a quota is sent in whole megabytes


def association(station: Row) -> int:
    """When a device connected, by the controller's clock."""
    with understood():
        return int(station.get("assoc_time") or station.get("first_seen") or 0)


def bytes_of(station: Row) -> tuple[int, int]:
    """The bytes up and down of this association."""
    with understood():
        up, down = (
            max(0, int(next((row for name in names if (row := station.get(name)) is not None), 0))) for names in COUNTED
        )
        return up, down


def is_same_life(box: Box, mark: Mark, mac: str, station: Row) -> bool:
    """Whether these counters are still those that the mark began with."""
    up, down = bytes_of(station)
    if association(station) != mark.association or up < mark.up or down < mark.down:
        return False
    known, epoch, seen_up, seen_down = box.memory.seen.get(mac, (0, 0, 0, 0))
    return (known, epoch) != (mark.association, mark.epoch) or (up >= seen_up and down >= seen_down)


def used(box: Box, mark: Mark, place: Place) -> tuple[int, int]:
    """What the session has used in the mark's life; of a device that is away, what was last seen."""
    station = place.station
    if station is None or not is_same_life(box, mark, place.mac, station):
        known, epoch, up, down = box.memory.seen.get(place.mac, (0, 0, 0, 0))
        return (up - mark.up, down - mark.down) if (known, epoch) == (mark.association, mark.epoch) else (0, 0)
    up, down = bytes_of(station)
    box.memory.seen[place.mac] = mark.association, mark.epoch, up, down
    return up - mark.up, down - mark.down


def next_life(box: Box, mark: Mark, place: Place) -> Mark:
    """The mark for the association that the device has now: what was used before it is taken off the quota."""
    assert place.station is not None
    up, down = used(box, mark, place)
    quota = None if mark.quota is None else max(1, mark.quota - up - down)
    epoch = max(mark.epoch + 1, box.now_ms())
    return replace(mark, epoch=epoch, association=association(place.station), up=0, down=0, quota=quota)


def session_of(box: Box, mark: Mark, place: Place, ended: str = "") -> RouterSession:
    """One of our sessions as it stands."""
    up, down = used(box, mark, place)
    raw: dict[str, object] = {"station": place.station} if place.station is not None else {}
    if not place.holds(mark):
        raw["ended"] = ended or ("data" if is_spent(mark, up, down) else "over")
    elif place.station is None:
        raw["away"] = "true"
    with understood():
        seconds = int(place.station.get("uptime") or 0) if place.station is not None else 0
    since = max(0, (box.now_ms() - mark.epoch) // 1000)
    return RouterSession(
        id=mark.key,
        key=mark.key,
        login=None,
        client=place.device,
        started=None,
        uptime_s=min(seconds, since),
        up=up,
        down=down,
        epoch=mark.epoch,
        raw=raw,
    )


def is_spent(mark: Mark, up: int, down: int) -> bool:
    """Whether the bytes are used up, as far as a controller that counts in megabytes can tell."""
    return mark.quota is not None and up + down > mark.quota - LAST_MEGABYTE
