"""What is left to sell of each plan, and how much of it is over soon if nobody uses it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.cache import Region
from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement
from bawaba.plans.models import Plan, PlanVersion
from bawaba.sales.report import plan_names
from bawaba.sites.models import Site
from bawaba.vouchers.models import Batch

CACHED = Region("stock", ("batch", "plan", "plan_version", "sale", "site", "voucher"), ttl_s=60)
WEEK, MONTH = timedelta(days=7), timedelta(days=30)
COUNT = Statement(
    "SELECT plan_version_id, COUNT(*), SUM(CASE WHEN over_at <= :week THEN 1 ELSE 0 END), "
    "SUM(CASE WHEN over_at <= :month THEN 1 ELSE 0 END) FROM voucher WHERE plan_version_id = :version_id "
    "AND status = 'unused' AND disabled_at IS NULL AND (over_at IS NULL OR over_at > :now) "
    "AND NOT EXISTS (SELECT 1 FROM sale WHERE sale.voucher_id = voucher.id) GROUP BY plan_version_id",
    "version_id left week month",
)


@dataclass(frozen=True, slots=True)
class Stock:
    """Cards of a plan that are neither used nor sold: all, and those that are over within 7 and within 30 days."""

    plan_id: int
    name: str
    left: int
    week: int
    month: int


def stock_of(rt: Runtime, site: Site) -> list[Stock]:
    """The stock, counted once for as long as no card changes."""
    now = rt.clock.now()
    return rt.recall(CACHED, (site.id, int(now.timestamp() // CACHED.ttl_s)), stock, site, now)


def stock(db: Session, site: Site, now: datetime) -> list[Stock]:
    """Count it (step), the largest first. Cards of a batch that is not ready are not there yet."""
    left: Counter[int] = Counter()
    week: Counter[int] = Counter()
    month: Counter[int] = Counter()
    versions = select(PlanVersion.id, PlanVersion.plan_id).join(Plan, Plan.id == PlanVersion.plan_id)
    for version_id, plan_id in db.execute(versions.where(Plan.site_id == site.id)).all():
        found = COUNT.first(db, version_id=version_id, now=now, week=now + WEEK, month=now + MONTH)
        if found is not None:
            left[plan_id] += found.left - _unready(db, version_id)
            week[plan_id] += found.week
            month[plan_id] += found.month
    names = plan_names(db, set(left))
    return [
        Stock(plan_id, names.get(plan_id, ""), count, min(count, week[plan_id]), min(count, month[plan_id]))
        for plan_id, count in left.most_common()
        if count > 0
    ]


def _unready(db: Session, version_id: int) -> int:
    unready = select(Batch.created).where(Batch.plan_version_id == version_id, Batch.state != "ready")
    return sum(db.scalars(unready))
