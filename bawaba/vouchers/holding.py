"""Which cards the routers of a site should hold themselves, as the site and the clock have it now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Boolean, Integer, String, exists, insert, literal, select, update
from sqlalchemy.orm import Session

from bawaba.plans.models import PlanVersion
from bawaba.routers.driver import Cap
from bawaba.routers.links import driver_class
from bawaba.routers.models import Router, RouterGrant
from bawaba.routers.reconcile import Drift, Finding, Look, mode_of
from bawaba.vouchers import making
from bawaba.vouchers.models import Batch, Voucher

OVERLAP = timedelta(hours=1)  # cards that ran out before the last look are looked at once more


class Holding:
    """Before a router is compared: give it the cards of a site that came to hold them there, and take back those that
    ran out on the shelf or, when the site keeps them at the server now, all of them."""

    def prepare(self, db: Session, router: Router, before: Mapping[str, Any], now: datetime) -> None:
        """Bring the list of what should be there up to date."""
        if Cap.PRELOAD not in driver_class(router.driver).caps:
            return
        mode = mode_of(db, router.site_id)
        if before.get("mode") != mode:
            _take_back(db, router.id) if mode != "router_held" else _give(db, router, now)
        elif mode == "router_held":
            since = datetime.fromisoformat(before["at"]) - OVERLAP if "at" in before else None
            _take_back_what_ran_out(db, router, since, now)

    def compare(self, db: Session, look: Look) -> Finding:
        """The comparison itself is that of `routers.cards`."""
        return Finding(Drift())


def _give(db: Session, router: Router, now: datetime) -> None:
    """Every unused card of the site that the router does not have yet: one INSERT … SELECT for each plan version."""
    unused = (
        Voucher.site_id == router.site_id,
        Voucher.status == "unused",
        Voucher.disabled_at.is_(None),
        Voucher.over_at.is_(None) | (Voucher.over_at > now),
    )
    versions = db.scalars(
        select(PlanVersion).where(PlanVersion.id.in_(select(Voucher.plan_version_id).where(*unused).distinct()))
    )
    for version in versions.all():
        _give_of(db, router.id, version, unused)


def _give_of(db: Session, router_id: int, version: PlanVersion, unused: Any) -> None:
    columns = ["router_id", "key", "rev", "synced_rev", "wanted", "secret_sealed", "limits", "plan"]
    there = exists().where(RouterGrant.router_id == router_id, RouterGrant.key == Voucher.id)
    ready = Voucher.batch_id.is_(None) | exists().where(Batch.id == Voucher.batch_id, Batch.state == "ready")
    rows = select(
        literal(router_id, Integer),
        Voucher.id,
        literal(1, Integer),
        literal(0, Integer),
        literal(True, Boolean),
        Voucher.code_sealed,
        literal(making.card_limits(version), JSON),
        literal(version.name, String),
    ).where(*unused, Voucher.plan_version_id == version.id, ready, ~there)
    db.execute(insert(RouterGrant).from_select(columns, rows))
    again = select(Voucher.id).where(*unused, Voucher.plan_version_id == version.id)
    _want(
        db, RouterGrant.router_id == router_id, RouterGrant.wanted.is_(False), RouterGrant.key.in_(again), wanted=True
    )


def _take_back(db: Session, router_id: int) -> None:
    _want(db, RouterGrant.router_id == router_id, RouterGrant.wanted.is_(True), wanted=False)


def _take_back_what_ran_out(db: Session, router: Router, since: datetime | None, now: datetime) -> None:
    over = select(Voucher.id).where(Voucher.site_id == router.site_id, Voucher.over_at <= now)
    if since is not None:
        over = over.where(Voucher.over_at > since)
    here = (RouterGrant.router_id == router.id, RouterGrant.wanted.is_(True))
    _want(db, *here, RouterGrant.key.in_(over), wanted=False)


def _want(db: Session, *which: Any, wanted: bool) -> None:
    db.execute(update(RouterGrant).where(*which).values(wanted=wanted, rev=RouterGrant.rev + 1))
