"""The half-minute's look at a NAS that cannot be asked: who has nothing left, who is not there any more, and whether
it still reaches us. All of it from what it has told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from bawaba.core.events import Event
from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement
from bawaba.radius import rules
from bawaba.radius.gateways import gateways
from bawaba.routers import service, standing
from bawaba.routers.driver import RouterUnreachable
from bawaba.routers.models import Router
from bawaba.sessions import accounting, admission
from bawaba.sessions import rules as of_sessions
from bawaba.sessions.ending import end_session

log = structlog.get_logger(__name__)
SIGNS = Statement(
    "SELECT id, seen_at FROM guest_session WHERE router_id = :router_id AND ended_at IS NULL",
    "id seen_at",
    ("seen_at",),
)
FORGET = Statement("DELETE FROM radius_session WHERE stopped_at < :before AND router_id = :router_id")
KEEP_DAYS = 7  # no report comes later than that


async def look_now(rt: Runtime, router_id: int, next_at: datetime) -> list[Event]:
    """The look, as `polling.by_make` wants it."""
    interim_s = gateways(rt).get(router_id).options.interim_s
    return await rt.transact_async(look, router_id, interim_s, rt.clock.now(), next_at)


def look(db: Session, router_id: int, interim_s: int, now: datetime, next_at: datetime) -> list[Event]:
    """One pass: limits enforced, lost sessions ended when they were last heard of, the router's row brought up to date.

    A NAS that is silent altogether has lost nobody: its link is down, or ours was. Its guests go on.
    """
    router = db.get(Router, router_id)
    if router is None:
        return []
    before, last = router.status, router.last_seen_at
    heard_since = datetime.fromtimestamp(router.boot, UTC)
    is_silent = last is None or rules.is_lost(last, interim_s, now, rules.SILENT_INTERVALS)
    live = accounting.LIVE_AT.all(db, router_id=router_id)
    signs = {sign.id: sign.seen_at for sign in SIGNS.all(db, router_id=router_id)}  # of all of them: they are locked
    ended, online = [], 0
    for session in live:
        sign = max(signs[session.id] or session.created_at, heard_since)
        cause, ended_at = _why(db, session, signs[session.id], sign, interim_s, is_silent, now)
        if cause is not None and end_session(db, session.id, cause, now, ended_at):
            ended.append(session.id)
            admission.kick(db, router_id, session.id, now)
        elif session.state == "online":
            online += 1
    _write_row(db, router, is_silent and online > 0, online, interim_s, now, next_at)
    FORGET.run(db, router_id=router_id, before=now - timedelta(days=KEEP_DAYS))
    db.flush()
    news: list[Event] = [standing.status_event(router)] if router.status != before or ended else []
    return news + admission.changes(db, ended, urgent=True)


def _why(
    db: Session, session: Any, told_at: datetime | None, sign: datetime, interim_s: int, is_silent: bool, now: datetime
) -> tuple[str | None, datetime | None]:
    """Why a session has to end, and when that was; (None, None) when it goes on."""
    cause, ended_at = accounting.why_over(db, session, (0, 0), now)
    if cause is not None:
        return cause, ended_at
    if session.state == "opening":
        waited = now - (told_at or session.created_at) > timedelta(seconds=rules.ACCEPT_LASTS_S)
        return (rules.LOST, told_at or session.created_at) if waited else (None, None)
    if not is_silent and rules.is_lost(sign, interim_s, now):
        return rules.LOST, told_at
    as_told = told_at or session.created_at  # what was not told since may have been anything
    if session.kind == "used_time" and of_sessions.is_silent(session, session.idle_timeout_seconds, as_told):
        return of_sessions.IDLE_TIMEOUT, session.active_at
    return None, None


def _write_row(
    db: Session, router: Router, unheard: bool, online: int, interim_s: int, now: datetime, next_at: datetime
) -> None:
    """Silence with guests online is a missed poll: degraded, then down, until it is heard again. No look asks it
    anything, so none is the trial after a rest: that is the next order."""
    router.online = online
    if router.breaker_until is not None and router.breaker_until <= now:
        router.breaker_until = None
    if unheard:
        silence = RouterUnreachable(f"no accounting for {rules.SILENT_INTERVALS * interim_s} s")
        service.missed(db, router.id, silence, now, next_at)
    else:
        service.put_off(db, router.id, next_at)
