"""Making and changing plans. A change is a new version; cards keep the one that they were sold with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.accounts.idempotency import Once
from bawaba.core.actor import Actor
from bawaba.core.cache import Region
from bawaba.core.errors import Invalid
from bawaba.core.runtime import Runtime
from bawaba.plans import rules
from bawaba.plans.errors import PlanArchived, PlanNotFound
from bawaba.plans.models import Plan, PlanVersion
from bawaba.sites.models import Site
from bawaba.sites.service import resolve_site, sees
from bawaba.web.paging import PageRequest

CACHED = Region("plans", ("plan", "plan_version"), ttl_s=300)
PlanNow = tuple[Plan, PlanVersion]  # a plan with its newest version


def get_version(db: Session, version_id: int) -> PlanVersion:
    """A version by its id, however old (step). Raises `PlanNotFound`."""
    version = db.get(PlanVersion, version_id)
    if version is None:
        raise PlanNotFound()
    return version


def get_plan(db: Session, actor: Actor, plan_id: int) -> PlanNow:
    """A plan that the caller sees, put away or not (step). Raises `PlanNotFound`."""
    row = db.execute(_plans().where(Plan.id == plan_id)).one_or_none()
    if row is None or not actor.sees(row[0].site_id):
        raise PlanNotFound()
    return row[0], row[1]


def get_current_version(db: Session, actor: Actor, plan_id: int) -> tuple[PlanVersion, Site]:
    """What new cards of a plan are made with (step). Raises `PlanNotFound`, `PlanArchived`."""
    plan, version = get_plan(db, actor, plan_id)
    if plan.archived_at is not None:
        raise PlanArchived()
    return version, db.get_one(Site, plan.site_id)


def list_plans(
    db: Session, actor: Actor, page: PageRequest, *, archived: bool = False, site_id: int | None = None
) -> Sequence[PlanNow]:
    """Plans of the caller's sites, newest first, one more than the page holds."""
    put_away = Plan.archived_at.is_not(None) if archived else Plan.archived_at.is_(None)
    wanted = _plans().where(sees(actor, Plan.site_id), put_away, Plan.is_trial.is_(False))
    wanted = wanted.order_by(Plan.id.desc()).limit(page.limit + 1)
    if site_id is not None:
        wanted = wanted.where(Plan.site_id == site_id)
    if page.after_id is not None:
        wanted = wanted.where(Plan.id < page.after_id)
    return [(row[0], row[1]) for row in db.execute(wanted)]


def _plans() -> Any:
    newest = (PlanVersion.plan_id == Plan.id) & (PlanVersion.version == Plan.version)
    return select(Plan, PlanVersion).join(PlanVersion, newest)


def add_plan(
    rt: Runtime, actor: Actor, site_id: int | None, facts: dict[str, Any], once: Once | None = None
) -> PlanNow:
    """Add a plan to a site. `facts` has every name of `rules.FACTS`; `currency` None is the site's.

    Raises `Invalid` with the faults by field, and what `resolve_site` raises.
    """
    return rt.transact(_add, actor, site_id, facts, rt.clock.now(), once)


def _add(
    db: Session, actor: Actor, site_id: int | None, facts: dict[str, Any], now: datetime, once: Once | None
) -> PlanNow:
    site = resolve_site(db, actor, site_id)
    facts = {**facts, "currency": facts["currency"] or site.currency}
    _check(facts)
    plan = Plan(site_id=site.id, version=1, created_at=now)
    db.add(plan)
    db.flush()
    version = _new_version(db, plan, facts, now)
    audit.record(db, actor, "plan.added", site.id, "plan", plan.id, now, name=version.name)
    if once is not None:
        once.record(db, plan.id)
    return plan, version


def change_plan(
    rt: Runtime, actor: Actor, plan_id: int, changes: dict[str, Any], archived: bool | None = None
) -> PlanNow:
    """Change a plan; what is left out stays. Anything that a card says makes a new version."""
    return rt.transact(_change, actor, plan_id, changes, archived, rt.clock.now())


def _change(
    db: Session, actor: Actor, plan_id: int, changes: dict[str, Any], archived: bool | None, now: datetime
) -> PlanNow:
    db.execute(select(Plan.id).where(Plan.id == plan_id).with_for_update())  # two changes at once: one after the other
    plan, version = get_plan(db, actor, plan_id)
    before = {name: getattr(version, name) for name in rules.FACTS}
    after = {**before, **changes}
    _check(after)
    changed = rules.matters(before, after)
    if changed:
        plan.version += 1
        version = _new_version(db, plan, after, now)
        audit.record(
            db, actor, "plan.changed", plan.site_id, "plan", plan.id, now, version=plan.version, fields=changed
        )
    if archived is not None and archived != (plan.archived_at is not None):
        plan.archived_at = now if archived else None
        audit.record(db, actor, "plan.archived" if archived else "plan.restored", plan.site_id, "plan", plan.id, now)
    return plan, version


def _new_version(db: Session, plan: Plan, facts: dict[str, Any], now: datetime) -> PlanVersion:
    version = PlanVersion(plan_id=plan.id, version=plan.version, created_at=now, **facts)
    db.add(version)
    db.flush()
    return version


def _check(facts: dict[str, Any]) -> None:
    if found := rules.faults(facts):
        raise Invalid(fields=found)
