"""Switching a whole batch off, and on again: its unused cards, in groups, so that guests redeem meanwhile."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.core.actor import Actor
from bawaba.core.runtime import Runtime
from bawaba.routers import cards
from bawaba.routers.part import part
from bawaba.vouchers import queries
from bawaba.vouchers.models import Batch, Voucher

GROUP = 1000


def set_batch_disabled(rt: Runtime, actor: Actor, batch_id: int, disabled: bool) -> int:
    """Switch a batch's unused cards off, or on again those that were switched off with it; answers how many.

    Cards in use go on, and a card that was switched off by itself stays off. The routers that hold cards are told by
    promise. Whoever is killed midway leaves a batch that may be switched again: what is done already is passed over.
    """
    now = rt.clock.now()
    batch, count = rt.read(what_it_touches, actor, batch_id, disabled)
    since = rt.transact(_begin, actor, batch.id, disabled, count, now)
    if since is None:
        return 0
    switched = 0
    place: int | None = 0
    while place is not None:
        count, place = rt.transact(_switch_group, batch_id, disabled, since, place, now)
        switched += count
    if not disabled:
        rt.transact(_forget, batch_id, since)
    part(rt).wake()
    return switched


def what_it_touches(db: Session, actor: Actor, batch_id: int, disabled: bool) -> tuple[Batch, int]:
    """A batch, and how many cards switching it would touch (step). Raises `BatchNotReady`, `BatchFailed`."""
    batch, _version = queries.get_ready_batch(db, actor, batch_id)
    if not disabled and batch.disabled_at is None:
        return batch, 0
    touched = select(func.count()).select_from(Voucher).where(*_touched(batch.id, disabled, batch.disabled_at))
    return batch, db.scalar(touched) or 0


def _touched(batch_id: int, disabled: bool, since: datetime | None) -> list[Any]:
    state = Voucher.disabled_at.is_(None) if disabled else Voucher.disabled_at == since
    return [Voucher.batch_id == batch_id, Voucher.status == "unused", state]


def _begin(db: Session, actor: Actor, batch_id: int, disabled: bool, count: int, now: datetime) -> datetime | None:
    """Note the deed; the answer is the time that marks the batch's cards, None when there is nothing to do."""
    db.get(Batch, batch_id, with_for_update=True)  # of two who do it at once the second sees what the first has done
    batch, _version = queries.get_ready_batch(db, actor, batch_id)
    is_on = batch.disabled_at is None
    if not count and (disabled or is_on):
        return None
    since = batch.disabled_at or now
    batch.disabled_at = since
    action = "batch.disabled" if disabled else "batch.enabled"
    audit.record(db, actor, action, batch.site_id, "batch", batch.id, now, cards=count)
    return since


def _switch_group(
    db: Session, batch_id: int, disabled: bool, since: datetime, after: int, now: datetime
) -> tuple[int, int | None]:
    """Switch the next cards of the batch; answers how many, and the place that it came to, None at the end."""
    touched = _touched(batch_id, disabled, since)
    some = select(Voucher.id, Voucher.number).where(*touched, Voucher.number > after)
    rows = db.execute(some.order_by(Voucher.number).limit(GROUP)).all()
    if not rows:
        return 0, None
    switch = update(Voucher).where(Voucher.id.in_([row.id for row in rows]), *touched)
    changed = db.scalars(switch.values(disabled_at=since if disabled else None).returning(Voucher.id)).all()
    cards.want(db, changed, not disabled, now)
    return len(changed), rows[-1].number if len(rows) == GROUP else None


def _forget(db: Session, batch_id: int, since: datetime) -> None:
    """The batch is on again, unless somebody has switched it off anew."""
    db.execute(update(Batch).where(Batch.id == batch_id, Batch.disabled_at == since).values(disabled_at=None))
