"""What gateways that speak RADIUS have told of their sessions."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base, BigId, UtcDateTime
from bawaba.core.database import where_clause as _where


class RadiusSession(Base):
    """One session as a NAS counts it: a guest who comes back before his session has ended has another one.

    Its counters begin at zero; `seen_*` are the highest that were told, in bytes and seconds. `names_sealed` is what
    the NAS calls it (JSON of its attributes): the User-Name among them is the card's code.
    """

    __tablename__ = "radius_session"
    __table_args__ = (
        UniqueConstraint("router_id", "acct_session_id", "session_id"),
        Index("radius_session_live", "router_id", "started_at", **_where("stopped_at IS NULL")),
        Index("radius_session_guest", "session_id", "started_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    router_id: Mapped[int] = mapped_column(ForeignKey("router.id", ondelete="CASCADE"))
    session_id: Mapped[int] = mapped_column(ForeignKey("guest_session.id", ondelete="CASCADE"))
    acct_session_id: Mapped[str] = mapped_column(String(253))
    names_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    seen_seconds: Mapped[int] = mapped_column(BigInteger, default=0)
    seen_up: Mapped[int] = mapped_column(BigInteger, default=0)
    seen_down: Mapped[int] = mapped_column(BigInteger, default=0)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
