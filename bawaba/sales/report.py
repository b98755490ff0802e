"""What a site sold in a period, by day, by plan or by batch, from the sums of its days."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.database import one_moment
from bawaba.plans.models import Plan, PlanVersion
from bawaba.sales.rules import Period
from bawaba.sales.sums import Sold, sums_of
from bawaba.sites.models import Site
from bawaba.vouchers.models import Batch

LINES_MOST = 500


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
    """`totals` (currency, cards, minor units) are of the whole period; `is_cut` says that there are more lines than are
    shown."""

    lines: list[Line]
    totals: list[tuple[str, int, int]]
    is_cut: bool


def report(db: Session, site: Site, time: Period, by: str) -> Report:
    """Sales of a site (step, the first of its transaction). `by` is one of `BY`."""
    one_moment(db)
    lines = BY[by](db, site.id, time)
    totals = [(sold.currency, sold.cards, sold.total_minor) for sold in sums_of(db, site.id, time, "all")]
    totals.sort(key=lambda total: -total[1])
    return Report(lines[:LINES_MOST], totals, len(lines) > LINES_MOST)


def _by_day(db: Session, site_id: int, time: Period) -> list[Line]:
    """The latest day first; days without a sale are left out."""
    found = sorted(sums_of(db, site_id, time, "all", by_day=True), key=lambda sold: (-sold.day, -sold.cards))
    return [
        Line(date.fromordinal(sold.day).isoformat(), None, sold.currency, sold.cards, sold.total_minor)
        for sold in found[: LINES_MOST + 1]
    ]


def _by_plan(db: Session, site_id: int, time: Period) -> list[Line]:
    """Most cards first."""
    found = sorted(sums_of(db, site_id, time, "plan"), key=lambda sold: (-sold.cards, sold.currency))
    names = plan_names(db, {sold.ref for sold in found[:LINES_MOST]})
    return [_line(sold, names.get(sold.ref, "")) for sold in found[: LINES_MOST + 1]]


def _by_batch(db: Session, site_id: int, time: Period) -> list[Line]:
    """The newest batch first, cards made alone last."""
    found = sorted(sums_of(db, site_id, time, "batch"), key=lambda sold: (-sold.ref, sold.currency))
    labels = batch_labels(db, {sold.ref for sold in found[:LINES_MOST]})
    return [_line(sold, labels.get(sold.ref, "")) for sold in found[: LINES_MOST + 1]]


def _line(sold: Sold, name: str) -> Line:
    return Line(name, sold.ref or None, sold.currency, sold.cards, sold.total_minor)


def plan_names(db: Session, ids: set[int]) -> dict[int, str]:
    """The names of plans, as they are called now."""
    newest = (PlanVersion.plan_id == Plan.id) & (PlanVersion.version == Plan.version)
    named = select(Plan.id, PlanVersion.name).join(PlanVersion, newest)
    return {row.id: row.name for row in db.execute(named.where(Plan.id.in_(ids)))}


def batch_labels(db: Session, ids: set[int]) -> dict[int, str]:
    """What batches are called, like B042."""
    return {row.id: f"B{row.number:03d}" for row in db.execute(select(Batch.id, Batch.number).where(Batch.id.in_(ids)))}


BY: dict[str, Callable[[Session, int, Period], list[Line]]] = {
    "day": _by_day,
    "plan": _by_plan,
    "batch": _by_batch,
}
