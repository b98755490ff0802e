"""Writing a sale down, once a card."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from bawaba.core.statement import Statement

RECORD = Statement(
    "INSERT INTO sale (voucher_id, site_id, plan_version_id, price_minor, currency, sold_by, sold_at) "
    "SELECT id, site_id, plan_version_id, price_minor, currency, :sold_by, :now FROM voucher "
    "WHERE id = :voucher_id AND NOT is_free "
    "ON CONFLICT (voucher_id) DO NOTHING"
)


def record_sale(db: Session, voucher_id: int, now: datetime, sold_by: int | None = None) -> bool:
    """Write down that a card is sold, at the counter or else at its first use; False when that is known already."""
    return RECORD.run(db, voucher_id=voucher_id, now=now, sold_by=sold_by) == 1
