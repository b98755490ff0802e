"""What a card buys. A sold card keeps the version it was sold with, so versions are never changed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base, BigId, UtcDateTime


class Plan(Base):
    """A plan by name; what it gives stands in its newest `PlanVersion`."""

    __tablename__ = "plan"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), index=True)
    version: Mapped[int] = mapped_column(default=1)
    is_trial: Mapped[bool] = mapped_column(default=False, server_default=false())  # of the site's free trial
    archived_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PlanVersion(Base):
    """Immutable. `None` is no limit. Seconds, bytes, kbit/s and minor units of money."""

    __tablename__ = "plan_version"
    __table_args__ = (UniqueConstraint("plan_id", "version"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"))
    version: Mapped[int]
    name: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(16))  # elapsed: wall clock from first use; used_time: while online only
    duration_seconds: Mapped[int | None] = mapped_column(BigInteger)
    quota_bytes: Mapped[int | None] = mapped_column(BigInteger)
    quota_up_bytes: Mapped[int | None] = mapped_column(BigInteger)
    quota_down_bytes: Mapped[int | None] = mapped_column(BigInteger)
    rate_down_kbps: Mapped[int | None]
    rate_up_kbps: Mapped[int | None]
    devices_at_once: Mapped[int] = mapped_column(default=1)
    devices_ever: Mapped[int | None]
    valid_for_seconds: Mapped[int | None] = mapped_column(BigInteger)  # from first use
    shelf_life_seconds: Mapped[int | None] = mapped_column(BigInteger)  # of an unused card, from its making
    idle_timeout_seconds: Mapped[int] = mapped_column(default=300)
    price_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
