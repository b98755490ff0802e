"""What the staff do to a card that was sold: extend it, add another one to it, freeze it, replace it when it was lost.

Each deed is one transaction: the card is locked before its sessions, as in redeeming, so of two clerks, or a clerk and
a guest, one comes first and the other sees what he did. What routers have to know is promised in that transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Concatenate, ParamSpec

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.accounts.idempotency import Once
from bawaba.core.actor import Actor
from bawaba.core.errors import Invalid
from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement
from bawaba.routers import cards
from bawaba.routers.driver import Limits
from bawaba.routers.part import part
from bawaba.routers.promises import Promised, promise
from bawaba.sales.models import Sale
from bawaba.sales.service import record_sale
from bawaba.sessions import admission, rules
from bawaba.sessions.ending import LIVE, end_session
from bawaba.sessions.errors import CardInUse, CardMoved, CardsDiffer, CardSpent, CardSwitchedOff
from bawaba.sessions.service import deliver
from bawaba.sites.models import Site
from bawaba.vouchers import claiming, making
from bawaba.vouchers.events import VoucherCreated
from bawaba.vouchers.models import Voucher
from bawaba.vouchers.queries import Card, get_card
from bawaba.vouchers.rules import earliest, end_as_used, extended, masked, thaw
from bawaba.vouchers.schemas import voucher_out

NEW_END = Statement("UPDATE guest_session SET end_time = :end_time, rev = rev + 1 WHERE id = :id")
Asked = ParamSpec("Asked")
WHAT_GOES_ALONG = (
    "plan_version_id", "site_id", "status", "expires_unused_at", "ends_at", "first_used_at", "claimed_at", "over_at",
    "used_seconds", "bytes_up", "bytes_down", "moved_on", "moves_that_day", "extra_seconds", "extra_bytes",
    "price_minor", "currency",
)  # fmt: skip


@dataclass
class Done:
    """What a deed came to: the card to show, the routers' work, and the sessions whose news are to be told."""

    voucher_id: int
    jobs: list[Promised] = field(default_factory=list)
    sessions: list[int] = field(default_factory=list)


def extend(
    rt: Runtime, actor: Actor, voucher_id: int, seconds: int, more_bytes: int, reason: str, once: Once | None = None
) -> Card:
    """Give a card more time, more data or both. A card whose time is over goes on from now.

    Raises `CardSwitchedOff`, `CardMoved`, `Invalid` for what the card has no limit of, and `KeyTaken` where the same
    was asked for before (`once`).
    """
    return _do(rt, actor, _extend, voucher_id, seconds, more_bytes, reason, once)


def _extend(
    db: Session,
    actor: Actor,
    now: datetime,
    voucher_id: int,
    seconds: int,
    more_bytes: int,
    reason: str,
    once: Once | None,
) -> Done:
    voucher, card = _locked(db, actor, voucher_id)
    if once is not None:
        once.record(db, voucher_id)
    _must_be_on(voucher)
    _check_amounts(voucher, card, seconds, more_bytes)
    _lengthen(voucher, seconds, now)
    voucher.extra_bytes += more_bytes
    facts = {"serial": voucher.serial, "seconds": seconds, "bytes": more_bytes, "reason": reason}
    audit.record(db, actor, "card.extended", voucher.site_id, "voucher", voucher.id, now, **facts)
    return _let_routers_know(db, voucher, seconds, more_bytes, now)


def _check_amounts(voucher: Voucher, card: Any, seconds: int, more_bytes: int) -> None:
    has_end = (card.duration_seconds, card.valid_for_seconds, voucher.ends_at, voucher.over_at) != (None,) * 4
    faults = {}
    if seconds and not has_end:
        faults["seconds"] = ["this card has no limit of time"]
    if more_bytes and card.quota_bytes is None:
        faults["bytes"] = ["this card has no limit of data"]
    if not seconds and not more_bytes:
        faults["seconds"] = ["give time or data"]
    if faults:
        raise Invalid(fields=faults)


def _lengthen(voucher: Voucher, seconds: int, now: datetime) -> None:
    """Move every end that the card has. The shelf life of an unused card stays, unless it is over."""
    voucher.extra_seconds += seconds
    voucher.ends_at = extended(voucher.ends_at, now, seconds)
    if voucher.status == "used":
        voucher.over_at = extended(voucher.over_at, now, seconds)
    elif seconds and voucher.over_at is not None and voucher.over_at <= now:
        voucher.over_at = voucher.expires_unused_at = extended(voucher.over_at, now, seconds)
    elif seconds:
        voucher.over_at = earliest(voucher.expires_unused_at, voucher.ends_at)


def add_card(rt: Runtime, actor: Actor, voucher_id: int, other_id: int) -> Card:
    """Put all that is left on one card onto another of the same sort; the added one is used up by that.

    Raises `CardSwitchedOff`, `CardMoved`, `CardSpent`, `CardInUse`, `CardsDiffer`.
    """
    return _do(rt, actor, _add_card, voucher_id, other_id)


