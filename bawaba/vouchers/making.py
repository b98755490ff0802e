"""Making cards: one at once, or a batch that grows in the background. Exactly as many as ordered, or none."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.accounts.idempotency import Once
from bawaba.core.actor import Actor
from bawaba.core.errors import field_fault
from bawaba.core.keyring import Keyring
from bawaba.core.runtime import Runtime
from bawaba.core.statement import BulkInsert
from bawaba.plans.models import PlanVersion
from bawaba.plans.service import get_current_version
from bawaba.routers import cards
from bawaba.routers.driver import Limits
from bawaba.routers.part import part
from bawaba.routers.promises import Promised
from bawaba.sites.models import Site
from bawaba.vouchers import codes, qr, rules
from bawaba.vouchers.card_store import CardStore
from bawaba.vouchers.errors import TooEasyToGuess
from bawaba.vouchers.events import VoucherCreated
from bawaba.vouchers.models import Batch, Voucher
from bawaba.vouchers.queries import STOLEN_A_YEAR_MOST, Card, code_digest, live_cards
from bawaba.vouchers.schemas import voucher_out

log = structlog.get_logger(__name__)
ROUTER_WAIT_S = 1.5
Also = Callable[[Session, Voucher, datetime], None]
SPARE_CODES = 8  # for the few codes of a group that exist already


@dataclass(frozen=True, slots=True)
class CardOrder:
    """One card. `price_minor` None is the plan's price."""

    plan_id: int
    code_style: codes.Style | None = None
    prefix: str = ""
    price_minor: int | None = None
    ends_at: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """Many cards of one plan."""

    plan_id: int
    quantity: int
    code_style: codes.Style | None = None
    prefix: str = ""
    price_minor: int | None = None
    note: str = ""


def make_card(rt: Runtime, actor: Actor, order: CardOrder, once: Once | None = None, also: Also | None = None) -> Card:
    """Make one card, with its QR image stored, and bring it to the routers that hold cards.

    A router that does not answer changes nothing for the caller: the card exists, the work is promised and its error
    is recorded, and the card's `router_sync` says pending. `also` is what else belongs into its transaction.
    """
    now = rt.clock.now()
    if order.ends_at is not None and order.ends_at <= now:
        raise field_fault("ends_at", "must be in the future")
    (voucher, version), promised = rt.transact(_make_card, rt, actor, order, now, once, also)
    code = open_code(rt.keyring, voucher)
    try:
        store(rt).put_single(voucher.id, qr.card_matrix(rt.config.portal_url, code))
    except OSError as error:  # whoever asks for the picture has it made again
        log.warning("a QR image was not stored", voucher_id=voucher.id, error=str(error))
    until = time.monotonic() + ROUTER_WAIT_S
    for job in promised:
        work = rt.read(cards.work_for, rt.keyring, codes.grouped, job.router_id, [voucher.id])
        if work is not None:
            part(rt).deliver(job, work, max(0.0, until - time.monotonic()))
    shown = voucher_out(voucher, version, now, rules.masked(code), sync_of(rt, [voucher.id]).get(voucher.id), rt.config)
    rt.publish(VoucherCreated(shown))
    return voucher, version


def _make_card(
    db: Session, rt: Runtime, actor: Actor, order: CardOrder, now: datetime, once: Once | None, also: Also | None
) -> tuple[Card, list[Promised]]:
    version, site = get_current_version(db, actor, order.plan_id)
    style = order.code_style or default_style(site)
    prefix = codes.tidy_prefix(order.prefix) if order.prefix else ""
    number = _next(db, site.id, Site.singles_made)
    price_minor = _price_of(order, version)
    row = card_row(version, site.id, None, number, rules.single_serial(number), now, actor.user_id, price_minor)
    row |= {"note": order.note, "ends_at": order.ends_at}
    row["over_at"] = rules.earliest(row["over_at"], order.ends_at)
    voucher_id = None
    while voucher_id is None:
        (code,) = codes.new_codes(rt.rng, style, 1, prefix)
        voucher_id = _insert_one(db, row | _secrets(rt.keyring, code))
    voucher = db.get_one(Voucher, voucher_id)
    audit.record(db, actor, "card.made", site.id, "voucher", voucher_id, now, serial=voucher.serial)
    if once is not None:
        once.record(db, voucher_id)
    if also is not None:
        also(db, voucher, now)
    return (voucher, version), _promise_to_hold(db, site, [voucher], version, now)


def put_free_card(db: Session, rt: Runtime, site_id: int, version: PlanVersion, now: datetime) -> int:
    """Insert a card that nobody buys and whose code nobody learns, for a free trial (step); its id."""
    number = _next(db, site_id, Site.singles_made)
    row = card_row(version, site_id, None, number, rules.single_serial(number), now, None, 0) | {"is_free": True}
    voucher_id = None
    while voucher_id is None:
        (code,) = codes.new_codes(rt.rng, codes.LETTERS, 1)
        voucher_id = _insert_one(db, row | _secrets(rt.keyring, code))
    return voucher_id


