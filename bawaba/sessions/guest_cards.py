"""What a guest does with a card beside signing in: look what is left on it, or add it to the one in use."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from bawaba.core.actor import SYSTEM
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime
from bawaba.sessions import care, guessing, redeem, rules
from bawaba.sessions.care import Done
from bawaba.sessions.ending import LIVE
from bawaba.sessions.errors import NothingToResume, TooManyTries
from bawaba.sessions.events import GuessingSuspected
from bawaba.sessions.redeem import LAST_CARD, RESUME_DAYS, Guest
from bawaba.vouchers import claiming, codes
from bawaba.vouchers.errors import VoucherUnknown, VoucherUsed
from bawaba.vouchers.queries import code_digest
from bawaba.vouchers.rules import end_as_used


@dataclass(frozen=True, slots=True)
class Looked:
    """A card with its plan's terms, and what it still gives."""

    card: Any
    left: rules.Left


@dataclass
class _Found:
    """A card that a guest typed, or the refusal; a wrong try is counted and stays so."""

    card: Any = None
    refusal: Problem | None = None
    crossed: list[str] = field(default_factory=list)
    site_id: int = 0


def look(rt: Runtime, code: str, guest: Guest) -> Looked:
    """What is left on a card, before signing in. Nothing begins, and guessing is capped as in redeeming: raises the
    same refusals."""
    found = _found(rt, code, guest)
    looked = rt.read(_look, found.card.id, rt.clock.now())
    if looked.left.spent:
        raise VoucherUsed()
    return looked


def _look(db: Session, voucher_id: int, now: datetime) -> Looked:
    card = claiming.LOOK_BY_ID.first(db, id=voucher_id)
    return Looked(card, rules.left_on(card, end_as_used(card, now), LIVE.all(db, voucher_id=card.id), now))


def add_to_mine(rt: Runtime, code: str, guest: Guest) -> None:
    """Put another card onto the one that this device uses. Raises what redeeming and `care.add_card` raise."""
    found = _found(rt, code, guest)
    care.finish(rt, rt.transact(_add, found.card.id, found.site_id, guest, rt.clock.now()))


def _add(db: Session, other_id: int, site_id: int, guest: Guest, now: datetime) -> Done:
    since = now - timedelta(days=RESUME_DAYS)
    mine = LAST_CARD.first(db, site_id=site_id, mac=guest.mac, since=since)
    if mine is None:
        raise NothingToResume()
    return care.join(db, SYSTEM, now, mine.voucher_id, other_id)


def _found(rt: Runtime, code: str, guest: Guest) -> _Found:
    found = rt.transact(_find, rt, code, guest, rt.clock.now())
    for device in found.crossed:
        rt.publish(GuessingSuspected(found.site_id, device))
    if found.refusal is not None:
        raise found.refusal
    return found


def _find(db: Session, rt: Runtime, typed: str, guest: Guest, now: datetime) -> _Found:
    place = redeem.place_of(db, guest)
    if wait_s := guessing.wait_s(db, place, guest.mac, now):
        return _Found(refusal=TooManyTries(retry_after_s=wait_s))
    try:
        digest = code_digest(rt.keyring, codes.parse(typed).text)
    except codes.CodeMalformed as malformed:
        return _Found(refusal=malformed)
    card = claiming.LOOK_BY_CODE.first(db, digest=digest)
    if card is None:
        crossed = guessing.count_wrong(db, place.site_id, guest.mac, place.wrong_tries_per_minute, now)
        return _Found(refusal=VoucherUnknown(), crossed=crossed, site_id=place.site_id)
    refusal = claiming.validate_voucher(card, place.site_id, now)
    return _Found(card=card, refusal=refusal, site_id=place.site_id)
