"""What was seen of each router, summed up by the minute, the hour and the day."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base, UtcDateTime


class RouterSample(Base):
    """What was seen of a router from `start` for `width_s` seconds: sums over `looks`, of which `missed` failed.

    `cpu` and `memory` are percents, summed over `cpu_looks` (a gateway may not tell them); `up` and `down` are the
    bytes that guests moved; `sessions_most` is the largest number that was online at once.
    """

    __tablename__ = "router_sample"
    __table_args__ = (Index("router_sample_age", "width_s", "start"),)

    router_id: Mapped[int] = mapped_column(ForeignKey("router.id", ondelete="CASCADE"), primary_key=True)
    width_s: Mapped[int] = mapped_column(primary_key=True)
    start: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    looks: Mapped[int]
    missed: Mapped[int]
    sessions: Mapped[int] = mapped_column(BigInteger)
    sessions_most: Mapped[int]
    up: Mapped[int] = mapped_column(BigInteger)
    down: Mapped[int] = mapped_column(BigInteger)
    cpu: Mapped[float]
    memory: Mapped[float]
    cpu_looks: Mapped[int]
