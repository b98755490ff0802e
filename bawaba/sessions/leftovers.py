"""What sessions that are over have left behind on a router."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.routers.models import Router, RouterJob
from bawaba.routers.promises import promise
from bawaba.routers.reconcile import Drift, Finding, Look
from bawaba.sessions import admission
from bawaba.sessions.models import GuestSession

AT_ONCE = 500


class SessionKeeper:
    """Compares the rights that lie on a router for sessions with the sessions that go on there. One that is missing is
    seen by the poll, which lets its device in again."""

    def prepare(self, db: Session, router: Router, before: Mapping[str, Any], now: datetime) -> None:
        """What should be there is known already."""

    def compare(self, db: Session, look: Look) -> Finding:
        """Rights of sessions that are over, or have gone on elsewhere."""
        ids = [session_id for key in look.owned if (session_id := admission.session_id_of(key)) is not None]
        drift, over = Drift(), list[int]()
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            columns = select(GuestSession.id, GuestSession.router_id, GuestSession.ended_at)
            known = {row.id: row for row in db.execute(columns.where(GuestSession.id.in_(some)))}
            drift.unknown += len(some) - len(known)
            over += [row.id for row in known.values() if row.ended_at or row.router_id != look.router_id]
        promised = _promised(db, look.router_id)
        over = [session_id for session_id in over if session_id not in promised]
        if not look.may_remove:
            drift.held_back = len(over)
            return Finding(drift)
        drift.extra = len(over)
        drift.examples = [admission.key_of(session_id) for session_id in over[:20]]

        def mend(db: Session, now: datetime) -> None:
            for session_id in over:
                promise(db, look.router_id, admission.DROP, session_id, now)

        return Finding(drift, mend if over else None)


def _promised(db: Session, router_id: int) -> set[int]:
    """Sessions whose end at this router is promised already."""
    wanted = select(RouterJob.ref).where(
        RouterJob.router_id == router_id,
        RouterJob.kind.in_((admission.KICK, admission.DROP)),
        RouterJob.state == "open",
    )
    return {ref for ref in db.scalars(wanted) if ref is not None}
