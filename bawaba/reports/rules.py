"""What a report is about: which days are compared with which, and how much more or less that is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from bawaba.sales.rules import Period

WAYS = ("day", "month", "plan", "batch", "router", "seller", "hour")
LEVELS = 5  # shades of a heat map


@dataclass(frozen=True, slots=True)
class Totals:
    """Of a whole period. `income` is (currency, minor units), the one with most cards first."""

    cards: int
    income: tuple[tuple[str, int], ...]
    sessions: int
    seconds: int
    up: int
    down: int


def period_before(time: Period) -> Period:
    """As many days, right before."""
    days = timedelta(days=(time.last - time.first).days + 1)
    return Period(time.first - days, time.first - timedelta(days=1), time.zone)


def percent_more(now: int, before: int) -> int | None:
    """How many percent more than before, less than 0 for less; None where there was nothing to compare with."""
    return round(100 * (now - before) / before) if before else None


def level(value: int, most: int) -> int:
    """The shade of a value, 0 for nothing to `LEVELS` for the most."""
    return -(-value * LEVELS // most) if most and value else 0
