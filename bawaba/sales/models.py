"""What was sold, for how much, by whom: one row a card."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base, BigId, UtcDateTime


class Sale(Base):
    """Written at the counter, else at first use; unique by card, so a card is never sold twice."""

    __tablename__ = "sale"
    __table_args__ = (Index("sale_site_time", "site_id", "sold_at"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    voucher_id: Mapped[int] = mapped_column(ForeignKey("voucher.id"), unique=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    plan_version_id: Mapped[int] = mapped_column(ForeignKey("plan_version.id"))
    price_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    sold_by: Mapped[int | None] = mapped_column(BigInteger)
    sold_at: Mapped[datetime] = mapped_column(UtcDateTime)
