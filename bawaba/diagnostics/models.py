"""What requests did, kept for who wants to know why one was slow."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base, BigId, UtcDateTime


class RequestTrace(Base):
    """One request. `route` is the pattern that it fitted (`/c/<code>`), with nothing that a guest typed; times are
    whole microseconds; `detail` is JSON, as `recorder.detail_of` writes it."""

    __tablename__ = "request_trace"
    __table_args__ = (Index("request_trace_request", "request_id"), Index("request_trace_took", "took_us"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    request_id: Mapped[str] = mapped_column(String(64))
    process: Mapped[str] = mapped_column(String(48))
    method: Mapped[str] = mapped_column(String(8))
    route: Mapped[str] = mapped_column(String(160))
    status: Mapped[int]
    who: Mapped[str] = mapped_column(String(60))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    took_us: Mapped[int] = mapped_column(BigInteger)
    database_us: Mapped[int] = mapped_column(BigInteger)
    router_us: Mapped[int] = mapped_column(BigInteger)
    statements: Mapped[int]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    detail: Mapped[str] = mapped_column(Text)
