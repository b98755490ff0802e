"""RouterOS's units and names, and ours: durations, bytes, rates, MACs, ownership tags, profiles.

Durations are whole seconds here. A router prints them in several ways, by version and menu (`1w2d03:04:05`, `1h30m`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from bawaba.routers.driver import Grant, Limits, Reason, RouterProtocolError, RouterRejected

_DURATION = re.compile(
    r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+):(\d+):(\d+)(?:\.\d+)?|(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:\d+ms)?(?:\d+us)?)"
)
_UNITS = (604800, 86400, 3600, 60, 1, 3600, 60, 1)
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
_TAG = re.compile(r"bw1 (\S{1,16}) (\S+) r(\d+)(?: e(\d+))?")
_RATE = re.compile(r"(\d+)([kM]?)")
NO_LIMIT_RATE = "4000M"  # beside a limit for the other direction; what a router's 32 bits still hold
CEILINGS = {"0": 1, "1": 1, "3": 1, "4": 200, "5": 500}  # by licence level; 6 has none
LONGEST_TAG = 64
ENDLESS = ("", "none", "never")


@lru_cache(4096)
def seconds(text: str) -> int:
    """Whole seconds of a duration as a router prints it; 0 for none. Raises `RouterProtocolError`."""
    if text in ENDLESS:
        return 0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise RouterProtocolError(f"{text[:40]!r} is no duration")
    return sum(unit * int(part) for unit, part in zip(_UNITS, match.groups(), strict=True) if part)


def number(text: str | None) -> int:
    """A whole number; 0 where the router left it out. Raises `RouterProtocolError`."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        raise RouterProtocolError(f"{text[:40]!r} is no number")
    return int(text)


def is_true(text: str | None) -> bool:
    """Whether a flag is set: `true` over the API, `yes` in old manuals."""
    return text in ("true", "yes")


def rate_limit(limits: Limits) -> str:
    """`rx/tx` from the router's side, which is up/down from the guest's; empty for no limit."""
    if limits.rate_up_kbps is None and limits.rate_down_kbps is None:
        return ""
    return f"{_rate(limits.rate_up_kbps)}/{_rate(limits.rate_down_kbps)}"


def _rate(kbps: int | None) -> str:
    if kbps is None:
        return NO_LIMIT_RATE
    return f"{kbps // 1000}M" if kbps % 1000 == 0 else f"{kbps}k"


def bits(rate: str) -> tuple[int, ...]:
    """A rate limit's first two figures in bit/s, however they are written; () for none."""
    words = rate.split(" ")[0].split("/") if rate else []
    matches = [_RATE.fullmatch(word) for word in words[:2]]
    sizes = {"": 1, "k": 1000, "M": 1_000_000}
    return tuple(int(match[1]) * sizes[match[2]] for match in matches if match is not None)


def profile_name(limits: Limits) -> str:
    """The user profile of these limits. It says what is in it, so that it never has to change, and ends in a letter, so
    that none is the beginning of another: a router completes a name that it does not know."""
    return f"bw-{limits.rate_up_kbps or 0}-{limits.rate_down_kbps or 0}-{limits.devices}x"


def profile_of(limits: Limits) -> dict[str, str]:
    """What such a profile holds. Nobody is remembered by a cookie: who was put out stays out."""
    return {
        "name": profile_name(limits),
        "rate-limit": rate_limit(limits),
        "shared-users": str(limits.devices),
        "session-timeout": "0s",
        "idle-timeout": "none",
        "keepalive-timeout": "2m",
        "add-mac-cookie": "no",
        "status-autorefresh": "1m",
    }


def unescaped(text: str) -> bytes:
    """Bytes as a log-in page shows them: those that are no letters as octal numbers, like `\\371`."""
    parts = re.split(r"\\([0-3][0-7]{2})", text)
    return b"".join(bytes((int(part, 8),)) if place % 2 else part.encode() for place, part in enumerate(parts))


def ceiling(licence: Sequence[Mapping[str, str]]) -> int | None:
    """How many hotspot users a licence allows (manual, Licence); None where there is no ceiling, or it is not known."""
    level = licence[0].get("nlevel", "") if licence else ""
    return CEILINGS.get(level)


