"""A free trial: some minutes a device and day of the site, where its owner gives that.

A trial is a card like any other, only that nobody buys it and nobody learns its code. A device is what the router knows
it by; a phone that shows another MAC is another device to us, and nothing that a portal can see tells them apart.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.runtime import Runtime
from bawaba.plans.models import Plan, PlanVersion
from bawaba.plans.rules import ELAPSED
from bawaba.routers.errors import RouterUnreachableNow
from bawaba.sessions import redeem
from bawaba.sessions.errors import DeviceBlocked, NoTrial, TrialUsed
from bawaba.sessions.models import Trial
from bawaba.sessions.redeem import Guest, Outcome, Redemption
from bawaba.sites.models import Site
from bawaba.vouchers import claiming, making
from bawaba.web.language import translate

IDLE_TIMEOUT_S = 300


def begin_trial(rt: Runtime, guest: Guest) -> Redemption:
    """Let a device in for nothing. Raises `NoTrial`, `TrialUsed`, and what redeeming raises about device and router."""
    return redeem.carry_out(rt, guest, rt.transact(_begin, rt, guest, rt.clock.now()))


def may_try(db: Session, site_id: int, device: str, now: datetime) -> bool:
    """Whether a free trial may be offered to a device now (step)."""
    site = db.get(Site, site_id)
    return site is not None and site.trial_minutes is not None and _had(db, site, device, now) is None


def _begin(db: Session, rt: Runtime, guest: Guest, now: datetime) -> Outcome:
    place = redeem.place_of(db, guest)
    site = db.get_one(Site, place.site_id, with_for_update=True)  # of two taps one is first
    if site.trial_minutes is None:
        raise NoTrial()
    had = _had(db, site, guest.mac, now)
    voucher_id = had.voucher_id if had is not None else _new_card(db, rt, site, guest.mac, now)
    outcome = redeem.use_card(db, claiming.BY_ID.first(db, id=voucher_id), place, guest, False, now)
    if outcome.refusal is not None:  # nothing of this was: the day's trial is still to be had
        about_the_card = had is not None and not isinstance(outcome.refusal, RouterUnreachableNow | DeviceBlocked)
        raise TrialUsed() if about_the_card else outcome.refusal
    return outcome


def _had(db: Session, site: Site, device: str, now: datetime) -> Trial | None:
    mine = (Trial.site_id == site.id, Trial.device == device, Trial.day == _day(site, now))
    return db.scalar(select(Trial).where(*mine))


def _day(site: Site, now: datetime) -> str:
    return redeem.today_at(site, now).isoformat()


def _new_card(db: Session, rt: Runtime, site: Site, device: str, now: datetime) -> int:
    voucher_id = making.put_free_card(db, rt, site.id, _version(db, site, now), now)
    db.add(Trial(site_id=site.id, device=device, day=_day(site, now), voucher_id=voucher_id))
    db.flush()
    return voucher_id


def _version(db: Session, site: Site, now: datetime) -> PlanVersion:
    """The site's plan of its trial, which stands in no list; a new version when the owner has changed the trial."""
    assert site.trial_minutes is not None
    plan = db.scalar(select(Plan).where(Plan.site_id == site.id, Plan.is_trial))
    terms: dict[str, Any] = {
        "duration_seconds": site.trial_minutes * 60,
        "rate_down_kbps": site.trial_rate_kbps,
        "rate_up_kbps": site.trial_rate_kbps,
    }
    if plan is None:
        plan = Plan(site_id=site.id, version=0, archived_at=now, is_trial=True, created_at=now)
        db.add(plan)
        db.flush()
    newest = select(PlanVersion).where(PlanVersion.plan_id == plan.id, PlanVersion.version == plan.version)
    version = db.scalar(newest)
    if version is not None and all(getattr(version, name) == value for name, value in terms.items()):
        return version
    plan.version += 1
    made = PlanVersion(
        plan_id=plan.id,
        version=plan.version,
        name=translate("Free trial", site.language),
        kind=ELAPSED,
        devices_at_once=1,
        idle_timeout_seconds=IDLE_TIMEOUT_S,
        price_minor=0,
        currency=site.currency,
        created_at=now,
        **terms,
    )
    db.add(made)
    db.flush()
    return made
