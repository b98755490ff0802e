"""What operators do to sessions and cards in use."""

from __future__ import annotations

import time
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.core.actor import SYSTEM, Actor
from bawaba.core.runtime import Runtime
from bawaba.routers import cards
from bawaba.routers.models import Router
from bawaba.routers.part import part
from bawaba.routers.promises import Promised
from bawaba.sessions import admission, queries, rules
from bawaba.sessions.ending import end_session
from bawaba.sessions.errors import CardMoved, NothingToResume
from bawaba.sessions.models import GuestSession
from bawaba.sessions.redeem import GUEST_WAIT_S, Guest
from bawaba.vouchers.models import Voucher
from bawaba.vouchers.queries import Card, get_card
from bawaba.vouchers.rules import thaw


def terminate(rt: Runtime, actor: Actor, session_id: int) -> queries.Row:
    """End a session in the database and on its router; one that has ended already stays as it is."""
    job = rt.transact(_terminate, actor, session_id, rules.ADMIN_RESET, rt.clock.now())
    if job is not None:
        deliver(rt, [job], [session_id])
    return rt.read(queries.get_session, actor, session_id)


def _terminate(db: Session, actor: Actor, session_id: int, cause: str, now: datetime) -> Promised | None:
    session, serial = queries.get_session(db, actor, session_id)
    if not end_session(db, session.id, cause, now):
        return None
    facts = {"serial": serial, "mac": session.client_mac}
    if actor is not SYSTEM:
        audit.record(db, actor, "session.terminated", session.site_id, "session", session.id, now, **facts)
    return admission.kick(db, session.router_id, session.id, now, express=True)


def log_out(rt: Runtime, guest: Guest) -> None:
    """A guest leaves: a used-time card keeps the rest. Raises `NothingToResume` when the device is not online."""
    job, session_id = rt.transact(_log_out, guest, rt.clock.now())
    if job is not None:
        deliver(rt, [job], [session_id])


def _log_out(db: Session, guest: Guest, now: datetime) -> tuple[Promised | None, int]:
    here = select(Router.site_id).where(Router.id == guest.router_id).scalar_subquery()  # a spare may have let it in
    mine = select(GuestSession.id).where(
        GuestSession.site_id == here,
        GuestSession.client_mac == guest.mac,
        GuestSession.ended_at.is_(None),
    )
    session_id = db.scalar(mine.order_by(GuestSession.id.desc()).limit(1))
    if session_id is None:
        raise NothingToResume()
    return _terminate(db, SYSTEM, session_id, rules.USER_REQUEST, now), session_id


def set_disabled(rt: Runtime, actor: Actor, voucher_id: int, disabled: bool) -> Card:
    """Switch a card off, ending whoever is online by it, or on again as it was."""
    jobs, ended = rt.transact(_set_disabled, actor, voucher_id, disabled, rt.clock.now())
    deliver(rt, jobs, ended)
    part(rt).wake()
    return rt.read(get_card, actor, voucher_id)


def _set_disabled(
    db: Session, actor: Actor, voucher_id: int, disabled: bool, now: datetime
) -> tuple[list[Promised], list[int]]:
    get_card(db, actor, voucher_id)
    voucher = db.get_one(Voucher, voucher_id, with_for_update=True, populate_existing=True)  # as the last one left it
    if (voucher.disabled_at is not None) == disabled:
        return [], []
    if not disabled and voucher.moved_to is not None:
        raise CardMoved(to=voucher.moved_to)
    _switch(voucher, disabled, now)
    db.flush()
    action = "card.disabled" if disabled else "card.enabled"
    audit.record(db, actor, action, voucher.site_id, "voucher", voucher.id, now, serial=voucher.serial)
    if disabled or voucher.status == "unused":  # one in use goes on at the portal: a router would begin it anew
        cards.want(db, [voucher.id], not disabled, now)
    if not disabled:
        return [], []
    live = select(GuestSession.id, GuestSession.router_id).where(
        GuestSession.voucher_id == voucher.id, GuestSession.ended_at.is_(None)
    )
    jobs, ended = [], []
    for row in db.execute(live).all():
        if end_session(db, row.id, rules.ADMIN_RESET, now):
            jobs.append(admission.kick(db, row.router_id, row.id, now, express=True))
            ended.append(row.id)
    return jobs, ended


def _switch(voucher: Voucher, disabled: bool, now: datetime) -> None:
    if not disabled and voucher.frozen_at is not None:
        thaw(voucher, now)
    else:
        voucher.disabled_at = now if disabled else None


def deliver(rt: Runtime, jobs: list[Promised], session_ids: list[int]) -> None:
    """Do the routers' work now where they answer in time; else the promises stand and the outbox keeps them."""
    until = time.monotonic() + GUEST_WAIT_S
    for job in jobs:
        work = rt.read(part(rt).kinds[job.kind].prepare, job, rt.clock.now())
        if work is not None:
            part(rt).deliver(job, work, max(0.0, until - time.monotonic()))
    admission.announce(rt, session_ids)