def put_in_place_of(
    db: Session, rt: Runtime, lost: Voucher, facts: dict[str, Any], actor: Actor, now: datetime
) -> Voucher:
    """Insert a card with a new code and serial and with these facts of one that was lost (step)."""
    number = _next(db, lost.site_id, Site.singles_made)
    made = {"number": number, "serial": rules.single_serial(number), "note": lost.note, "devices_seen": 0}
    row = {**facts, **made, "batch_id": None, "created_by": actor.user_id, "created_at": now}
    style: codes.Style = "digits" if open_code(rt.keyring, lost).isdigit() else "letters"
    voucher_id = None
    while voucher_id is None:
        (code,) = codes.new_codes(rt.rng, style, 1)
        voucher_id = _insert_one(db, row | _secrets(rt.keyring, code))
    return db.get_one(Voucher, voucher_id)


def _insert_one(db: Session, row: dict[str, Any]) -> int | None:
    """Insert a card; None when its code exists already."""
    inserted: int | None = db.scalar(_insert_new(db).values(**row).returning(Voucher.id))
    return inserted


def _insert_new(db: Session) -> Any:
    """INSERT that passes over codes which exist, on either database."""
    if db.connection().dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as insert_sqlite

        return insert_sqlite(Voucher).on_conflict_do_nothing(index_elements=["code_digest"])
    from sqlalchemy.dialects.postgresql import insert as insert_postgresql

    return insert_postgresql(Voucher).on_conflict_do_nothing(index_elements=["code_digest"])


def _promise_to_hold(
    db: Session, site: Site, vouchers: Sequence[Voucher], version: PlanVersion, now: datetime
) -> list[Promised]:
    """On a router-held site: write down which routers should hold these cards, and promise it."""
    if site.mode != "router_held":
        return []
    holders = cards.holders(db, site.id)
    limits = card_limits(version)
    to_hold = [cards.CardToHold(voucher.id, voucher.code_sealed, limits, version.name) for voucher in vouchers]
    cards.hold(db, holders, to_hold)
    return [job for router_id in holders if (job := cards.promise_at_once(db, router_id, now)) is not None]


def card_limits(version: PlanVersion, more_seconds: int = 0, more_bytes: int = 0) -> dict[str, Any]:
    """What a card may do on a router that serves it alone, with what it was given beyond its plan: durations only, for
    routers' clocks are often wrong."""
    limits = Limits(
        uptime_s=_with(version.duration_seconds, more_seconds),
        bytes_total=_with(version.quota_bytes, more_bytes),
        bytes_up=version.quota_up_bytes,
        bytes_down=version.quota_down_bytes,
        rate_up_kbps=version.rate_up_kbps,
        rate_down_kbps=version.rate_down_kbps,
        devices=version.devices_at_once,
    )
    return asdict(replace(limits, until=None))


def _with(limit: int | None, more: int) -> int | None:
    return limit + more if limit is not None else None


def order_batch(rt: Runtime, actor: Actor, order: BatchOrder, once: Once | None = None) -> Batch:
    """Order a batch. The worker makes it; its cards exist for nobody before it is ready."""
    batch = rt.transact(_order_batch, actor, order, rt.clock.now(), once)
    maker = rt.parts.get("batch_maker")
    if maker is not None:
        maker.wake()
    return batch


def _order_batch(db: Session, actor: Actor, order: BatchOrder, now: datetime, once: Once | None) -> Batch:
    version, site = get_current_version(db, actor, order.plan_id)
    style = _style_of(db, order, site)
    prefix = codes.tidy_prefix(order.prefix) if order.prefix else ""
    batch = Batch(
        site_id=site.id,
        number=_next(db, site.id, Site.batches_made),
        plan_version_id=version.id,
        quantity=order.quantity,
        code_style=style,
        prefix=prefix,
        price_minor=_price_of(order, version),
        currency=version.currency,
        note=order.note,
        language=site.language,
        ordered_by=actor.user_id,
        created_at=now,
    )
    db.add(batch)
    db.flush()
    audit.record(db, actor, "batch.ordered", site.id, "batch", batch.id, now, quantity=order.quantity)
    if once is not None:
        once.record(db, batch.id)
    return batch


CARDS = BulkInsert(
    "voucher",
    "site_id batch_id number plan_version_id serial code_digest code_sealed status expires_unused_at over_at "
    "used_seconds bytes_up bytes_down devices_seen moves_that_day price_minor currency note created_by created_at",
)


