"""Reads of sales, for a day or a few: an index range each. Longer reports are made from rollups."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from bawaba.sales.models import Sale
from bawaba.vouchers.models import Voucher

Sold = tuple[str, int, int]  # currency, cards, minor units


def sold_between(db: Session, site_id: int, start: datetime, end: datetime) -> list[Sold]:
    """What a site sold from `start` to before `end`, by currency, the one with most cards first."""
    cards = func.count().label("cards")
    wanted = select(Sale.currency, cards, func.sum(Sale.price_minor)).where(
        Sale.site_id == site_id, Sale.sold_at >= start, Sale.sold_at < end
    )
    rows = db.execute(wanted.group_by(Sale.currency).order_by(cards.desc()))
    return [(row[0], row[1], int(row[2])) for row in rows]


def is_unsold() -> ColumnElement[bool]:
    """That a card was not sold: neither at the counter, which may be long before its first use, nor by being used."""
    return ~exists().where(Sale.voucher_id == Voucher.id)
