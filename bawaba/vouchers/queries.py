"""Reads of cards and batches: keyset paging, an index behind every filter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select, tuple_
from sqlalchemy.orm import Session

from bawaba.core.actor import Actor
from bawaba.core.keyring import Keyring
from bawaba.plans.models import PlanVersion
from bawaba.routers.models import RouterGrant
from bawaba.sites.models import Site
from bawaba.sites.service import resolve_site
from bawaba.vouchers import codes, rules
from bawaba.vouchers.errors import BatchFailed, BatchNotFound, BatchNotReady, CardNotFound, NoSuchCards
from bawaba.vouchers.models import Batch, PrintRun, Voucher
from bawaba.web.paging import PageRequest

STATUSES = ("unused", "used", "disabled", "expired")
STOLEN_A_YEAR_MOST = 10.0
LIVE_MOST = 10_000_000
COUNTED_MOST = 10_000  # cards of a batch that are counted while somebody waits for the page
STOCK_MOST = 1000  # cards of a plan that are counted; beyond it, there are enough
LAST_CHARACTER = "\U0010ffff"
Card = tuple[Voucher, PlanVersion]


def code_digest(keyring: Keyring, code: str) -> bytes:
    """What a code is found by."""
    return keyring.digest("voucher code", code.encode("ascii"))


def get_card(db: Session, actor: Actor, voucher_id: int) -> Card:
    """A card with the plan version it was made with. Raises `CardNotFound`."""
    row = db.execute(_cards().where(Voucher.id == voucher_id)).one_or_none()
    if row is None or not actor.sees(row[0].site_id):
        raise CardNotFound()
    return row[0], row[1]


def list_cards(
    db: Session,
    actor: Actor,
    page: PageRequest,
    now: datetime,
    *,
    keyring: Keyring,
    batch_id: int | None = None,
    status: str | None = None,
    q: str | None = None,
) -> list[Card]:
    """Newest first (a search by serial: in serial order; expired: the latest end first), one row more than the page."""
    wanted = _visible(_cards(), actor, db, by_batch=batch_id is not None, by_serial=bool(q))
    if batch_id is not None:
        wanted = wanted.where(Voucher.batch_id == batch_id)
    if status is not None:
        wanted = wanted.where(*_status_is(status, now))
    if q:
        return _search(db, wanted, page, keyring, q.strip())
    order = (Voucher.over_at, Voucher.id) if status == "expired" else (Voucher.id,)
    return _page(db, wanted, page, order)


def _page(db: Session, wanted: Select[Any], page: PageRequest, order: tuple[Any, ...]) -> list[Card]:
    """The page's cards in falling order of these columns, the last of which is unique."""
    if page.after_id is not None:
        last = [select(column).where(Voucher.id == page.after_id).scalar_subquery() for column in order]
        wanted = wanted.where(tuple_(*order) < tuple_(*last) if len(order) > 1 else order[0] < page.after_id)
    rows = db.execute(wanted.order_by(*(column.desc() for column in order)).limit(page.limit + 1))
    return [(row[0], row[1]) for row in rows]


def _search(db: Session, wanted: Select[Any], page: PageRequest, keyring: Keyring, q: str) -> list[Card]:
    """By a whole code, else by the beginning of a serial."""
    by_code = None
    try:
        by_code = code_digest(keyring, codes.parse(q).text)
    except codes.CodeMalformed:
        prefix = q.upper()
    if by_code is not None:
        wanted = wanted.where(Voucher.code_digest == by_code)
    else:
        wanted = wanted.where(Voucher.serial >= prefix, Voucher.serial < prefix + LAST_CHARACTER)
    if page.after_id is not None:
        last = select(Voucher.serial).where(Voucher.id == page.after_id).scalar_subquery()
        wanted = wanted.where(Voucher.serial > last)
    rows = db.execute(wanted.order_by(Voucher.serial).limit(page.limit + 1))
    return [(row[0], row[1]) for row in rows]


def _cards() -> Any:
    return select(Voucher, PlanVersion).join(PlanVersion, PlanVersion.id == Voucher.plan_version_id)


