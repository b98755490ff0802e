"""Reads of routers, their jobs and what they hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, or_, select, text
from sqlalchemy.orm import Session

from bawaba.core.actor import Actor
from bawaba.routers.errors import JobNotFound, RouterNotFound
from bawaba.routers.models import THERE, Router, RouterGrant, RouterJob
from bawaba.web.paging import PageRequest

ROUTERS_MOST = 1000
UNREAD_MOST = 20


def visible(actor: Actor) -> Select[Router]:
    """The routers of the sites that someone sees."""
    wanted = select(Router).where(THERE)
    return wanted if actor.site_ids is None else wanted.where(Router.site_id.in_(actor.site_ids))


def get_router(db: Session, actor: Actor, router_id: int) -> Router:
    """One router. Raises `RouterNotFound`, also for one of a site that is not theirs."""
    router = db.scalar(visible(actor).where(Router.id == router_id))
    if router is None:
        raise RouterNotFound()
    return router


def list_routers(db: Session, actor: Actor, page: PageRequest, site_id: int | None = None) -> Sequence[Router]:
    """Newest first, one row more than the page holds."""
    wanted = visible(actor)
    if site_id is not None:
        wanted = wanted.where(Router.site_id == site_id)
    if page.after_id is not None:
        wanted = wanted.where(Router.id < page.after_id)
    return db.scalars(wanted.order_by(Router.id.desc()).limit(page.limit + 1)).all()


@dataclass(frozen=True, slots=True)
class Unread:
    """A router that does not answer, with the sessions that were going on when it was last seen."""

    id: int
    site_id: int
    name: str
    last_seen_at: datetime | None
    sessions: int


def unread(db: Session, actor: Actor) -> list[Unread]:
    """The routers that could not be read at the last try and have guests online, as far as we know."""
    wanted = visible(actor).where(Router.status.in_(("degraded", "down")), Router.missed_polls > 0)
    boxes = db.scalars(wanted.order_by(Router.name).limit(UNREAD_MOST)).all()
    if not boxes:
        return []
    live = text("SELECT router_id, count(*) FROM guest_session WHERE ended_at IS NULL AND router_id IN :ids GROUP BY 1")
    found = db.execute(live.bindparams(bindparam("ids", expanding=True)), {"ids": [box.id for box in boxes]})
    counts = {row[0]: row[1] for row in found}
    return [Unread(b.id, b.site_id, b.name, b.last_seen_at, counts[b.id]) for b in boxes if counts.get(b.id)]


def guests_at(db: Session, router_id: int) -> int:
    """How many guests are online through a router, or about to be (the table is that of `sessions`, above us)."""
    live = text("SELECT count(*) FROM guest_session WHERE ended_at IS NULL AND router_id = :router_id")
    return int(db.execute(live, {"router_id": router_id}).scalar_one())


def removed_with_guests(db: Session) -> list[int]:
    """Removed routers that somebody is noted to be online through all the same."""
    gone = (
        "SELECT id FROM router r WHERE removed_at IS NOT NULL AND EXISTS "
        "(SELECT 1 FROM guest_session WHERE ended_at IS NULL AND router_id = r.id)"
    )
    return list(db.execute(text(gone)).scalars())


def lying_on(db: Session, router_id: int) -> int:
    """How many cards a router holds itself, as far as we know."""
    held = (RouterGrant.router_id == router_id, RouterGrant.synced_rev > 0)
    there = or_(RouterGrant.wanted, RouterGrant.synced_rev < RouterGrant.rev)
    return db.scalar(select(func.count()).select_from(RouterGrant).where(*held, there)) or 0


def get_job(db: Session, actor: Actor, job_id: int) -> RouterJob:
    """One job. Raises `JobNotFound`, also for one of a site that is not theirs."""
    job = db.scalar(_jobs(actor).where(RouterJob.id == job_id))
    if job is None:
        raise JobNotFound()
    return job


def list_jobs(
    db: Session,
    actor: Actor,
    page: PageRequest,
    state: str | None = None,
    router_id: int | None = None,
    *,
    given_up: bool | None = None,
) -> Sequence[RouterJob]:
    """Newest first, one row more than the page holds. `given_up`: only those that a person gave up, or only others."""
    wanted = _jobs(actor)
    if state is not None:
        wanted = wanted.where(RouterJob.state == state)
    if router_id is not None:
        wanted = wanted.where(RouterJob.router_id == router_id)
    if given_up is not None:
        wanted = wanted.where(RouterJob.given_up_by.is_not(None) if given_up else RouterJob.given_up_by.is_(None))
    if page.after_id is not None:
        wanted = wanted.where(RouterJob.id < page.after_id)
    return db.scalars(wanted.order_by(RouterJob.id.desc()).limit(page.limit + 1)).all()


def names(db: Session, router_ids: Collection[int]) -> dict[int, str]:
    """The names behind ids, those of removed routers too."""
    if not router_ids:
        return {}
    return {row.id: row.name for row in db.execute(select(Router.id, Router.name).where(Router.id.in_(router_ids)))}


def unfinished_jobs(db: Session, actor: Actor, page: PageRequest, router_id: int | None = None) -> Sequence[RouterJob]:
    """What waits, is tried again or needs a person; newest first, one row more than the page holds."""
    wanted = _jobs(actor).where(RouterJob.state.in_(("open", "failed")), RouterJob.given_up_by.is_(None))
    if router_id is not None:
        wanted = wanted.where(RouterJob.router_id == router_id)
    if page.after_id is not None:
        wanted = wanted.where(RouterJob.id < page.after_id)
    return db.scalars(wanted.order_by(RouterJob.id.desc()).limit(page.limit + 1)).all()


def trouble(db: Session, actor: Actor, most: int) -> tuple[int, int]:
    """How many jobs need a person, and how many are being tried again; each counted up to `most`."""

    def count(*conditions: ColumnElement[bool]) -> int:
        some = _jobs(actor).where(*conditions).with_only_columns(RouterJob.id).limit(most)
        return db.scalar(select(func.count()).select_from(some.subquery())) or 0

    needs_a_person = and_(RouterJob.state == "failed", RouterJob.given_up_by.is_(None))
    return count(needs_a_person), count(RouterJob.state == "open", RouterJob.last_error.is_not(None))


def _jobs(actor: Actor) -> Select[RouterJob]:
    wanted = select(RouterJob).join(Router, Router.id == RouterJob.router_id).where(THERE)
    return wanted if actor.site_ids is None else wanted.where(Router.site_id.in_(actor.site_ids))
