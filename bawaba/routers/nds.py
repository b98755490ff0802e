"""openNDS's own words (manual, "Using ndsctl", "BinAuth" and "FAS"): limits of a right of access, our mark on it, and
what it says of a session that ended.

Minutes, kbit/s and kB of 1,024 bytes, where 0 is no limit; volumes in reports are bytes, `incoming` is the guest's
down. Times are the gateway's own clock, in seconds since 1970.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bawaba.routers.driver import Limits, Reason, RouterRejected

KB = 1024
MOST = 2**31 - 1  # openNDS keeps them in ints
BYTES_MOST = 2**53
TAG = re.compile(r"bw1[._]([0-9A-Za-z]{1,16})[._]([0-9A-Za-z-]{1,60})[._](\d{1,9})")
HID = re.compile(r"[0-9a-f]{64}")
METHOD = "_deauth"


@dataclass(frozen=True, slots=True)
class Tag:
    """Whose session it is: it stands in `custom`. A shell on the gateway reads it: letters, digits, hyphens and
    underscores alone."""

    install: str
    key: str
    rev: int

    def __str__(self) -> str:
        return f"bw1_{self.install}_{self.key.replace(':', '-', 1)}_{self.rev}"


def tag_of(custom: str) -> Tag | None:
    """The tag in `custom`; None for what is not ours."""
    found = TAG.fullmatch(custom)
    return Tag(found[1], found[2].replace("-", ":", 1), int(found[3])) if found else None


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


@dataclass(frozen=True, slots=True)
class Farewell:
    """A session that ended: `why` is time, data, idle, or what ended it (client, ndsctl, shutdown)."""

    why: str
    mac: str
    custom: str
    token: str
    started: int
    ended: int
    up: int
    down: int


def farewell(text: str) -> Farewell | None:
    """What a report of a session's end says: `method=…_deauth, clientmac=…, …`; None where it makes no sense."""
    facts = dict(pair.partition("=")[::2] for pair in text.split(", "))
    try:
        return Farewell(
            why=_why(facts["method"]),
            mac=facts["clientmac"].lower(),
            custom=facts.get("custom", ""),
            token=facts.get("token", ""),
            started=number(facts["session_start"]),
            ended=number(facts["session_end"]),
            up=number(facts["bytes_outgoing"]),
            down=number(facts["bytes_incoming"]),
        )
    except (KeyError, ValueError, OverflowError):
        return None


def _why(method: str) -> str:
    """9.10 says downquota_deauth, 10.3 download_quota_deauth: what they end with counts. Raises `ValueError`."""
    if not method.endswith(METHOD):
        raise ValueError(method)
    method = method.removesuffix(METHOD)
    if method.endswith("quota"):
        return "data"
    return {"timeout": "time", "idle": "idle"}.get(method, method)


def number(text: Any) -> int:
    """A number as openNDS writes it, "null" for none. Raises `ValueError` for what cannot be."""
    if text in ("null", None, ""):
        return 0
    value = int(float(text))
    if not 0 <= value < BYTES_MOST:
        raise ValueError(f"{text} cannot be")
    return value