def _add_card(db: Session, actor: Actor, now: datetime, voucher_id: int, other_id: int) -> Done:
    for each in (voucher_id, other_id):
        get_card(db, actor, each)
    return join(db, actor, now, voucher_id, other_id)


def join(db: Session, actor: Actor, now: datetime, voucher_id: int, other_id: int) -> Done:
    """The step of it, for staff and guests alike; both cards are locked, the lower id first."""
    if voucher_id == other_id:
        raise CardsDiffer(same=True)
    both = {each: claiming.BY_ID.first(db, id=each) for each in sorted((voucher_id, other_id))}
    card, other = both[voucher_id], both[other_id]
    voucher, gone = (_fresh(db, each) for each in (voucher_id, other_id))
    for each in (voucher, gone):
        _must_be_on(each)
    if not rules.same_sort(card, other) or voucher.site_id != gone.site_id:
        raise CardsDiffer(same=False)
    if LIVE.first(db, voucher_id=other_id) is not None:
        raise CardInUse(serial=gone.serial)
    left = rules.left_on(other, end_as_used(other, now), (), now)
    if left.spent or (gone.over_at is not None and gone.over_at <= now):
        raise CardSpent(serial=gone.serial)
    had_seconds, had_bytes = voucher.extra_seconds, voucher.extra_bytes
    _pour(voucher, other, left, now)
    gone.status, gone.moved_to = "used", voucher.id
    gone.claimed_at = gone.claimed_at or now
    db.flush()
    record_sale(db, gone.id, now, actor.user_id)
    cards.want(db, [gone.id], False, now)
    facts = {"serial": voucher.serial, "added": gone.serial, "seconds": left.seconds, "bytes": left.bytes_total}
    audit.record(db, actor, "card.added_to", voucher.site_id, "voucher", voucher.id, now, **facts)
    return _let_routers_know(db, voucher, voucher.extra_seconds - had_seconds, voucher.extra_bytes - had_bytes, now)


def _pour(voucher: Voucher, other: Any, left: rules.Left, now: datetime) -> None:
    """What is left on one card goes onto another, which is then good for as long as the first would have been."""
    if other.duration_seconds is not None or other.valid_for_seconds is not None:
        _lengthen(voucher, left.seconds or 0, now)
    as_long = end_as_used(other, now)
    if voucher.over_at is not None and as_long is not None and voucher.status == "used":
        voucher.over_at = max(voucher.over_at, as_long)
    voucher.extra_bytes += left.bytes_total or 0


def freeze(rt: Runtime, actor: Actor, voucher_id: int) -> Card:
    """Switch a card off and stop its clock. Raises `CardSwitchedOff`, `CardMoved`, `CardSpent`."""
    return _do(rt, actor, _freeze, voucher_id)


def _freeze(db: Session, actor: Actor, now: datetime, voucher_id: int) -> Done:
    voucher, _card = _locked(db, actor, voucher_id)
    if voucher.frozen_at is not None:
        return Done(voucher.id)
    _must_be_on(voucher)
    if voucher.over_at is not None and voucher.over_at <= now:
        raise CardSpent(serial=voucher.serial)
    done = _send_away(db, voucher.id, now)
    voucher.disabled_at = voucher.frozen_at = now
    db.flush()
    cards.want(db, [voucher.id], False, now)
    audit.record(db, actor, "card.frozen", voucher.site_id, "voucher", voucher.id, now, serial=voucher.serial)
    return done


def unfreeze(rt: Runtime, actor: Actor, voucher_id: int) -> Card:
    """Let a frozen card go on with exactly what it had; one that is not frozen stays as it is."""
    return _do(rt, actor, _unfreeze, voucher_id)


def _unfreeze(db: Session, actor: Actor, now: datetime, voucher_id: int) -> Done:
    voucher, _card = _locked(db, actor, voucher_id)
    if voucher.frozen_at is None:
        return Done(voucher.id)
    thaw(voucher, now)
    db.flush()
    if voucher.status == "unused":  # one in use goes on at the portal: a router would begin it anew
        cards.want(db, [voucher.id], True, now)
    audit.record(db, actor, "card.unfrozen", voucher.site_id, "voucher", voucher.id, now, serial=voucher.serial)
    return Done(voucher.id)


def replace(rt: Runtime, actor: Actor, voucher_id: int, reason: str) -> Card:
    """A card was lost: make another with all that is left on it, at the same price and without a second sale; the lost
    one is dead. Raises `CardMoved` (its `details["to"]` is the card that has taken its place), `CardSpent`."""
    made, version = _do(rt, actor, _replace, rt, voucher_id, reason)
    code = making.open_code(rt.keyring, made)
    sync = making.sync_of(rt, [made.id]).get(made.id)
    rt.publish(VoucherCreated(voucher_out(made, version, rt.clock.now(), masked(code), sync, rt.config)))
    return made, version