@dataclass(frozen=True, slots=True)
class NewCode:
    """A code on its way into the database, hashed and sealed before the transaction begins."""

    text: str
    digest: bytes
    sealed: bytes


def new_codes(rt: Runtime, style: codes.Style, count: int, prefix: str) -> list[NewCode]:
    """So many codes by the system's chance, ready to be inserted."""
    return [
        NewCode(text, code_digest(rt.keyring, text), rt.keyring.encrypt(text.encode("ascii"), cards.CARD_SECRET))
        for text in codes.new_codes(rt.rng, style, count, prefix)
    ]


def _price_of(order: CardOrder | BatchOrder, version: PlanVersion) -> int:
    return version.price_minor if order.price_minor is None else order.price_minor


def _style_of(db: Session, order: BatchOrder, site: Site) -> codes.Style:
    """The style asked for, else the site's own; letters where that would make guessing pay. May be `TooEasyToGuess`."""
    live = live_cards(db, site.id) + order.quantity
    for style in (order.code_style,) if order.code_style else (default_style(site), codes.LETTERS):
        odds = codes.guessing_odds(style, live, site.wrong_tries_per_minute)
        if odds.expected_stolen_per_year <= STOLEN_A_YEAR_MOST:
            return style
    raise TooEasyToGuess(expected_stolen_per_year=odds.expected_stolen_per_year)


def add_group(
    db: Session, batch: Batch, version: PlanVersion, new: Sequence[NewCode], wanted: int, now: datetime
) -> list[str]:
    """Add the next `wanted` cards of a batch from these codes (a few more than wanted); the answer is the codes taken.

    Returns [] when another process has added the group meanwhile. A code that another process takes in the same moment
    raises the driver's IntegrityError.
    """
    mine = update(Batch).where(Batch.id == batch.id, Batch.created == batch.created, Batch.state == "making")
    grown = db.execute(mine.values(created=batch.created + wanted))
    if grown.rowcount != 1:  # type: ignore[attr-defined]
        return []
    taken = set(db.scalars(select(Voucher.code_digest).where(Voucher.code_digest.in_([code.digest for code in new]))))
    free = [code for code in new if code.digest not in taken][:wanted]
    if len(free) < wanted:
        raise RuntimeError("too many of a group's codes exist already")
    base = card_row(version, batch.site_id, batch.id, 0, "", now, batch.ordered_by, batch.price_minor)
    rows = [
        base
        | {
            "code_digest": code.digest,
            "code_sealed": code.sealed,
            "number": number,
            "serial": rules.serial_of(batch.number, number),
        }
        for number, code in enumerate(free, start=batch.created + 1)
    ]
    CARDS.run(db, rows)
    return [code.text for code in free]


def card_row(
    version: PlanVersion,
    site_id: int,
    batch_id: int | None,
    number: int,
    serial: str,
    now: datetime,
    made_by: int | None,
    price_minor: int,
) -> dict[str, Any]:
    unused_until = rules.unused_until(version, now)
    return {
        "site_id": site_id,
        "batch_id": batch_id,
        "number": number,
        "plan_version_id": version.id,
        "serial": serial,
        "status": "unused",
        "expires_unused_at": unused_until,
        "over_at": unused_until,
        "used_seconds": 0,
        "bytes_up": 0,
        "bytes_down": 0,
        "devices_seen": 0,
        "moves_that_day": 0,
        "price_minor": price_minor,
        "currency": version.currency,
        "note": "",
        "created_by": made_by,
        "created_at": now,
    }


def _secrets(keyring: Keyring, code: str) -> dict[str, bytes]:
    return {
        "code_digest": code_digest(keyring, code),
        "code_sealed": keyring.encrypt(code.encode("ascii"), cards.CARD_SECRET),
    }


def open_code(keyring: Keyring, voucher: Voucher) -> str:
    """A card's code, in clear."""
    return keyring.decrypt(voucher.code_sealed, cards.CARD_SECRET).decode("ascii")


def default_style(site: Site) -> codes.Style:
    """Digits where Arabic is read (numeric keypads, the same in every script), letters elsewhere."""
    return "digits" if site.language == "ar" else "letters"


def store(rt: Runtime) -> CardStore:
    """Where QR images are kept."""
    found: CardStore = rt.parts["card_store"]
    return found


def sync_of(rt: Runtime, voucher_ids: Sequence[int]) -> dict[int, str]:
    """`router_sync` of cards that lie on routers."""
    return rt.read(cards.sync_states, voucher_ids)


def _next(db: Session, site_id: int, counter: Any) -> int:
    """Count up one of the site's serial counters; exact under any number of processes."""
    counted = update(Site).where(Site.id == site_id).values({counter: counter + 1}).returning(counter)
    return int(db.execute(counted).scalar_one())
