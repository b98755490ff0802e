"""Sending everybody home who is online through a router that is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.events import Event
from bawaba.sessions import admission, rules
from bawaba.sessions.ending import end_session
from bawaba.sessions.models import GuestSession


def send_home(db: Session, router_id: int, now: datetime) -> Sequence[Event]:
    """End every session of a router and promise to close them there; the news of them (step)."""
    live = select(GuestSession.id).where(GuestSession.router_id == router_id, GuestSession.ended_at.is_(None))
    ended = [one for one in db.scalars(live.order_by(GuestSession.id)).all() if _end(db, one, router_id, now)]
    return admission.changes(db, ended, urgent=True)


def _end(db: Session, session_id: int, router_id: int, now: datetime) -> bool:
    if not end_session(db, session_id, rules.ADMIN_RESET, now):
        return False
    admission.kick(db, router_id, session_id, now)
    return True
