"""Time that guests can trust: steady while the process lives, whatever happens to the machine's wall clock."""

from __future__ import annotations

import ctypes
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

TIME_ERROR = 5
TIMEX_BYTES = 512  # struct timex is 208 bytes long at most; all zero asks and changes nothing


class Clock(Protocol):
    """Where use cases get the time from; steps and rules are handed `now`."""

    def now(self) -> datetime:
        """The time, aware and UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump, for deadlines and durations."""
        ...


class SystemClock:
    """Wall time read once, then carried on by the kernel's boot clock.

    NTP steps, a wrong RTC or a person setting the date (±1 h) would otherwise end or prolong every card at once.
    `CLOCK_BOOTTIME` is slewed by NTP but never stepped, and goes on during suspend (clock_gettime(2)).
    """

    def __init__(self, offset_s: float | None = None, *, provisional: bool = False) -> None:
        self._offset_s = offset_s if offset_s is not None else time.time() - _boottime()
        self._provisional = provisional

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._offset_s + _boottime(), UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    @property
    def offset_s(self) -> float:
        """Wall time minus boot time; kept in the database so that a restart on the same boot goes on unbroken."""
        return self._offset_s

    @property
    def is_provisional(self) -> bool:
        """Whether we go on from when we were last alive, until the machine's clock is set."""
        return self._provisional

    def never_before(self, moment: datetime) -> None:
        """The machine woke up in the past (no battery for its clock): go on from `moment` until its clock is set."""
        behind_s = (moment - self.now()).total_seconds()
        if behind_s > 0:
            self._offset_s += behind_s
            self._provisional = True

    def follow_wall(self) -> bool:
        """After such a start: take over the wall clock once it has been set; True when that happened now. Back in time
        only when the kernel knows that the network has set it: then it was we who lived in the future."""
        if not self._provisional or (self.jump_s() <= 0 and not is_synchronised()):
            return False
        self._offset_s += self.jump_s()
        self._provisional = False
        return True

    def jump_s(self) -> float:
        """How far the machine's wall clock is ahead of ours, seconds: 0 unless somebody has moved it."""
        return time.time() - _boottime() - self._offset_s


class ManualClock:
    """A clock for tests, moved by hand."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


def boot_id() -> str:
    """The kernel's name for this boot (random(4)), or an empty string where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def is_synchronised() -> bool:
    """Whether the network keeps the machine's clock (adjtimex(2): anything but TIME_ERROR)."""
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    return 0 <= state < TIME_ERROR


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