def _replace(db: Session, actor: Actor, now: datetime, rt: Runtime, voucher_id: int, reason: str) -> Done:
    lost, _card = _locked(db, actor, voucher_id)
    if lost.moved_to is not None:
        raise CardMoved(to=lost.moved_to)
    if lost.frozen_at is not None:
        thaw(lost, now)
        db.flush()
    done = _send_away(db, lost.id, now)
    card = claiming.BY_ID.first(db, id=lost.id)
    left = rules.left_on(card, end_as_used(card, now), (), now)
    db.refresh(lost)
    if left.spent or (lost.over_at is not None and lost.over_at <= now):
        raise CardSpent(serial=lost.serial)
    is_sold = bool(db.scalar(select(exists().where(Sale.voucher_id == lost.id))))
    going_along = {name: getattr(lost, name) for name in WHAT_GOES_ALONG} | {"is_free": lost.is_free or is_sold}
    new = making.put_in_place_of(db, rt, lost, going_along, actor, now)
    lost.moved_to, lost.disabled_at = new.id, lost.disabled_at or now
    db.flush()
    cards.want(db, [lost.id], False, now)
    _hold_where_cards_lie(db, new, card, left, now)
    facts = {"serial": lost.serial, "new": new.serial, "reason": reason}
    audit.record(db, actor, "card.replaced", lost.site_id, "voucher", lost.id, now, **facts)
    done.voucher_id = new.id
    return done


def _hold_where_cards_lie(db: Session, new: Voucher, card: Any, left: rules.Left, now: datetime) -> None:
    """On a router-held site the new card goes to the routers, with the limits that are left to it."""
    if db.get_one(Site, new.site_id).mode != "router_held":
        return
    holders = cards.holders(db, new.site_id)
    cards.hold(db, holders, [cards.CardToHold(new.id, new.code_sealed, _limits(card, left), card.plan_name)])
    for router_id in holders:
        cards.promise_cards(db, router_id, now)


def _limits(card: Any, left: rules.Left) -> dict[str, Any]:
    online = left.seconds if card.duration_seconds is not None or left.seconds is not None else None
    limits = Limits(
        uptime_s=online,
        bytes_total=left.bytes_total,
        bytes_up=left.bytes_up,
        bytes_down=left.bytes_down,
        rate_up_kbps=card.rate_up_kbps,
        rate_down_kbps=card.rate_down_kbps,
        devices=card.devices_at_once,
    )
    return asdict(limits)


def _do(
    rt: Runtime,
    actor: Actor,
    step: Callable[Concatenate[Session, Actor, datetime, Asked], Done],
    *asked: Asked.args,
    **named: Asked.kwargs,
) -> Card:
    """One deed as a transaction; after it the routers that answer in time are told, the others by the outbox."""
    done = rt.transact(step, actor, rt.clock.now(), *asked, **named)
    finish(rt, done)
    return rt.read(get_card, actor, done.voucher_id)


def finish(rt: Runtime, done: Done) -> None:
    """After the commit: the routers and the open pages hear of it."""
    deliver(rt, done.jobs, done.sessions)
    part(rt).wake()


def _locked(db: Session, actor: Actor, voucher_id: int) -> tuple[Voucher, Any]:
    """A card that the caller sees, locked, as it stands once it is."""
    get_card(db, actor, voucher_id)
    card = claiming.BY_ID.first(db, id=voucher_id)
    return _fresh(db, voucher_id), card


def _fresh(db: Session, voucher_id: int) -> Voucher:
    return db.get_one(Voucher, voucher_id, populate_existing=True)


def _must_be_on(voucher: Voucher) -> None:
    if voucher.moved_to is not None:
        raise CardMoved(to=voucher.moved_to)
    if voucher.disabled_at is not None:
        raise CardSwitchedOff(serial=voucher.serial)


def _send_away(db: Session, voucher_id: int, now: datetime) -> Done:
    """End whoever is online by a card, and promise that to their routers."""
    done = Done(voucher_id)
    for session in LIVE.all(db, voucher_id=voucher_id):
        if end_session(db, session.id, rules.ADMIN_RESET, now):
            done.jobs.append(admission.kick(db, session.router_id, session.id, now, express=True))
            done.sessions.append(session.id)
    return done


def _let_routers_know(db: Session, voucher: Voucher, seconds: int, more_bytes: int, now: datetime) -> Done:
    """Whoever is online by the card goes on with its new limits, and routers that hold it give so much more too."""
    db.flush()
    if voucher.status == "unused":
        cards.want(db, [voucher.id], True, now)  # routers let go of it when it ran out on the shelf
    done = Done(voucher.id)
    card = claiming.BY_ID.first(db, id=voucher.id)
    live: Sequence[Any] = LIVE.all(db, voucher_id=voucher.id)
    over_at = end_as_used(card, now)
    left = rules.left_on(card, over_at, live, now)
    end_time = now + timedelta(seconds=left.seconds) if left.seconds is not None else None
    for session in live:
        if session.state != "online":
            continue  # the promise to let it in is kept with what is left then
        NEW_END.run(db, id=session.id, end_time=over_at if card.kind == "elapsed" else end_time)
        done.sessions.append(session.id)
        if admission.SESSION.first(db, id=session.id).router_key is None:
            done.jobs.append(promise(db, session.router_id, admission.ADMIT, session.id, now, express=True))
    cards.give_more(db, voucher.id, {"uptime_s": seconds, "bytes_total": more_bytes}, now)
    return done
