"""Limits in a controller's own units: minutes, kbit/s and megabytes, rounded down, and never to 0."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bawaba.routers.driver import Limits, Reason, RouterRejected

MEGABYTE = 1024 * 1024  # no manual says which is meant; this is the larger, and so the smaller number of them
LONGEST_MINUTES = 525_600  # a year: an authorisation always has an end


@dataclass(frozen=True, slots=True)
class Native:
    """What a controller enforces by itself. None is no limit."""

    minutes: int
    up_kbps: int | None
    down_kbps: int | None
    quota: int | None  # bytes, exact

    @property
    def megabytes(self) -> int | None:
        """The quota as it is sent."""
        return None if self.quota is None else max(1, self.quota // MEGABYTE)


def native(limits: Limits, now: datetime, unbooked: int = 0) -> Native:
    """A right in native units; `unbooked` bytes have been used since these limits were worked out. Raises
    `RouterRejected` when nothing is left."""
    seconds = [float(limits.uptime_s)] if limits.uptime_s is not None else []
    if limits.until is not None:
        seconds.append((limits.until - now).total_seconds())
    quota = _quota(limits)
    quota = None if quota is None else quota - unbooked
    split = [left for left in (limits.bytes_up, limits.bytes_down, quota) if left is not None]
    if any(left <= 0 for left in (*seconds, *split)):
        raise RouterRejected("nothing is left", Reason.BAD_VALUE)
    minutes = min(int(min(seconds) // 60), LONGEST_MINUTES) if seconds else LONGEST_MINUTES
    return Native(max(1, minutes), _rate(limits.rate_up_kbps), _rate(limits.rate_down_kbps), quota)


def _quota(limits: Limits) -> int | None:
    """All bytes together: a controller knows no other limit. One for a single direction is kept by whoever counts."""
    both = None
    if limits.bytes_up is not None and limits.bytes_down is not None:
        both = max(0, limits.bytes_up) + max(0, limits.bytes_down)
    known = [limit for limit in (limits.bytes_total, both) if limit is not None]
    return min(known) if known else None


def _rate(kbps: int | None) -> int | None:
    return None if kbps is None else max(1, kbps)
