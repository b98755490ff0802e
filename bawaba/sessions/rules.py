"""What is left on a card, who may use it, and what a counter reading means. Pure: values in, answer out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import ceil
from typing import Protocol

SESSION_TIMEOUT = "Session-Timeout"  # terminate causes in RADIUS's words (RFC 2866, 5.10)
IDLE_TIMEOUT = "Idle-Timeout"
DATA_SPENT = "NAS-Request"
USER_REQUEST = "User-Request"
ADMIN_RESET = "Admin-Reset"
MOVED = "Port-Preempted"
NAS_REBOOT = "NAS-Reboot"
LEAST_BYTES = 2048


class Card(Protocol):
    """The card's side of a decision. Bytes and seconds already used, of all its sessions that ended or were booked."""

    @property
    def kind(self) -> str: ...
    @property
    def duration_seconds(self) -> int | None: ...
    @property
    def quota_bytes(self) -> int | None: ...
    @property
    def quota_up_bytes(self) -> int | None: ...
    @property
    def quota_down_bytes(self) -> int | None: ...
    @property
    def used_seconds(self) -> int: ...
    @property
    def bytes_up(self) -> int: ...
    @property
    def bytes_down(self) -> int: ...


class Live(Protocol):
    """A session that has not ended."""

    @property
    def id(self) -> int: ...
    @property
    def client_mac(self) -> str: ...
    @property
    def start_time(self) -> datetime | None: ...
    @property
    def active_at(self) -> datetime | None: ...
    @property
    def created_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Left:
    """What a card still gives. None is no limit; 0 is spent."""

    seconds: int | None
    bytes_total: int | None
    bytes_up: int | None
    bytes_down: int | None

    @property
    def spent(self) -> bool:
        """Whether any limit is reached."""
        return 0 in (self.seconds, self.bytes_total, self.bytes_up, self.bytes_down)

    @property
    def data_spent(self) -> bool:
        """Whether a limit of data is reached."""
        return 0 in (self.bytes_total, self.bytes_up, self.bytes_down)


NOTHING = Left(0, None, None, None)


def left_on(card: Card, over_at: datetime | None, live: Sequence[Live], now: datetime) -> Left:
    """What is left: by the clock to `over_at` (`vouchers.rules.end_as_used`), by time online less what runs now, and by
    data as booked."""
    seconds: list[float] = []
    if over_at is not None:
        seconds.append((over_at - now).total_seconds())
    if card.duration_seconds is not None and card.kind == "used_time":
        running = sum((now - s.start_time).total_seconds() for s in live if s.start_time is not None)
        seconds.append(card.duration_seconds - card.used_seconds - running)
    return Left(
        seconds=max(0, int(min(seconds))) if seconds else None,
        bytes_total=_less(card.quota_bytes, card.bytes_up + card.bytes_down),
        bytes_up=_less(card.quota_up_bytes, card.bytes_up),
        bytes_down=_less(card.quota_down_bytes, card.bytes_down),
    )


def _less(quota: int | None, used: int) -> int | None:
    """What is left of a quota; less than a packet or two is nothing, for a gateway stops just short of the last one."""
    if quota is None:
        return None
    return quota - used if quota - used >= LEAST_BYTES else 0


class Sort(Card, Protocol):
    """What two cards must have in common to be added up."""

    @property
    def rate_down_kbps(self) -> int | None: ...
    @property
    def rate_up_kbps(self) -> int | None: ...
    @property
    def devices_at_once(self) -> int: ...


def same_sort(card: Sort, other: Sort) -> bool:
    """Whether what is left on one card may go onto another: the same kind of time, the same limits that there are, the
    same speed, the same number of devices. Cards with quotas by direction are not added up."""
    for each in (card, other):
        if each.quota_up_bytes is not None or each.quota_down_bytes is not None:
            return False
    has_limits = [(each.duration_seconds is None, each.quota_bytes is None) for each in (card, other)]
    given = [(each.kind, each.rate_down_kbps, each.rate_up_kbps, each.devices_at_once) for each in (card, other)]
    return has_limits[0] == has_limits[1] and given[0] == given[1]


def is_silent(session: Live, idle_timeout_seconds: int, now: datetime) -> bool:
    """Whether a device has moved nothing for so long that its place may go to another."""
    last = session.active_at or session.start_time or session.created_at
    return now - last >= timedelta(seconds=idle_timeout_seconds)


def who_makes_room(
    live: Sequence[Live], devices_at_once: int, idle_timeout_seconds: int, now: datetime
) -> list[Live] | None:
    """Which silent sessions end so that one more device fits; [] when there is room, None when there is none."""
    over = len(live) + 1 - devices_at_once
    if over <= 0:
        return []
    silent = [session for session in live if is_silent(session, idle_timeout_seconds, now)]
    silent.sort(key=lambda session: session.active_at or session.start_time or session.created_at)
    return silent[:over] if len(silent) >= over else None


def may_move(moved_on: str | None, moves_that_day: int, moves_per_day: int, today: date) -> bool:
    """Whether a guest may still move the card to another phone today (the site's day)."""
    done = moves_that_day if moved_on == today.isoformat() else 0
    return done < moves_per_day


@dataclass(frozen=True, slots=True)
class Reading:
    """A router's counters for one session. A larger `epoch` is a later life of the counters, begun from zero."""

    epoch: int
    up: int
    down: int


def booked(last: Reading, reading: Reading) -> tuple[Reading, int, int]:
    """Return the reading to remember and the bytes up and down that are new since `last`.

    Within a life counters only grow, so a lower one is an old answer come late and books nothing; a repeat books
    nothing either. In a new life all of it is new. An earlier life's answer is too late to count.
    """
    if reading.epoch < last.epoch:
        return last, 0, 0
    if reading.epoch > last.epoch:
        return reading, reading.up, reading.down
    newest = Reading(last.epoch, max(last.up, reading.up), max(last.down, reading.down))
    return newest, newest.up - last.up, newest.down - last.down


def online_seconds(start: datetime, active_at: datetime | None, end: datetime, *, give_back_tail: bool) -> int:
    """Seconds a session is charged with, each one that was begun; the silent tail after its last byte is given back
    when it ended by silence. Rounded up, for whoever comes and goes all the time would else be online for nothing."""
    until = min(end, active_at) if give_back_tail and active_at is not None else end
    return max(0, ceil((until - start).total_seconds()))
