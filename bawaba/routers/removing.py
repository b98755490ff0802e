"""Taking a router away for good: its guests are sent home, its work is given up, and the past keeps its name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.core.actor import SYSTEM, Actor
from bawaba.core.events import Event
from bawaba.core.runtime import Runtime
from bawaba.routers import queries
from bawaba.routers.directory import directory
from bawaba.routers.errors import RouterInUse, RouterNotFound
from bawaba.routers.models import Router, RouterGrant, RouterJob
from bawaba.routers.part import SendHome, part

log = structlog.get_logger(__name__)
GOODBYE_S = 6.0  # so long a router that answers is given to close its guests out
GRANTS_AT_ONCE = 500


def remove_router(rt: Runtime, actor: Actor, router_id: int, *, confirmed: bool = False) -> None:
    """Remove a router. Guests who are online through it are sent home first, where that is `confirmed`; their cards
    keep what is left. Raises `RouterInUse` where it is not, and `RouterNotFound`."""
    if confirmed:
        _tell(rt, rt.transact(_send_home, rt, actor, router_id, rt.clock.now()))
        part(rt).deliver_all(router_id, GOODBYE_S)
    _tell(rt, rt.transact(_remove, rt, actor, router_id, confirmed, rt.clock.now()))
    directory(rt).forget()
    part(rt).loop.submit(part(rt).links.remove(router_id))
    while rt.transact(forget_cards, router_id):
        continue


def _tell(rt: Runtime, events: Sequence[Event]) -> None:
    for event in events:
        rt.publish(event)


def _send_home(db: Session, rt: Runtime, actor: Actor, router_id: int, now: datetime) -> list[Event]:
    router = queries.get_router(db, actor, router_id)
    return list(part(rt).send_home(db, router.id, now))


def _remove(db: Session, rt: Runtime, actor: Actor, router_id: int, confirmed: bool, now: datetime) -> list[Event]:
    router = _locked(db, actor, router_id)
    online = queries.guests_at(db, router.id)
    if online and not confirmed:
        raise RouterInUse(online=online)
    events = list(part(rt).send_home(db, router.id, now)) if online else []
    _give_up_its_work(db, router.id, actor.username, now)
    router.removed_at = now
    router.password_sealed = router.secrets_sealed = router.lease_owner = router.lease_until = None
    audit.record(db, actor, "router.removed", router.site_id, "router", router.id, now, name=router.name)
    return events


def _locked(db: Session, actor: Actor, router_id: int) -> Router:
    """The row, locked against new sessions too: who is about to begin one there waits, and we see who has."""
    router = queries.get_router(db, actor, router_id)
    mine = select(Router).where(Router.id == router.id).with_for_update()
    locked = db.scalar(mine.execution_options(populate_existing=True))
    if locked is None or locked.removed_at is not None:
        raise RouterNotFound()
    return locked


def _give_up_its_work(db: Session, router_id: int, by: str, now: datetime) -> None:
    undone = update(RouterJob).where(RouterJob.router_id == router_id, RouterJob.state != "done")
    db.execute(undone.values(state="failed", given_up_by=by, done_at=now))


def forget_cards(db: Session, router_id: int | None = None) -> int:
    """Forget which cards a removed router was to hold (None: any of them), 500 at a time; how many those were."""
    gone = select(Router.id).where(Router.removed_at.is_not(None))
    if router_id is not None:
        gone = gone.where(Router.id == router_id)
    some = select(RouterGrant.id).where(RouterGrant.router_id.in_(gone)).limit(GRANTS_AT_ONCE)
    return int(db.execute(delete(RouterGrant).where(RouterGrant.id.in_(some))).rowcount)  # type: ignore[attr-defined]


def clear_up(db: Session, send_home: SendHome, now: datetime) -> None:
    """What a removal that was cut off has left: cards, and a guest who slipped in meanwhile."""
    forget_cards(db)
    for router_id in queries.removed_with_guests(db):
        log.warning("a guest was still noted at a removed router", router_id=router_id)
        send_home(db, router_id, now)
        _give_up_its_work(db, router_id, SYSTEM.username, now)
