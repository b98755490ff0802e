"""The half-minute's look at gateways that cannot be asked: who has nothing left by the clock, and whether they call."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bawaba.authmon.gateways import gateways
from bawaba.core.events import Event
from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement
from bawaba.routers import service, standing
from bawaba.routers.driver import RouterUnreachable
from bawaba.routers.models import Router, RouterJob
from bawaba.sessions import accounting, admission, rules
from bawaba.sessions.ending import end_session
from bawaba.sessions.models import GuestSession

log = structlog.get_logger(__name__)
NOT_SET_UP = "it has no name yet: run its setup script"
HERE = Statement(  # it is online by what we know, and nothing is counted meanwhile: nobody may call it silent
    "UPDATE guest_session SET active_at = :now, seen_at = :now WHERE id = :id AND ended_at IS NULL"
)


async def look_now(rt: Runtime, router_id: int, next_at: datetime) -> list[Event]:
    """The look, as `polling.by_make` wants it."""
    gateway = gateways(rt).get(router_id)
    gap_s = gateway.gap_s if gateway is not None else None
    return await rt.transact_async(look, router_id, gap_s, rt.clock.now(), next_at)


def look(db: Session, router_id: int, gap_s: float | None, now: datetime, next_at: datetime) -> list[Event]:
    """One pass: limits by the clock, and the router's row brought up to date. The gateway keeps the same limits itself,
    so it is told nothing; of a card that was switched off the promise says that it cannot be kept."""
    router = db.get(Router, router_id)
    if router is None:
        return []
    before, ended = router.status, []
    live = accounting.LIVE_AT.all(db, router_id=router_id)
    for session in live:
        cause, ended_at = accounting.why_over(db, session, (0, 0), now)
        if cause is not None and end_session(db, session.id, cause, now, ended_at):
            ended.append(session.id)
            if cause == rules.ADMIN_RESET:
                admission.kick(db, router_id, session.id, now)
        elif session.state == "online":
            HERE.run(db, id=session.id, now=now)
    _close_orders(db, router_id, now)
    router.online = sum(session.state == "online" for session in live if session.id not in ended)
    _write_row(db, router, gap_s, now, next_at)
    db.flush()
    news: list[Event] = [standing.status_event(router)] if router.status != before or ended else []
    return news + admission.changes(db, ended, urgent=True)


def started_anew(db: Session, router_id: int, now: datetime, off_since: datetime) -> list[int]:
    """The gateway has started anew. A card of used time is not charged from then on; who is still online there by it
    is charged when the gateway tells of the end. Cards that the clock ends go on: their guests are let in when they
    come back. Answers the sessions that ended."""
    live = accounting.LIVE_AT.all(db, router_id=router_id)
    online = [session for session in live if session.state == "online" and session.kind == "used_time"]
    return [session.id for session in online if end_session(db, session.id, rules.NAS_REBOOT, now, off_since)]


def _close_orders(db: Session, router_id: int, now: datetime) -> None:
    """Who could not be put out is out at the latest when the time that the gateway was given is over."""
    over = select(GuestSession.id).where(GuestSession.router_id == router_id, GuestSession.end_time < now)
    orders = update(RouterJob).where(RouterJob.router_id == router_id, RouterJob.kind == admission.KICK)
    mine = orders.where(RouterJob.state != "done", RouterJob.ref.in_(over))
    db.execute(mine.values(state="done", done_at=now, last_error=None))


def _write_row(db: Session, router: Router, gap_s: float | None, now: datetime, next_at: datetime) -> None:
    """No call for so long is a missed poll: degraded, then down, until it calls again."""
    router.breaker_until = None  # nothing is ever sent to it
    if gap_s is None:
        service.missed(db, router.id, RouterUnreachable(NOT_SET_UP), now, next_at)
    elif router.last_seen_at is None or now - router.last_seen_at > timedelta(seconds=gap_s):
        silence = RouterUnreachable(f"it has not called for {gap_s:g} s")
        service.missed(db, router.id, silence, now, next_at)
    else:
        service.put_off(db, router.id, next_at)
