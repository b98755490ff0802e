"""A right of access in the words of `ndsctl auth`: minutes, kbit/s and kB, where 0 is no limit."""

from __future__ import annotations

from datetime import datetime

from bawaba.routers.driver import Limits, Reason, RouterRejected

KB = 1024
MOST = 2**31 - 1  # openNDS keeps them in ints


def allowed(limits: Limits, now: datetime) -> str:
    """`MINUTES UPKBIT DOWNKBIT UPKB DOWNKB`, rounded down and never to 0. A total is allowed in both directions;
    whoever polls watches their sum. Raises `RouterRejected` where nothing is left."""
    seconds = [float(limits.uptime_s)] if limits.uptime_s is not None else []
    if limits.until is not None:
        seconds.append((limits.until - now).total_seconds())
    up = _least(limits.bytes_up, limits.bytes_total)
    down = _least(limits.bytes_down, limits.bytes_total)
    told = (
        _units(min(seconds) if seconds else None, 60),
        _units(limits.rate_up_kbps, 1),
        _units(limits.rate_down_kbps, 1),
        _units(up, KB),
        _units(down, KB),
    )
    return " ".join(map(str, told))


def _least(*counts: int | None) -> int | None:
    return min((count for count in counts if count is not None), default=None)


def _units(amount: float | None, unit: int) -> int:
    if amount is None:
        return 0
    if amount <= 0:
        raise RouterRejected("nothing is left", Reason.BAD_VALUE)
    return min(MOST, max(1, int(amount // unit)))
