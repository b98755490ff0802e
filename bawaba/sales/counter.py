"""Selling at the counter: a card is made and sold in one transaction, and a mis-sold one can be taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.accounts.idempotency import Once
from bawaba.core.actor import Actor
from bawaba.core.runtime import Runtime
from bawaba.plans.models import PlanVersion
from bawaba.routers import cards
from bawaba.routers.part import part
from bawaba.sales import sums
from bawaba.sales.errors import SaleNotFound, SoldCardInUse, TooLateToUndo
from bawaba.sales.models import Sale
from bawaba.sales.service import record_sale
from bawaba.sites.models import Site
from bawaba.vouchers import making
from bawaba.vouchers.models import Voucher
from bawaba.vouchers.queries import Card

UNDO_FOR = timedelta(minutes=5)
SHOWN_MOST = 200


@dataclass(frozen=True, slots=True)
class Sold:
    """One sale with its card and what the card buys."""

    sale: Sale
    card: Voucher
    version: PlanVersion

    def may_be_undone(self, now: datetime) -> bool:
        """Whether it can still be taken back: soon enough, and nobody has used the card or put more onto it."""
        card = self.card
        fresh = card.status == "unused" and card.disabled_at is None and not card.extra_seconds + card.extra_bytes
        return fresh and now - self.sale.sold_at <= UNDO_FOR


def sell(rt: Runtime, actor: Actor, plan_id: int, once: Once | None = None) -> Card:
    """Make a card and sell it to whoever stands there, at the plan's price. Raises what `make_card` raises."""

    def sold(db: Session, card: Voucher, now: datetime) -> None:
        record_sale(db, card.id, now, actor.user_id)
        facts = {"serial": card.serial, "price_minor": card.price_minor, "currency": card.currency}
        audit.record(db, actor, "card.sold", card.site_id, "voucher", card.id, now, **facts)

    return making.make_card(rt, actor, making.CardOrder(plan_id), once, also=sold)


def take_back(rt: Runtime, actor: Actor, voucher_id: int) -> None:
    """Undo a sale of the caller's own: the card dies, the sale is gone, the audit log keeps both.

    Raises `SaleNotFound`, `TooLateToUndo`, `SoldCardInUse`. Of a guest and a clerk in the same moment one is first.
    """
    rt.transact(_take_back, actor, voucher_id, rt.clock.now())
    part(rt).wake()


def _take_back(db: Session, actor: Actor, voucher_id: int, now: datetime) -> None:
    sold = own_sale(db, actor, voucher_id)
    if now - sold.sale.sold_at > UNDO_FOR:
        raise TooLateToUndo()
    unused = (Voucher.id == voucher_id, Voucher.status == "unused", Voucher.disabled_at.is_(None))
    as_sold = (Voucher.extra_seconds == 0, Voucher.extra_bytes == 0)  # else another card's rest would die with it
    switched_off = update(Voucher).where(*unused, *as_sold).values(disabled_at=now).returning(Voucher.id)
    if db.scalar(switched_off) is None:
        raise SoldCardInUse()
    db.scalar(select(Sale.id).where(Sale.id == sold.sale.id).with_for_update())  # whoever sums it up waits, or has
    sums.take_out(db, sold.sale.id, sold.card.site_id, db.get_one(Site, sold.card.site_id).time_zone)
    db.execute(delete(Sale).where(Sale.id == sold.sale.id))
    cards.want(db, [voucher_id], False, now)
    facts = {"serial": sold.card.serial, "price_minor": sold.sale.price_minor, "currency": sold.sale.currency}
    audit.record(db, actor, "sale.undone", sold.card.site_id, "voucher", voucher_id, now, **facts)


def own_sale(db: Session, actor: Actor, voucher_id: int) -> Sold:
    """A sale that the caller made (step). Raises `SaleNotFound`."""
    row = db.execute(_sold_by(actor).where(Sale.voucher_id == voucher_id)).one_or_none()
    if row is None or not actor.sees(row[0].site_id):
        raise SaleNotFound()
    return Sold(*row)


def own_sales_today(db: Session, actor: Actor, site: Site, now: datetime) -> Sequence[Sold]:
    """What the caller sold at a site since its midnight, the latest first, 200 at most."""
    today = _sold_by(actor).where(Sale.site_id == site.id, Sale.sold_at >= start_of_day(site, now))
    rows = db.execute(today.order_by(Sale.sold_at.desc(), Sale.id.desc()).limit(SHOWN_MOST))
    return [Sold(*row) for row in rows]


def own_takings_today(db: Session, actor: Actor, site: Site, now: datetime) -> list[tuple[str, int, int]]:
    """Currency, cards and minor units that the caller took at a site since its midnight."""
    mine = select(Sale.currency, func.count(), func.sum(Sale.price_minor)).where(
        Sale.site_id == site.id, Sale.sold_at >= start_of_day(site, now), Sale.sold_by == actor.user_id
    )
    return [(row[0], row[1], int(row[2])) for row in db.execute(mine.group_by(Sale.currency).order_by(Sale.currency))]


def start_of_day(site: Site, now: datetime) -> datetime:
    """The last midnight on a site's clock."""
    return now.astimezone(ZoneInfo(site.time_zone)).replace(hour=0, minute=0, second=0, microsecond=0)


def _sold_by(actor: Actor) -> Select[Sale, Voucher, PlanVersion]:
    with_card = select(Sale, Voucher, PlanVersion).join(Voucher, Voucher.id == Sale.voucher_id)
    return with_card.join(PlanVersion, PlanVersion.id == Sale.plan_version_id).where(Sale.sold_by == actor.user_id)
