"""Sessions added up by the day that they began on, as `sales.sums` does it with sales.

A session is taken in when it has ended; those under way are added up when somebody asks. What the sums hold of a
session stands in its `told_*`, so one that is corrected later (a late report of a NAS) is taken out and in again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bawaba.core.statement import Statement
from bawaba.sales.rules import Period
from bawaba.sessions.models import UseSum

AT_ONCE = 1000
TAIL_MOST = 20_000
Key = tuple[str, int, int]  # facet, day, ref
Sums = dict[Key, list[int]]  # sessions, seconds, bytes up, bytes down
SELECT = (
    "SELECT g.id, p.plan_id, v.batch_id, g.router_id, g.start_time, g.used_seconds, g.bytes_up, g.bytes_down, "
    "g.told_day, g.told_hour, g.told_router_id, g.told_seconds, g.told_up, g.told_down FROM "
)
JOINS = "JOIN voucher v ON v.id = g.voucher_id JOIN plan_version p ON p.id = v.plan_version_id"
UNTOLD_SQL = (
    f"{SELECT} guest_session g {JOINS} WHERE g.site_id = :site_id AND g.told = 0 AND g.ended_at IS NOT NULL "
    "ORDER BY g.id LIMIT :most"
)
COLUMNS = (
    "id plan_id batch_id router_id start_time used_seconds bytes_up bytes_down "
    "told_day told_hour told_router_id told_seconds told_up told_down"
)
UNTOLD = Statement(UNTOLD_SQL, COLUMNS, ("start_time",))
UNTOLD_TO_TELL = Statement(f"{UNTOLD_SQL} {{lock g}}", COLUMNS, ("start_time",))
LIVE = Statement(
    f"{SELECT} router r JOIN guest_session g ON g.router_id = r.id AND g.ended_at IS NULL {JOINS} "
    "WHERE r.site_id = :site_id LIMIT :most",
    COLUMNS,
    ("start_time",),
)
ADD = Statement(
    "INSERT INTO use_sum (site_id, facet, day, ref, sessions, seconds, up, down) "
    "VALUES (:site_id, :facet, :day, :ref, :sessions, :seconds, :up, :down) "
    "ON CONFLICT (site_id, facet, day, ref) DO UPDATE SET sessions = use_sum.sessions + excluded.sessions, "
    "seconds = use_sum.seconds + excluded.seconds, up = use_sum.up + excluded.up, down = use_sum.down + excluded.down"
)
TELL = Statement(
    "UPDATE guest_session SET told = 1, told_day = :day, told_hour = :hour, told_router_id = :router_id, "
    "told_seconds = :seconds, told_up = :up, told_down = :down WHERE id = :id"
)
UNTELL = Statement(
    "UPDATE guest_session SET told = 0 WHERE id IN (SELECT id FROM guest_session "
    "WHERE site_id = :site_id AND id > :after AND told = 1 ORDER BY id LIMIT :most) RETURNING id",
    "id",
)


@dataclass(frozen=True, slots=True)
class Used:
    """What was used of one `ref`; `day` 0 where days are added up. Bytes, seconds."""

    day: int
    ref: int
    sessions: int
    seconds: int
    up: int
    down: int


def added_up(rows: Iterable[Any], zone: str) -> Sums:
    """Sessions by facet, day of the clock there and ref: what is new, less what was told of them before. Those that
    never came online count for nothing."""
    clock = ZoneInfo(zone)
    sums: Sums = {}
    for row in rows:
        if row.told_day:
            before = (-1, -row.told_seconds, -row.told_up, -row.told_down)
            _count(sums, row, row.told_day, row.told_hour, row.told_router_id, before)
        if row.start_time is not None:
            at = row.start_time.astimezone(clock)
            now = (1, row.used_seconds, row.bytes_up, row.bytes_down)
            _count(sums, row, at.toordinal(), at.hour, row.router_id, now)
    return sums


def _count(sums: Sums, row: Any, day: int, hour: int, router_id: int, facts: tuple[int, ...]) -> None:
    for facet, ref in (
        ("all", 0),
        ("hour", hour),
        ("plan", row.plan_id),
        ("batch", row.batch_id or 0),
        ("router", router_id),
    ):
        found = sums.setdefault((facet, day, ref), [0, 0, 0, 0])
        for place, fact in enumerate(facts):
            found[place] += fact


def tell(db: Session, site_id: int, zone: str, most: int = AT_ONCE) -> int:
    """Take ended sessions that are not, or not rightly, in the sums into them (step); how many."""
    rows = UNTOLD_TO_TELL.all(db, site_id=site_id, most=most)
    ADD.run_many(
        db,
        [
            {"site_id": site_id, "facet": facet, "day": day, "ref": ref, "sessions": sessions, "seconds": seconds,
             "up": up, "down": down}
            for (facet, day, ref), (sessions, seconds, up, down) in sorted(added_up(rows, zone).items())
        ],
    )  # fmt: skip
    TELL.run_many(db, [_told(row, ZoneInfo(zone)) for row in rows])
    return len(rows)


def _told(row: Any, clock: ZoneInfo) -> dict[str, Any]:
    at = row.start_time.astimezone(clock) if row.start_time is not None else None
    return {
        "id": row.id,
        "day": at.toordinal() if at else 0,
        "hour": at.hour if at else 0,
        "router_id": row.router_id,
        "seconds": row.used_seconds,
        "up": row.bytes_up,
        "down": row.bytes_down,
    }


def untell(db: Session, site_id: int, after_id: int, most: int) -> int | None:
    """Mark some sessions as to be taken out of the sums and in again (step); the last one's id, None when there were no
    more. What the sums hold of sessions that were pruned since stays as it was counted."""
    return max((row.id for row in UNTELL.all(db, site_id=site_id, after=after_id, most=most)), default=None)


def sums_of(
    db: Session, site_id: int, time: Period, facet: str, *, by_day: bool = False, by_weekday: bool = False
) -> list[Used]:
    """What a site's guests used in a period (step, at one moment: see `database.one_moment`), in no order.

    `by_weekday`: `day` is 1 for Mondays to 7 for Sundays, as the first days of the calendar were.
    """
    first, last = time.first.toordinal(), time.last.toordinal()
    sums: dict[tuple[int, int], list[int]] = {}
    mine = (UseSum.site_id == site_id, UseSum.facet == facet, UseSum.day >= first, UseSum.day <= last)
    day = (UseSum.day - 1) % 7 + 1 if by_weekday else UseSum.day
    by_time = by_day or by_weekday
    group = (day, UseSum.ref) if by_time else (UseSum.ref,)
    facts = [func.sum(column) for column in (UseSum.sessions, UseSum.seconds, UseSum.up, UseSum.down)]
    for row in db.execute(select(*group, *facts).where(*mine).group_by(*group)):
        key = (row[0], row[1]) if by_time else (0, row[0])
        sums[key] = [int(fact) for fact in row[len(group) :]]
    waiting = UNTOLD.all(db, site_id=site_id, most=TAIL_MOST) + LIVE.all(db, site_id=site_id, most=TAIL_MOST)
    for (of, at, ref), found in added_up(waiting, time.zone).items():
        if of == facet and first <= at <= last:
            known = sums.setdefault(((at - 1) % 7 + 1 if by_weekday else at if by_day else 0, ref), [0, 0, 0, 0])
            for place, fact in enumerate(found):
                known[place] += fact
    return [Used(*key, *found) for key, found in sums.items() if any(found)]
