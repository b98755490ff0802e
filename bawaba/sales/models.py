"""What was sold, for how much, by whom: one row a card."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base, BigId, UtcDateTime, where_clause


class Sale(Base):
    """Written at the counter, else at first use; unique by card, so a card is never sold twice.

    `told`: 1 once `sale_sum` holds it; `router_id` is filled in then: the router of the card's first session, if any.
    """

    __tablename__ = "sale"
    __table_args__ = (
        Index("sale_site_time", "site_id", "sold_at"),
        Index("sale_untold", "site_id", "id", **where_clause("told = 0")),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    voucher_id: Mapped[int] = mapped_column(ForeignKey("voucher.id"), unique=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    plan_version_id: Mapped[int] = mapped_column(ForeignKey("plan_version.id"))
    price_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    sold_by: Mapped[int | None] = mapped_column(BigInteger)
    sold_at: Mapped[datetime] = mapped_column(UtcDateTime)
    router_id: Mapped[int | None] = mapped_column(BigInteger)
    told: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")


class SaleSum(Base):
    """Sales added up by the days of the site's clock. `facet` is what `ref` is: all (0), hour (0-23), plan, batch,
    router or seller; `ref` 0 where there is none. `day` counts from the first of January of year 1 as 1."""

    __tablename__ = "sale_sum"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    facet: Mapped[str] = mapped_column(String(8), primary_key=True)
    day: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    currency: Mapped[str] = mapped_column(String(3), primary_key=True)
    cards: Mapped[int] = mapped_column(BigInteger)
    total_minor: Mapped[int] = mapped_column(BigInteger)