def _visible(wanted: Select[Any], actor: Actor, db: Session, *, by_batch: bool, by_serial: bool) -> Select[Any]:
    """Only of the actor's sites, and none of a batch that is not ready: those cards do not exist yet.

    The indexes of cards begin with the site, so one site is named even where it is the only one. "+ 0" keeps SQLite,
    which has no statistics, from them where another index is the better one.
    """
    unready = list(db.scalars(select(Batch.id).where(Batch.state != "ready").limit(1000)))
    if unready:
        wanted = wanted.where(or_(Voucher.batch_id.is_(None), Voucher.batch_id.not_in(unready)))
    site_ids = list(db.scalars(select(Site.id))) if actor.site_ids is None else sorted(actor.site_ids)
    if len(site_ids) == 1:
        return wanted.where((Voucher.site_id + 0 if by_batch else Voucher.site_id) == site_ids[0])
    if by_serial and not by_batch:
        return wanted.where(Voucher.site_id.in_(site_ids))
    return wanted if actor.site_ids is None else wanted.where((Voucher.site_id + 0).in_(site_ids))


def _status_is(status: str, now: datetime) -> list[Any]:
    over = and_(Voucher.over_at.is_not(None), Voucher.over_at <= now)
    if status == "disabled":
        return [Voucher.disabled_at.is_not(None)]
    if status == "expired":
        return [Voucher.disabled_at.is_(None), over]
    return [
        Voucher.status == status,
        Voucher.disabled_at.is_(None),
        or_(Voucher.over_at.is_(None), Voucher.over_at > now),
    ]


def get_batch(db: Session, actor: Actor, batch_id: int) -> Batch:
    """A batch. Raises `BatchNotFound`."""
    batch = db.get(Batch, batch_id)
    if batch is None or not actor.sees(batch.site_id):
        raise BatchNotFound()
    return batch


def get_ready_batch(db: Session, actor: Actor, batch_id: int) -> tuple[Batch, PlanVersion]:
    """A batch whose cards exist. Raises `BatchNotReady` while they don't, `BatchFailed` when they never will."""
    batch = get_batch(db, actor, batch_id)
    if batch.state == "failed":
        raise BatchFailed()
    if batch.state != "ready":
        raise BatchNotReady(created=batch.created, quantity=batch.quantity)
    return batch, db.get_one(PlanVersion, batch.plan_version_id)


def list_batches(db: Session, actor: Actor, page: PageRequest) -> Sequence[Batch]:
    """Newest first, one row more than the page holds."""
    wanted = select(Batch)
    if actor.site_ids is not None:
        wanted = wanted.where(Batch.site_id.in_(actor.site_ids))
    if page.after_id is not None:
        wanted = wanted.where(Batch.id < page.after_id)
    return db.scalars(wanted.order_by(Batch.id.desc()).limit(page.limit + 1)).all()


def numbers_of_range(db: Session, batch: Batch, from_serial: str | None, to_serial: str | None) -> tuple[int, int]:
    """The places in the batch that a range of serials covers, both ends included; the whole batch without one.

    A serial may be said by its place alone: 7 is B042-0007. Raises `NoSuchCards` with the fault at its field.
    """
    first = _place_of(db, batch, "from_serial", from_serial or "", 1)
    last = _place_of(db, batch, "to_serial", to_serial or "", batch.quantity)
    if first > last:
        raise NoSuchCards(fields={"to_serial": ["range_backwards"]})
    return first, last


def _place_of(db: Session, batch: Batch, field: str, asked: str, otherwise: int) -> int:
    serial = asked.strip().upper()
    if not serial:
        return otherwise
    if serial.isascii() and serial.isdigit() and len(serial) < 10:
        serial = rules.serial_of(batch.number, int(serial))
    found = db.scalar(select(Voucher.number).where(Voucher.batch_id == batch.id, Voucher.serial == serial))
    if found is None:
        raise NoSuchCards(fields={field: ["no_such_serial"]})
    return found


def batch_cards(db: Session, batch_id: int, after_number: int, to_number: int, limit: int) -> Sequence[Voucher]:
    """A stretch of a batch's cards in their order."""
    stretch = select(Voucher).where(
        Voucher.batch_id == batch_id, Voucher.number > after_number, Voucher.number <= to_number
    )
    return db.scalars(stretch.order_by(Voucher.number).limit(limit)).all()


def print_journal(db: Session, batch_id: int) -> Sequence[PrintRun]:
    """What was printed of a batch, newest first (100 at most)."""
    runs = select(PrintRun).where(PrintRun.batch_id == batch_id)
    return db.scalars(runs.order_by(PrintRun.id.desc()).limit(100)).all()


