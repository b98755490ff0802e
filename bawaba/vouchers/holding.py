"""Which cards the routers of a site should hold themselves, as the site and the clock have it now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Boolean, Integer, String, exists, insert, literal, select, update
from sqlalchemy.orm import Session

from bawaba.plans.models import PlanVersion
from bawaba.routers.driver import Cap
from bawaba.routers.links import driver_class
from bawaba.routers.models import Router, RouterGrant
from bawaba.routers.reconcile import GROUP, Before, Drift, Finding, Look
from bawaba.vouchers import making
from bawaba.vouchers.models import Batch, Voucher

OVERLAP = timedelta(hours=1)  # cards that ran out before the last look are looked at once more


class Holding:
    """Before a router is compared: give it the cards of a site that came to hold them there, and take back those that
    ran out on the shelf or, when the site keeps them at the server now, all of them. A group of cards a step."""

    def prepare(self, db: Session, router: Router, before: Before, after: Any, now: datetime) -> Any:
        """Bring the list of what should be there up to date, from where the last step ended."""
        if Cap.PRELOAD not in driver_class(router.driver).caps:
            return None
        if before.noted.get("mode") != before.mode:
            return _take_back(db, router.id, after) if before.mode != "router_held" else _give(db, router, after, now)
        if before.mode != "router_held":
            return None
        since = datetime.fromisoformat(before.noted["at"]) - OVERLAP if "at" in before.noted else None
        return _take_back_what_ran_out(db, router, since, after, now)

    def compare(self, db: Session, look: Look, after: Any) -> Finding:
        """The comparison itself is that of `routers.cards`."""
        return Finding(Drift())


def _give(db: Session, router: Router, after: int | None, now: datetime) -> int | None:
    """The next unused cards of the site, where the router lacks them: one INSERT … SELECT for all that have the same
    limits."""
    ready = Voucher.batch_id.is_(None) | exists().where(Batch.id == Voucher.batch_id, Batch.state == "ready")
    unused = (
        Voucher.site_id == router.site_id,
        Voucher.status == "unused",
        Voucher.disabled_at.is_(None),
        Voucher.over_at.is_(None) | (Voucher.over_at > now),
        ready,
    )
    facts = (Voucher.plan_version_id, Voucher.extra_seconds, Voucher.extra_bytes)
    cards = select(Voucher.id, *facts).where(*unused, Voucher.id > (after or 0))
    found = db.execute(cards.order_by(Voucher.id).limit(GROUP)).all()
    ids = [row.id for row in found]
    versions = db.scalars(select(PlanVersion).where(PlanVersion.id.in_({row.plan_version_id for row in found})))
    by_id = {version.id: version for version in versions}
    alike: dict[tuple[int, int, int], list[int]] = {}
    for row in found:
        alike.setdefault((row.plan_version_id, row.extra_seconds, row.extra_bytes), []).append(row.id)
    for (version_id, seconds, more_bytes), some in alike.items():
        version = by_id[version_id]
        _give_of(db, router.id, version, making.card_limits(version, seconds, more_bytes), some)
    _want(db, RouterGrant.router_id == router.id, RouterGrant.wanted.is_(False), RouterGrant.key.in_(ids), wanted=True)
    return ids[-1] if len(ids) == GROUP else None


def _give_of(
    db: Session, router_id: int, version: PlanVersion, limits: dict[str, Any], voucher_ids: Sequence[int]
) -> None:
    columns = ["router_id", "key", "rev", "synced_rev", "wanted", "secret_sealed", "limits", "plan"]
    there = exists().where(RouterGrant.router_id == router_id, RouterGrant.key == Voucher.id)
    rows = select(
        literal(router_id, Integer),
        Voucher.id,
        literal(1, Integer),
        literal(0, Integer),
        literal(True, Boolean),
        Voucher.code_sealed,
        literal(limits, JSON),
        literal(version.name, String),
    ).where(Voucher.id.in_(voucher_ids), ~there)
    db.execute(insert(RouterGrant).from_select(columns, rows))


def _take_back(db: Session, router_id: int, after: int | None) -> int | None:
    mine = select(RouterGrant.key).where(RouterGrant.router_id == router_id, RouterGrant.key > (after or 0))
    keys = db.scalars(mine.order_by(RouterGrant.key).limit(GROUP)).all()
    _take_away(db, router_id, keys)
    return keys[-1] if len(keys) == GROUP else None


def _take_back_what_ran_out(
    db: Session, router: Router, since: datetime | None, after: tuple[datetime, int] | None, now: datetime
) -> tuple[datetime, int] | None:
    """The cards of the site that ran out since then, the next group by when that was."""
    over = select(Voucher.over_at, Voucher.id).where(Voucher.site_id == router.site_id, Voucher.over_at <= now)
    if after is not None:
        at, voucher_id = after
        over = over.where((Voucher.over_at > at) | ((Voucher.over_at == at) & (Voucher.id > voucher_id)))
        over = over.where(Voucher.over_at >= at)
    elif since is not None:
        over = over.where(Voucher.over_at > since)
    found = db.execute(over.order_by(Voucher.over_at, Voucher.id).limit(GROUP)).all()
    _take_away(db, router.id, [row.id for row in found])
    return (found[-1].over_at, found[-1].id) if len(found) == GROUP else None


def _take_away(db: Session, router_id: int, keys: Sequence[int]) -> None:
    here = (RouterGrant.router_id == router_id, RouterGrant.wanted.is_(True))
    _want(db, *here, RouterGrant.key.in_(keys), wanted=False)


def _want(db: Session, *which: Any, wanted: bool) -> None:
    db.execute(update(RouterGrant).where(*which).values(wanted=wanted, rev=RouterGrant.rev + 1))
