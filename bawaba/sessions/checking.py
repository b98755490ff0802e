"""Checking a card for somebody who stands at the counter: by its code, its serial, or what a scanner reads off it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from bawaba.core.actor import Actor
from bawaba.core.runtime import Runtime
from bawaba.plans.models import PlanVersion
from bawaba.sessions import guessing, rules
from bawaba.sessions.ending import LIVE
from bawaba.sessions.errors import TooManyTries
from bawaba.sessions.models import GuestSession
from bawaba.sites.models import Site
from bawaba.sites.service import sees
from bawaba.vouchers import claiming, codes
from bawaba.vouchers.errors import CardNotFound, VoucherUnknown
from bawaba.vouchers.models import Batch, Voucher
from bawaba.vouchers.queries import code_digest, get_card
from bawaba.vouchers.rules import end_as_used, status_at


@dataclass(frozen=True, slots=True)
class Checked:
    """How a card stands; a frozen one as it stood when it was frozen."""

    voucher: Voucher
    version: PlanVersion
    status: str
    left: rules.Left
    online: int
    devices: int


def check(rt: Runtime, actor: Actor, typed: str) -> int:
    """The id of the card that somebody typed or scanned. Raises `CardNotFound` for an unknown serial, `VoucherUnknown`
    for an unknown code, which counts, and `TooManyTries` beyond the cap: the staff may not guess either."""
    card_id, wait_s = rt.transact(_check, rt, actor, typed, rt.clock.now())
    if wait_s:
        raise TooManyTries(retry_after_s=wait_s)
    if card_id is None:
        raise VoucherUnknown()
    return card_id


def _check(db: Session, rt: Runtime, actor: Actor, typed: str, now: datetime) -> tuple[int | None, int]:
    text = typed.strip().rsplit("/c/", 1)[-1]  # a scanner types the whole address
    made = select(Batch.id).where(Batch.id == Voucher.batch_id, Batch.state == "ready").exists()
    ready = or_(Voucher.batch_id.is_(None), made)
    mine = select(Voucher.id).where(sees(actor, Voucher.site_id), ready)
    try:
        code = codes.parse(text).text
    except codes.CodeMalformed:
        found = db.scalars(mine.where(Voucher.serial == text.upper()).limit(1)).first()
        if found is None:
            raise CardNotFound() from None
        return found, 0
    device, site_id = f"staff {actor.user_id}", db.scalar(select(func.min(Site.id)).where(sees(actor, Site.id)))
    if site_id is None:
        raise CardNotFound()
    if wait_s := guessing.blocked_s(db, site_id, device, now):
        return None, wait_s
    found = db.scalar(mine.where(Voucher.code_digest == code_digest(rt.keyring, code)))
    if found is None:
        guessing.count_device(db, site_id, device, now)
    return found, 0


def look(db: Session, actor: Actor, voucher_id: int, now: datetime) -> Checked:
    """How a card stands now (step). Raises `CardNotFound`."""
    voucher, version = get_card(db, actor, voucher_id)
    live = LIVE.all(db, voucher_id=voucher.id)
    devices = select(func.count(GuestSession.client_mac.distinct())).where(GuestSession.voucher_id == voucher.id)
    left = left_at(db, voucher, now)
    return Checked(voucher, version, status_at(voucher, now), left, len(live), db.scalar(devices) or 0)


def left_at(db: Session, voucher: Voucher, now: datetime) -> rules.Left:
    """What is left on a card (step); of a frozen one, what it will go on with; of one that gave it away, nothing."""
    at = voucher.frozen_at or now
    card = claiming.LOOK_BY_ID.first(db, id=voucher.id)
    left = rules.left_on(card, end_as_used(card, at), LIVE.all(db, voucher_id=voucher.id), at)
    return rules.NOTHING if voucher.moved_to is not None else left
