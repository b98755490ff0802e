"""Decisions about routers. Pure: values in, answer out."""

from __future__ import annotations

from dataclasses import fields

from bawaba.routers.driver import Limits

FRESH_S = 60  # a router that has just started may not have read everything yet
LEAST_SHARE = 0.5


def may_remove(listed: int, listed_before: int, uptime_s: int | None) -> bool:
    """Whether a list of what lies on a router is good enough to take things away by it: not in the router's first
    minute, and not when the list came back empty or less than half as long as the last one."""
    if uptime_s is not None and uptime_s < FRESH_S:
        return False
    return listed > 0 and listed >= listed_before * LEAST_SHARE


def differs(wanted: Limits, seen: Limits | None) -> bool:
    """Whether limits on a router are other ones than they should be. What the router does not tell (None) is taken as
    right; dates are left out, for routers hold durations."""
    if seen is None:
        return False
    names = [field.name for field in fields(Limits) if field.name not in ("until", "devices")]
    return any(getattr(seen, name) is not None and getattr(seen, name) != getattr(wanted, name) for name in names)
