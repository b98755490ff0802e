"""What sessions that are over have left behind on a router."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.routers.models import Router, RouterJob
from bawaba.routers.promises import promise
from bawaba.routers.reconcile import GROUP, Before, Drift, Finding, Look
from bawaba.sessions import admission
from bawaba.sessions.models import GuestSession


class SessionKeeper:
    """Compares the rights that lie on a router for sessions with the sessions that go on there. One that is missing is
    seen by the poll, which lets its device in again."""

    def prepare(self, db: Session, router: Router, before: Before, after: Any, now: datetime) -> None:
        """What should be there is known already."""

    def compare(self, db: Session, look: Look, after: int | None) -> Finding:
        """Rights of sessions that are over, or have gone on elsewhere, a group of them from this place on."""
        start = after or 0
        some = look.numbers.get(admission.KEY, ())[start : start + GROUP]
        go_on = start + GROUP if len(some) == GROUP else None
        columns = select(GuestSession.id, GuestSession.router_id, GuestSession.ended_at)
        known = {row.id: row for row in db.execute(columns.where(GuestSession.id.in_(some)))}
        drift = Drift(unknown=len(some) - len(known))
        promised = _promised(db, look.router_id)
        gone = [row.id for row in known.values() if row.ended_at or row.router_id != look.router_id]
        over = [session_id for session_id in gone if session_id not in promised]
        if not look.may_remove:
            drift.held_back = len(over)
            return Finding(drift, None, go_on)
        drift.extra = len(over)
        drift.examples = [admission.key_of(session_id) for session_id in over[:20]]

        def mend(db: Session, now: datetime) -> None:
            for session_id in over:
                promise(db, look.router_id, admission.DROP, session_id, now)

        return Finding(drift, mend if over else None, go_on)


def _promised(db: Session, router_id: int) -> set[int]:
    """Sessions whose end at this router is promised already."""
    wanted = select(RouterJob.ref).where(
        RouterJob.router_id == router_id,
        RouterJob.kind.in_((admission.KICK, admission.DROP)),
        RouterJob.state == "open",
    )
    return {ref for ref in db.scalars(wanted) if ref is not None}
