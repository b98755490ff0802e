"""What a site sold in a period, by day, by plan or by batch: one statement over an index range each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Integer, and_, column, func, select, values
from sqlalchemy.orm import Session

from bawaba.core.database import UtcDateTime
from bawaba.plans.models import Plan, PlanVersion
from bawaba.sales.models import Sale
from bawaba.sales.queries import Sold, sold_between
from bawaba.sales.rules import Period
from bawaba.sites.models import Site
from bawaba.vouchers.models import Batch, Voucher

LINES_MOST = 500
CARDS, TOTAL = func.count().label("cards"), func.sum(Sale.price_minor).label("total")


@dataclass(frozen=True, slots=True)
class Line:
    """What was sold of one thing in one currency. `of` is its day, its plan's name or its batch's label ("" for cards
    made alone); `id` its plan or batch."""

    of: str
    id: int | None
    currency: str
    cards: int
    total_minor: int


@dataclass(frozen=True, slots=True)
class Report:
    """`totals` are of the whole period; `is_cut` says that there are more lines than are shown."""

    lines: list[Line]
    totals: list[Sold]
    is_cut: bool


def report(db: Session, site: Site, time: Period, by: str) -> Report:
    """Sales of a site (step). `by` is one of `BY`."""
    lines = BY[by](db, site.id, time)
    totals = sold_between(db, site.id, time.start, time.end)
    return Report(lines[:LINES_MOST], totals, len(lines) > LINES_MOST)


def _by_day(db: Session, site_id: int, time: Period) -> list[Line]:
    """The latest day first; days without a sale are left out."""
    place, start, end = column("place", Integer), column("start_at", UtcDateTime), column("end_at", UtcDateTime)
    every = time.days()
    rows = [(number, begins, ends) for number, (_day, begins, ends) in enumerate(every)]
    days = values(place, start, end, name="given").data(rows).cte("days")
    of_day = and_(Sale.site_id == site_id, Sale.sold_at >= days.c.start_at, Sale.sold_at < days.c.end_at)
    wanted = select(days.c.place, Sale.currency, CARDS, TOTAL).select_from(days).join(Sale, of_day)
    grouped = wanted.group_by(days.c.place, Sale.currency).order_by(days.c.place.desc(), CARDS.desc())
    return [
        Line(_iso(every[row[0]][0]), None, row.currency, row.cards, int(row.total))
        for row in db.execute(grouped.limit(LINES_MOST + 1))
    ]


def _by_plan(db: Session, site_id: int, time: Period) -> list[Line]:
    """Most cards first."""
    wanted = select(PlanVersion.plan_id.label("id"), Sale.currency, CARDS, TOTAL)
    wanted = wanted.join(PlanVersion, PlanVersion.id == Sale.plan_version_id)
    rows = _grouped(db, wanted, site_id, time, PlanVersion.plan_id, CARDS.desc())
    newest = (PlanVersion.plan_id == Plan.id) & (PlanVersion.version == Plan.version)
    named = select(Plan.id, PlanVersion.name).join(PlanVersion, newest)
    names = {row.id: row.name for row in db.execute(named.where(Plan.id.in_({row.id for row in rows})))}
    return [Line(names.get(row.id, ""), row.id, row.currency, row.cards, int(row.total)) for row in rows]


def _by_batch(db: Session, site_id: int, time: Period) -> list[Line]:
    """The newest batch first, cards made alone last."""
    wanted = select(Voucher.batch_id.label("id"), Sale.currency, CARDS, TOTAL)
    wanted = wanted.join(Voucher, Voucher.id == Sale.voucher_id)
    rows = _grouped(db, wanted, site_id, time, Voucher.batch_id, Voucher.batch_id.desc().nulls_last())
    numbers = select(Batch.id, Batch.number).where(Batch.id.in_({row.id for row in rows if row.id is not None}))
    labels = {row.id: f"B{row.number:03d}" for row in db.execute(numbers)}
    return [Line(labels.get(row.id, ""), row.id, row.currency, row.cards, int(row.total)) for row in rows]


def _grouped(db: Session, wanted: Any, site_id: int, time: Period, group: Any, order: Any) -> Sequence[Any]:
    in_time = and_(Sale.site_id == site_id, Sale.sold_at >= time.start, Sale.sold_at < time.end)
    grouped = wanted.where(in_time).group_by(group, Sale.currency).order_by(order, Sale.currency)
    return db.execute(grouped.limit(LINES_MOST + 1)).all()


def _iso(day: date) -> str:
    return day.isoformat()


BY: dict[str, Callable[[Session, int, Period], list[Line]]] = {
    "day": _by_day,
    "plan": _by_plan,
    "batch": _by_batch,
}
