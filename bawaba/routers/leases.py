"""Which process polls and delivers to which router: leases, shared evenly among those who work.

Whoever works says so every ten seconds. Each holds its share of the routers at most, gives back what it has beyond
that, and takes what is free: of the dead after half a minute, of those who stopped in good order at once.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from bawaba.core import facts
from bawaba.core.database import to_micros
from bawaba.core.models import InstallFact
from bawaba.routers.models import THERE, Router, RouterGrant

LEASE = timedelta(seconds=30)
DUTY = "duty:"  # facts of this name say until when a process counts as one that works


def duty(owner: str) -> str:
    """The name of the fact that says so."""
    return DUTY + owner.rpartition(":")[2]


def take(db: Session, owner: str, now: datetime, fresh: bool) -> set[int]:
    """Prolong what is ours, take what is free, up to our share; the answer is what is ours now (step).

    Who has just started (`fresh`) looks at its routers at once: much may have happened while nobody did, and guests who
    came and went by cards that lie there are found by comparing.
    """
    share = _share(db, owner, now)
    mine = set(db.scalars(select(Router.id).where(Router.lease_owner == owner, THERE)))
    surplus = sorted(mine)[share:]
    if surplus:
        db.execute(update(Router).where(Router.id.in_(surplus)).values(lease_owner=None, lease_until=None))
        mine -= set(surplus)
    mine |= _free(db, owner, now, share - len(mine))
    lease: dict[str, Any] = {"lease_owner": owner, "lease_until": now + LEASE}
    if fresh:
        lease["next_poll_at"] = None
    db.execute(update(Router).where(Router.id.in_(mine)).values(**lease))
    if fresh:
        holds_cards = select(RouterGrant.id).where(RouterGrant.router_id == Router.id).exists()
        db.execute(update(Router).where(Router.id.in_(mine), holds_cards).values(reconcile_at=None))
    return mine


def give_back(db: Session, owner: str) -> None:
    """Leave every router to the others, and work no more (step)."""
    db.execute(update(Router).where(Router.lease_owner == owner).values(lease_owner=None, lease_until=None))
    db.execute(delete(InstallFact).where(InstallFact.name == duty(owner)))


def _share(db: Session, owner: str, now: datetime) -> int:
    """How many routers one of those who work holds at most, ourselves counted."""
    facts.remember(db, duty(owner), str(to_micros(now + LEASE)))
    db.flush()
    working = 0
    for name, until in db.execute(select(InstallFact.name, InstallFact.value).where(InstallFact.name.startswith(DUTY))):
        if int(until) >= to_micros(now):
            working += 1
        elif name != duty(owner):
            db.execute(delete(InstallFact).where(InstallFact.name == name))
    routers = db.scalar(select(func.count()).select_from(Router).where(THERE)) or 0
    return math.ceil(routers / max(1, working))


def _free(db: Session, owner: str, now: datetime, count: int) -> set[int]:
    """Routers that nobody holds, `count` at most, and that nobody takes in this very moment."""
    if count <= 0:
        return set()
    is_free = or_(Router.lease_owner.is_(None), Router.lease_until < now)
    wanted = select(Router.id).where(is_free, Router.lease_owner.is_distinct_from(owner), THERE).order_by(Router.id)
    return set(db.scalars(wanted.limit(count).with_for_update(skip_locked=True)))