def mac(text: str | None) -> str | None:
    """A MAC as we write it."""
    return text.lower() if text else None


def is_mac(text: str) -> bool:
    """Whether a name looks like a MAC; a router lets it in from that device only."""
    return _MAC.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Tag:
    """What our comments say: whose it is, for which key, which limits. `epoch` is when the row was made (ms, ours):
    its counters began then."""

    install: str
    key: str
    rev: int
    epoch: int = 0

    def __str__(self) -> str:
        epoch = f" e{self.epoch}" if self.epoch else ""
        text = f"bw1 {self.install} {self.key} r{self.rev}{epoch}"
        if len(text) > LONGEST_TAG or not text.isascii() or " " in self.key:
            raise RouterRejected(f"{self.key!r} cannot be a key on this router", Reason.BAD_VALUE)
        return text


@lru_cache(4096)
def tag_of(comment: str) -> Tag | None:
    """The tag in a comment; None for anybody else's words."""
    match = _TAG.fullmatch(comment)
    return Tag(match[1], match[2], int(match[3]), int(match[4] or 0)) if match is not None else None


def session_user(install: str, key: str) -> str:
    """The name of the user that a session is held by. It says which one, so that the list of who is online needs
    nothing else to be read."""
    return f"bw.{install}.{key}x"


def key_of_user(install: str, name: str) -> str | None:
    """The session's key in such a name; None for any other."""
    prefix = f"bw.{install}."
    return name[len(prefix) : -1] if name.startswith(prefix) and name.endswith("x") else None


def mark(install: str, key: str) -> str:
    """What our rows have as their e-mail address, which a router can be asked for, unlike the start of a comment."""
    return f"{key}@{install}.bawaba"


class Used(NamedTuple):
    """What a user has used of its limits, all sessions together."""

    seconds: int = 0
    up: int = 0
    down: int = 0


def limits_from(limits: Limits, used: Used, now: datetime) -> dict[str, str]:
    """A user's limits, which a router counts from the user's beginning: what was used, and what may still be."""
    allowed = {
        "limit-uptime": (time_left(limits, now), used.seconds),
        "limit-bytes-total": (limits.bytes_total, used.up + used.down),
        "limit-bytes-in": (limits.bytes_up, used.up),
        "limit-bytes-out": (limits.bytes_down, used.down),
    }
    values = {name: "0" if left is None else str(left + before) for name, (left, before) in allowed.items()}
    return values | {"limit-uptime": values["limit-uptime"] + "s"}


def time_left(limits: Limits, now: datetime) -> int | None:
    """Whole seconds that are still allowed, rounded down, at least 1 where any is left; None for no limit."""
    ends: list[float] = [] if limits.uptime_s is None else [limits.uptime_s]
    if limits.until is not None:
        ends.append((limits.until - now) / timedelta(seconds=1))
    if not ends:
        return None
    return max(1, int(min(ends))) if min(ends) > 0 else 0


def check(grant: Grant, now: datetime) -> None:
    """Refuse a right that is empty: a zero means no limit here."""
    limits = grant.limits
    left = (time_left(limits, now), limits.bytes_total, limits.bytes_up, limits.bytes_down)
    rates = (limits.rate_up_kbps, limits.rate_down_kbps, limits.devices)
    if any(value is not None and value <= 0 for value in left + rates):
        raise RouterRejected(f"{grant.key} has nothing left", Reason.BAD_VALUE)


def limits_left(row: Mapping[str, str], used: Used) -> Limits:
    """What a user row still allows, 0 for nothing."""

    def left(name: str, before: int) -> int | None:
        most = seconds(row.get(name, "")) if name == "limit-uptime" else number(row.get(name))
        return max(0, most - before) if most else None

    return Limits(
        uptime_s=left("limit-uptime", used.seconds),
        bytes_total=left("limit-bytes-total", used.up + used.down),
        bytes_up=left("limit-bytes-in", used.up),
        bytes_down=left("limit-bytes-out", used.down),
    )


def ended_by(left: Limits) -> str:
    """Which limit has been reached: "data", "time", or "" for none."""
    if 0 in (left.bytes_total, left.bytes_up, left.bytes_down):
        return "data"
    return "time" if left.uptime_s == 0 else ""
