"""Sales added up by the day and by what they were of, so that a report reads some hundred rows and not a million.

A sale that is in the sums is `told`. Those that are not yet are added up when somebody asks, so an answer never lags;
a background step tells them, some at a time, and may be repeated or cut off anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from bawaba.core.statement import Statement
from bawaba.sales.models import SaleSum
from bawaba.sales.rules import Period

AT_ONCE = 1000
TAIL_MOST = 20_000
Key = tuple[str, int, int, str]  # facet, day, ref, currency
Sums = dict[Key, list[int]]  # cards, minor units
UNTOLD_SQL = (
    "SELECT s.id, p.plan_id, v.batch_id, (SELECT g.router_id FROM guest_session g WHERE g.voucher_id = s.voucher_id "
    "ORDER BY g.id LIMIT 1), s.sold_by, s.sold_at, s.price_minor, s.currency FROM sale s "
    "JOIN voucher v ON v.id = s.voucher_id JOIN plan_version p ON p.id = s.plan_version_id "
    "WHERE s.site_id = :site_id AND s.told = 0 ORDER BY s.id LIMIT :most"
)
COLUMNS = "id plan_id batch_id router_id sold_by sold_at price_minor currency"
UNTOLD = Statement(UNTOLD_SQL, COLUMNS, ("sold_at",))
UNTOLD_TO_TELL = Statement(f"{UNTOLD_SQL} {{lock s}}", COLUMNS, ("sold_at",))
ADD = Statement(
    "INSERT INTO sale_sum (site_id, facet, day, ref, currency, cards, total_minor) "
    "VALUES (:site_id, :facet, :day, :ref, :currency, :cards, :total_minor) "
    "ON CONFLICT (site_id, facet, day, ref, currency) DO UPDATE SET cards = sale_sum.cards + excluded.cards, "
    "total_minor = sale_sum.total_minor + excluded.total_minor"
)
TAKE_OUT = Statement(  # nothing, where the sums were thrown away to be made anew from the sales that are left
    "UPDATE sale_sum SET cards = cards - 1, total_minor = total_minor - :minor WHERE site_id = :site_id "
    "AND facet = :facet AND day = :day AND ref = :ref AND currency = :currency"
)
ONE_TOLD = Statement(  # with the router that it was told by
    "SELECT s.id, p.plan_id, v.batch_id, s.router_id, s.sold_by, s.sold_at, s.price_minor, s.currency FROM sale s "
    "JOIN voucher v ON v.id = s.voucher_id JOIN plan_version p ON p.id = s.plan_version_id "
    "WHERE s.id = :id AND s.told = 1 {lock s}",
    COLUMNS,
    ("sold_at",),
)
TELL = Statement("UPDATE sale SET told = 1, router_id = :router_id WHERE id = :id")
UNTELL = Statement(
    "UPDATE sale SET told = 0 WHERE id IN (SELECT id FROM sale WHERE site_id = :site_id AND told = 1 AND id > :after "
    "ORDER BY id LIMIT :most) RETURNING id",
    "id",
)


@dataclass(frozen=True, slots=True)
class Sold:
    """What was sold of one `ref` in one currency; `day` 0 where days are added up."""

    day: int
    ref: int
    currency: str
    cards: int
    total_minor: int


def added_up(rows: Iterable[Any], zone: str) -> Sums:
    """Sales by facet, day of the clock there, ref and currency."""
    clock = ZoneInfo(zone)
    sums: Sums = {}
    for row in rows:
        at = row.sold_at.astimezone(clock)
        for facet, ref in (
            ("all", 0),
            ("hour", at.hour),
            ("plan", row.plan_id),
            ("batch", row.batch_id or 0),
            ("router", row.router_id or 0),
            ("seller", row.sold_by or 0),
        ):
            found = sums.setdefault((facet, at.toordinal(), ref, row.currency), [0, 0])
            found[0] += 1
            found[1] += row.price_minor
    return sums


def tell(db: Session, site_id: int, zone: str, most: int = AT_ONCE) -> int:
    """Take sales that are not in the sums into them (step); how many. A sale is taken once, whoever asks how often."""
    rows = UNTOLD_TO_TELL.all(db, site_id=site_id, most=most)
    ADD.run_many(
        db,
        [
            {"site_id": site_id, "facet": facet, "day": day, "ref": ref, "currency": currency, "cards": cards,
             "total_minor": total}
            for (facet, day, ref, currency), (cards, total) in sorted(added_up(rows, zone).items())
        ],
    )  # fmt: skip
    TELL.run_many(db, [{"id": row.id, "router_id": row.router_id} for row in rows])
    return len(rows)


def take_out(db: Session, sale_id: int, site_id: int, zone: str) -> None:
    """Take a sale that is about to be deleted out of the sums, where it is in them (step)."""
    row = ONE_TOLD.first(db, id=sale_id)
    if row is None:
        return
    gone = [
        {"site_id": site_id, "facet": facet, "day": day, "ref": ref, "currency": currency, "minor": total}
        for (facet, day, ref, currency), (_one, total) in sorted(added_up([row], zone).items())
    ]
    TAKE_OUT.run_many(db, gone)


def forget_sums(db: Session, site_id: int) -> None:
    """Throw a site's sums away (step). Then its sales are to be untold."""
    db.execute(delete(SaleSum).where(SaleSum.site_id == site_id))


def untell(db: Session, site_id: int, after_id: int, most: int) -> int | None:
    """Mark some sales as in no sum (step); the last one's id, None when there were no more."""
    return max((row.id for row in UNTELL.all(db, site_id=site_id, after=after_id, most=most)), default=None)


def sums_of(db: Session, site_id: int, time: Period, facet: str, *, by_day: bool = False) -> list[Sold]:
    """What a site sold in a period (step, at one moment: see `database.one_moment`), in no order."""
    first, last = time.first.toordinal(), time.last.toordinal()
    sums: dict[tuple[int, int, str], list[int]] = {}
    for row in _told(db, site_id, first, last, facet, by_day=by_day):
        sums[row[0], row[1], row[2]] = [row[3], int(row[4])]
    tail = added_up(UNTOLD.all(db, site_id=site_id, most=TAIL_MOST), time.zone)
    for (of, day, ref, currency), (cards, total) in tail.items():
        if of == facet and first <= day <= last:
            found = sums.setdefault((day if by_day else 0, ref, currency), [0, 0])
            found[0] += cards
            found[1] += total
    return [Sold(*key, *found) for key, found in sums.items() if any(found)]


def _told(db: Session, site_id: int, first: int, last: int, facet: str, *, by_day: bool) -> Iterable[Any]:
    mine = (SaleSum.site_id == site_id, SaleSum.facet == facet, SaleSum.day >= first, SaleSum.day <= last)
    if by_day:
        every = (SaleSum.day, SaleSum.ref, SaleSum.currency, SaleSum.cards, SaleSum.total_minor)
        return db.execute(select(*every).where(*mine))
    summed = (func.sum(SaleSum.cards), func.sum(SaleSum.total_minor))
    group = (SaleSum.ref, SaleSum.currency)
    rows = db.execute(select(*group, *summed).where(*mine).group_by(*group))
    return [(0, row[0], row[1], int(row[2]), row[3]) for row in rows]
