"""What happened that people should know of, who has read it, and the ways outward."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String, UniqueConstraint, false, true
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base, BigId, UtcDateTime, where_clause


class Notification(Base):
    """One thing that happened, however many rows it is made of. `key` names it while it lasts: one open row a key.

    `closed_at` is when it was over; `facts` are what its sentences are filled in with, `closing` those of its end.
    """

    __tablename__ = "notification"
    __table_args__ = (
        Index("notification_open", "key", unique=True, **where_clause("closed_at IS NULL")),
        Index("notification_key", "key", "id"),
        Index("notification_site", "site_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(24))
    severity: Mapped[str] = mapped_column(String(8))  # info, warning, critical
    site_id: Mapped[int | None] = mapped_column(BigInteger)  # None: of no site, for those who see them all
    key: Mapped[str] = mapped_column(String(80))
    path: Mapped[str] = mapped_column(String(120))  # the page that shows the thing
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    closing: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    better_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # since when it seems to be over
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class NotificationRead(Base):
    """Somebody has read a notification."""

    __tablename__ = "notification_read"

    notification_id: Mapped[int] = mapped_column(ForeignKey("notification.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    read_at: Mapped[datetime] = mapped_column(UtcDateTime)


class NotificationChannel(Base):
    """A way outward: an apprise URL, sealed, for it holds secrets. `kind` is its scheme, which is none."""

    __tablename__ = "notification_channel"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    kind: Mapped[str] = mapped_column(String(24))
    url_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    language: Mapped[str] = mapped_column(String(8))
    least: Mapped[str] = mapped_column(String(8))  # the least severity that it carries
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))  # None: of every site
    allow_private: Mapped[bool] = mapped_column(default=False, server_default=false())
    enabled: Mapped[bool] = mapped_column(default=True, server_default=true())
    last_error: Mapped[str | None] = mapped_column(String(24))
    last_sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class NotificationDelivery(Base):
    """A message on its way: of one notification's beginning or end, over one channel. `state`: open, done, failed."""

    __tablename__ = "notification_delivery"
    __table_args__ = (
        UniqueConstraint("notification_id", "channel_id", "phase"),
        Index("notification_delivery_open", "next_try_at", **where_clause("state = 'open'")),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    notification_id: Mapped[int] = mapped_column(ForeignKey("notification.id", ondelete="CASCADE"))
    channel_id: Mapped[int] = mapped_column(ForeignKey("notification_channel.id", ondelete="CASCADE"))
    phase: Mapped[str] = mapped_column(String(8))  # begun, over
    state: Mapped[str] = mapped_column(String(8), default="open")
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None] = mapped_column(String(24))
    next_try_at: Mapped[datetime] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
