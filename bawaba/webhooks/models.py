"""Who is told of what, and each message on its way: the outbox and its log in one table."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text, false, true
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base, BigId, UtcDateTime, where_clause


class Webhook(Base):
    """An address that is told. `events` holds its kinds with a space on both sides of each, so that one can be found.

    `failing_since` is when it began to fail without taking anything since; `rest_until` spares one that is not there.
    """

    __tablename__ = "webhook"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    url: Mapped[str] = mapped_column(String(1000))
    events: Mapped[str] = mapped_column(String(200))
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))  # None: of every site
    secret_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    allow_private: Mapped[bool] = mapped_column(default=False, server_default=false())
    enabled: Mapped[bool] = mapped_column(default=True, server_default=true())
    failures: Mapped[int] = mapped_column(default=0, server_default="0")  # in a row, without any answer
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    rest_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    taken_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when it last took a message
    gave_up_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when it was switched off for failing
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def kinds(self) -> list[str]:
        """The kinds of events that it is told of."""
        return self.events.split()


class WebhookDelivery(Base):
    """One message for one webhook. `state`: open, done, failed. `body` is sent as it stands, to the byte.

    `webhook_id` is no foreign key: a redemption must not fail because a webhook is being removed beside it.
    """

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        Index("webhook_delivery_open", "next_try_at", **where_clause("state = 'open'")),
        Index("webhook_delivery_log", "webhook_id", "id"),
        Index("webhook_delivery_age", "created_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    webhook_id: Mapped[int] = mapped_column(BigInteger)
    event_id: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(40))
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(8), default="open")
    attempts: Mapped[int] = mapped_column(default=0)
    status: Mapped[int | None]  # the last answer's HTTP status
    error: Mapped[str | None] = mapped_column(String(24))  # why the last try was none; a word of `posting`'s
    took_ms: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    next_try_at: Mapped[datetime] = mapped_column(UtcDateTime)  # for one that is on its way: until when it is leased
    give_up_at: Mapped[datetime] = mapped_column(UtcDateTime)
    tried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
