"""Reads of sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from bawaba.core.actor import Actor
from bawaba.sessions.errors import SessionNotFound
from bawaba.sessions.models import GuestSession
from bawaba.sessions.schemas import SHOWN
from bawaba.vouchers.models import Voucher
from bawaba.web.paging import PageRequest

Row = tuple[GuestSession, str]


def with_serial(actor: Actor | None = None) -> Select[GuestSession, str]:
    """Sessions and their cards' serials, of the sites that someone sees."""
    wanted = select(GuestSession, Voucher.serial).join(Voucher, Voucher.id == GuestSession.voucher_id)
    if actor is None or actor.site_ids is None:
        return wanted
    return wanted.where(GuestSession.site_id.in_(actor.site_ids))


def shown(session_ids: Sequence[int]) -> Select[Any]:
    """What `session_out` shows of some sessions, read as plain rows: a poll tells a hundred of them at once."""
    wanted = select(*(getattr(GuestSession, name) for name in SHOWN), Voucher.serial)
    return wanted.join(Voucher, Voucher.id == GuestSession.voucher_id).where(GuestSession.id.in_(session_ids))


def get_session(db: Session, actor: Actor, session_id: int) -> Row:
    """One session. Raises `SessionNotFound`, also for one of a site that is not theirs."""
    row = db.execute(with_serial(actor).where(GuestSession.id == session_id)).one_or_none()
    if row is None:
        raise SessionNotFound()
    return row[0], row[1]


def list_sessions(
    db: Session,
    actor: Actor,
    page: PageRequest,
    *,
    active: bool | None = None,
    voucher_id: int | None = None,
    router_id: int | None = None,
) -> Sequence[Row]:
    """Newest first, one row more than the page holds."""
    wanted = with_serial(actor)
    if active is not None:
        wanted = wanted.where(GuestSession.ended_at.is_(None) if active else GuestSession.ended_at.is_not(None))
    if voucher_id is not None:
        wanted = wanted.where(GuestSession.voucher_id == voucher_id)
    if router_id is not None:
        wanted = wanted.where(GuestSession.router_id == router_id)
    # Who is online is few among all who ever were: "+ 0" keeps SQLite from walking back through all of them by id.
    by = GuestSession.id + 0 if active else GuestSession.id
    if page.after_id is not None:
        wanted = wanted.where(by < page.after_id)
    rows = db.execute(wanted.order_by(by.desc()).limit(page.limit + 1))
    return [(row[0], row[1]) for row in rows]


def online_now(db: Session, actor: Actor) -> int:
    """How many devices are online."""
    counted = select(func.count()).select_from(GuestSession).where(GuestSession.ended_at.is_(None))
    if actor.site_ids is not None:
        counted = counted.where(GuestSession.site_id.in_(actor.site_ids))
    return db.scalar(counted) or 0
