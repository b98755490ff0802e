"""A report: what a site sold and what its guests used in a period, by day, month, plan, batch, router, seller, hour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.accounts.models import User
from bawaba.core.cache import Region
from bawaba.core.database import one_moment
from bawaba.core.runtime import Runtime
from bawaba.reports.rules import Totals, period_before
from bawaba.routers import queries as routers
from bawaba.sales import sums as sales
from bawaba.sales.report import batch_labels, plan_names
from bawaba.sales.rules import Period
from bawaba.sales.sums import Sold
from bawaba.sessions import sums as uses
from bawaba.sessions.sums import Used
from bawaba.sites.models import Site

CACHED = Region(
    "reports",
    (
        "batch", "guest_session", "plan", "plan_version", "router", "sale", "sale_sum", "site", "use_sum", "user",
        "voucher",
    ),
    ttl_s=60,
)  # fmt: skip
LINES_MOST = 500
BY_DAY = frozenset({"day", "month"})
FACETS = {"day": "all", "month": "all"}
OF_SALES_ALONE = frozenset({"seller"})


@dataclass(slots=True)
class Line:
    """One day, month, plan… `of` names it ("" where it has no name), `id` is its plan's, batch's, router's, seller's.

    `income` is minor units by currency; seconds and bytes are of the sessions that began then or there.
    """

    of: str
    id: int | None = None
    cards: int = 0
    income: dict[str, int] = field(default_factory=dict)
    sessions: int = 0
    seconds: int = 0
    up: int = 0
    down: int = 0

    def add_sold(self, sold: Sold) -> None:
        """Count what was sold in."""
        self.cards += sold.cards
        self.income[sold.currency] = self.income.get(sold.currency, 0) + sold.total_minor

    def add_used(self, used: Used) -> None:
        """Count what was used in."""
        self.sessions += used.sessions
        self.seconds += used.seconds
        self.up += used.up
        self.down += used.down


@dataclass(frozen=True, slots=True)
class Report:
    """`lines` has `LINES_MOST` at most (`is_cut`); `heat` is sessions begun, by weekday (Monday first) and hour, of a
    report by hour."""

    by: str
    time: Period
    lines: list[Line]
    totals: Totals
    before: Totals
    heat: list[list[int]]
    is_cut: bool


def report_of(rt: Runtime, site: Site, time: Period, by: str) -> Report:
    """The report, made once for as long as nothing that it is made from changes."""
    return rt.recall(CACHED, (site.id, time, by), report, site, time, by)


def report(db: Session, site: Site, time: Period, by: str) -> Report:
    """Make it (step, the first of its transaction). `by` is one of `rules.WAYS`."""
    one_moment(db)
    facet = FACETS.get(by, by)
    sold = sales.sums_of(db, site.id, time, facet, by_day=by in BY_DAY)
    used = []
    if by not in OF_SALES_ALONE:
        used = uses.sums_of(db, site.id, time, facet, by_day=by in BY_DAY, by_weekday=by == "hour")
    lines = _lines(by, sold, used)
    kept = lines[:LINES_MOST]
    _name(db, by, kept)
    return Report(
        by, time, kept, _totals(db, site, time), _totals(db, site, period_before(time)),
        _heat(used) if by == "hour" else [], len(lines) > LINES_MOST,
    )  # fmt: skip


def _totals(db: Session, site: Site, time: Period) -> Totals:
    whole = Line("")
    for sold in sorted(sales.sums_of(db, site.id, time, "all"), key=lambda sold: -sold.cards):
        whole.add_sold(sold)
    for used in uses.sums_of(db, site.id, time, "all"):
        whole.add_used(used)
    income = tuple(whole.income.items())
    return Totals(whole.cards, income, whole.sessions, whole.seconds, whole.up, whole.down)


def _lines(by: str, sold: Iterable[Sold], used: Iterable[Used]) -> list[Line]:
    """One for each key: times the latest first, hours in their order, batches the newest first, the rest by cards."""
    lines: dict[Any, Line] = {}
    for one in sorted(sold, key=lambda one: -one.cards):
        lines.setdefault(_key(by, one), Line("")).add_sold(one)
    for two in used:
        lines.setdefault(_key(by, two), Line("")).add_used(two)
    for key, line in lines.items():
        line.id = key if isinstance(key, int) and key and by != "hour" else None
        line.of = key if isinstance(key, str) else f"{key:02d}:00" if by == "hour" else ""
    if by == "hour":
        return [lines.get(hour, Line(f"{hour:02d}:00")) for hour in range(24)] if lines else []
    if by in ("day", "month", "batch"):
        return [lines[key] for key in sorted(lines, reverse=True)]
    return sorted(lines.values(), key=lambda line: (-line.cards, -line.sessions, line.id or 0))


def _key(by: str, one: Sold | Used) -> str | int:
    if by == "day":
        return date.fromordinal(one.day).isoformat()
    if by == "month":
        return date.fromordinal(one.day).isoformat()[:7]
    return one.ref


def _name(db: Session, by: str, lines: Iterable[Line]) -> None:
    ids = {line.id for line in lines if line.id is not None}
    names: Mapping[int, str] = {}
    if by == "plan":
        names = plan_names(db, ids)
    elif by == "batch":
        names = batch_labels(db, ids)
    elif by == "router":
        names = routers.names(db, ids)
    elif by == "seller":
        names = {row.id: row.username for row in db.execute(select(User.id, User.username).where(User.id.in_(ids)))}
    for line in lines:
        if line.id is not None:
            line.of = names.get(line.id, "")


def _heat(used: Iterable[Used]) -> list[list[int]]:
    heat = [[0] * 24 for _ in range(7)]
    for one in used:
        heat[date.fromordinal(one.day).weekday()][one.ref] += one.sessions
    return heat