def card_journal(db: Session, voucher_id: int) -> Sequence[PrintRun]:
    """When one card was printed by itself, newest first (20 at most)."""
    runs = select(PrintRun).where(PrintRun.voucher_id == voucher_id)
    return db.scalars(runs.order_by(PrintRun.id.desc()).limit(20)).all()


def batch_syncs(db: Session, batch_ids: Sequence[int]) -> dict[int, str]:
    """`router_sync` of batches that lie on routers: failed where a person gave cards up, pending while a
    card of theirs is behind, else synced."""
    if not batch_ids:
        return {}
    on_routers = select(Voucher.batch_id).join(RouterGrant, RouterGrant.key == Voucher.id).distinct()
    mine = on_routers.where(Voucher.batch_id.in_(batch_ids))
    held = db.scalars(mine.where(Voucher.number == 1)).all()  # a batch's cards lie there all or none
    behind = mine.where(RouterGrant.synced_rev < RouterGrant.rev)
    pending, given_up = set(db.scalars(behind)), set(db.scalars(behind.where(RouterGrant.given_up)))
    words = dict.fromkeys(held, "synced") | dict.fromkeys(pending, "pending") | dict.fromkeys(given_up, "failed")
    return {batch_id: word for batch_id, word in words.items() if batch_id in held and batch_id is not None}


def batch_sync(batch: Batch, sync: str | None) -> str:
    """What to say of a batch: one in the making is pending, one on no router needs none."""
    return "pending" if batch.state == "making" else sync or "not_needed"


def odds_for(db: Session, actor: Actor, site_id: int | None, style: codes.Style, quantity: int) -> dict[str, Any]:
    """The odds against guessing once `quantity` more cards of this style are out."""
    site = resolve_site(db, actor, site_id)
    live = live_cards(db, site.id) + quantity
    found = codes.guessing_odds(style, live, site.wrong_tries_per_minute)
    return {
        "code_style": style,
        "live_cards": live,
        "codes_possible": found.codes_possible,
        "one_try_in": found.one_try_in,
        "expected_stolen_per_year": found.expected_stolen_per_year,
        "allowed": found.expected_stolen_per_year <= STOLEN_A_YEAR_MOST,
    }


def live_cards(db: Session, site_id: int) -> int:
    """How many cards of a site a guesser could hit, counted up to ten million."""
    some = select(Voucher.id).where(Voucher.site_id == site_id, Voucher.status == "unused").limit(LIVE_MOST)
    return db.scalar(select(func.count()).select_from(some.subquery())) or 0


def with_plans(db: Session, batches: Sequence[Batch]) -> list[tuple[Batch, PlanVersion, str]]:
    """Batches with what they were made of and their `router_sync`, in three queries however many there are."""
    version_ids = {batch.plan_version_id for batch in batches}
    versions = {
        version.id: version for version in db.scalars(select(PlanVersion).where(PlanVersion.id.in_(version_ids)))
    }
    syncs = batch_syncs(db, [batch.id for batch in batches if batch.state == "ready"])
    return [(batch, versions[batch.plan_version_id], batch_sync(batch, syncs.get(batch.id))) for batch in batches]


def standing_of_batch(db: Session, batch: Batch, now: datetime) -> dict[str, int] | None:
    """How many cards of a batch are unused, used, disabled and expired; None for one too large to count at once."""
    if batch.quantity > COUNTED_MOST or batch.state != "ready":
        return None
    standing = case(
        *((and_(*_status_is(status, now)), status) for status in ("disabled", "expired")), else_=Voucher.status
    ).label("standing")
    counted = select(standing, func.count()).where(Voucher.batch_id == batch.id).group_by(standing)
    return {row[0]: row[1] for row in db.execute(counted)}


def stock(db: Session, version_ids: Sequence[int], now: datetime, *also: ColumnElement[bool]) -> int:
    """How many unused cards of these plan versions also meet such conditions, counted up to `STOCK_MOST`."""
    unready = list(db.scalars(select(Batch.id).where(Batch.state != "ready").limit(1000)))
    some = select(Voucher.id).where(Voucher.plan_version_id.in_(version_ids), *_status_is("unused", now), *also)
    if unready:
        some = some.where(or_(Voucher.batch_id.is_(None), Voucher.batch_id.not_in(unready)))
    return db.scalar(select(func.count()).select_from(some.limit(STOCK_MOST).subquery())) or 0
