"""When a backup is due, and which may go. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

DRILL_EVERY = timedelta(days=6, hours=12)  # a week, less than a day's wandering of the clock
GRACE = timedelta(hours=6)  # so long after its hour a backup that was not confirmed is late
AGAIN_FIRST, AGAIN_MOST = timedelta(minutes=10), timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Kept:
    """How many to keep: the newest of each of so many days, weeks and months that have any."""

    daily: int
    weekly: int
    monthly: int


@dataclass(frozen=True, slots=True)
class Copy:
    """A whole copy in a store: of which run, from when, and whether all of that run went well."""

    run_id: int
    at: datetime
    confirmed: bool = True


def may_go(copies: Iterable[Copy], kept: Kept, zone: str) -> set[int]:
    """The runs whose copies are to be removed from a store. Neither the newest copy nor the newest of a
    confirmed run is ever among them.

    Days, weeks and months count only if they have a copy, so a machine that was off for a year loses nothing by it.
    """
    clock = ZoneInfo(zone)
    newest_first = sorted(copies, key=lambda copy: (copy.at, copy.run_id), reverse=True)
    stays = {copy.run_id for copy in [*newest_first[:1], *[good for good in newest_first if good.confirmed][:1]]}
    stays |= _newest_of_each(newest_first, kept.daily, lambda at: at.astimezone(clock).date())
    stays |= _newest_of_each(newest_first, kept.weekly, lambda at: at.astimezone(clock).isocalendar()[:2])
    stays |= _newest_of_each(newest_first, kept.monthly, lambda at: at.astimezone(clock).timetuple()[:2])
    return {copy.run_id for copy in newest_first} - stays


def _newest_of_each(newest_first: list[Copy], most: int, span_of: Callable[[datetime], Hashable]) -> set[int]:
    found: dict[Hashable, int] = {}
    for copy in newest_first:
        span = span_of(copy.at)
        if span not in found:
            if len(found) >= most:
                break
            found[span] = copy.run_id
    return set(found.values())


def last_hour(at: str, zone: str, now: datetime) -> datetime:
    """The newest moment up to `now` at which the clock of `zone` showed the time of day `at` (like 03:30)."""
    clock = ZoneInfo(zone)
    today = now.astimezone(clock).date()
    for days in range(3):
        day = today - timedelta(days=days)
        moment = datetime.combine(day, time.fromisoformat(at), tzinfo=clock).astimezone(now.tzinfo)
        if moment <= now:
            return moment
    raise AssertionError("unreachable")


def is_due(hour: datetime, born: datetime, last_good: datetime | None, failed: list[datetime], now: datetime) -> bool:
    """Whether to begin a backup now. `hour` is `last_hour`, `failed` the ends of the tries since the last good one.

    What was missed while the machine was off is made up. After a failure the waits grow from ten minutes to six hours.
    """
    if hour <= born or (last_good is not None and last_good >= hour):
        return False
    tries = sum(1 for at in failed if at >= hour)
    if not tries:
        return True
    wait = AGAIN_FIRST * (1 << min(tries - 1, 10))
    return now - max(failed) >= min(AGAIN_MOST, wait)


def is_late(hour: datetime, born: datetime, last_good: datetime | None, now: datetime) -> bool:
    """Whether the owner must know that there is no backup of the last night."""
    return hour > born and now - hour >= GRACE and (last_good is None or last_good < hour)


def wants_drill(last_drill: datetime | None, now: datetime) -> bool:
    """Whether this backup is the week's that is put back on trial."""
    return last_drill is None or now - last_drill >= DRILL_EVERY
