"""Cards, and the batches they are made in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, false
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base, BigId, UtcDateTime
from bawaba.core.database import where_clause as _where

Serial = String(24).with_variant(String(24, collation="C"), "postgresql")  # ordered by bytes: prefixes are ranges


class Batch(Base):
    """Cards made together. `state`: making, ready, failed; its cards count for nothing before it is ready."""

    __tablename__ = "batch"
    __table_args__ = (Index("batch_site", "site_id", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    number: Mapped[int]  # counts up within the site; its cards' serials begin with it
    plan_version_id: Mapped[int] = mapped_column(ForeignKey("plan_version.id"))
    quantity: Mapped[int]
    created: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(8), default="making")
    error: Mapped[str | None] = mapped_column(String(500))
    code_style: Mapped[str] = mapped_column(String(8))
    prefix: Mapped[str] = mapped_column(String(4), default="")
    price_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    note: Mapped[str] = mapped_column(String(200), default="")
    language: Mapped[str] = mapped_column(String(8), default="ar")
    ordered_by: Mapped[int | None] = mapped_column(BigInteger)
    lease_owner: Mapped[str | None] = mapped_column(String(40))  # the process that makes it
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ready_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # the same as of the cards switched off with it


class Voucher(Base):
    """A card. The code is kept twice: a keyed digest to find it by, and sealed so that it can be printed again.

    `status` is unused or used, as people decided; expired is worked out (`rules.status_at`), disabled is `disabled_at`.
    """

    __tablename__ = "voucher"
    __table_args__ = (
        Index("voucher_digest", "code_digest", unique=True),
        Index("voucher_serial", "site_id", "serial", unique=True),
        Index("voucher_batch", "batch_id", "id"),
        Index("voucher_place", "batch_id", "number"),
        Index("voucher_site", "site_id", "id"),
        Index("voucher_over", "site_id", "over_at", "id", **_where("over_at IS NOT NULL")),
        Index("voucher_unused", "site_id", "id", **_where("status = 'unused'")),
        Index("voucher_stock", "plan_version_id", "over_at", **_where("status = 'unused' AND disabled_at IS NULL")),
        Index("voucher_used", "site_id", "id", **_where("status = 'used'")),
        Index("voucher_disabled", "site_id", "id", **_where("disabled_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("batch.id"))
    number: Mapped[int]  # its place in the batch, from 1
    plan_version_id: Mapped[int] = mapped_column(ForeignKey("plan_version.id"))
    serial: Mapped[str] = mapped_column(Serial)
    code_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    code_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[str] = mapped_column(String(8), default="unused")
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expires_unused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # a fixed end, like a hotel's check-out
    first_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when a router first confirmed
    claimed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when it was first redeemed
    over_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime
    )  # the end as far as known now; None: no end by the clock
    used_seconds: Mapped[int] = mapped_column(BigInteger, default=0)  # of ended sessions (used_time plans)
    bytes_up: Mapped[int] = mapped_column(BigInteger, default=0)  # of all sessions, as booked
    bytes_down: Mapped[int] = mapped_column(BigInteger, default=0)
    devices_seen: Mapped[int] = mapped_column(default=0)
    moved_on: Mapped[str | None] = mapped_column(String(10))  # the site's day of the last move to another phone
    moves_that_day: Mapped[int] = mapped_column(default=0)
    extra_seconds: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # beyond the plan's
    extra_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    frozen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # switched off with its clock stopped
    moved_to: Mapped[int | None] = mapped_column(BigInteger)  # the card that has what was on this one
    is_free: Mapped[bool] = mapped_column(default=False, server_default=false())  # no sale: a trial, or a lost card's
    price_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    note: Mapped[str] = mapped_column(String(200), default="")
    created_by: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PrintRun(Base):
    """The print journal: who put which cards on which paper; `voucher_id` where it was one card by itself."""

    __tablename__ = "print_run"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("batch.id"), index=True)
    voucher_id: Mapped[int | None] = mapped_column(ForeignKey("voucher.id", name="print_run_voucher"), index=True)
    layout: Mapped[str] = mapped_column(String(16))
    from_serial: Mapped[str] = mapped_column(String(24))
    to_serial: Mapped[str] = mapped_column(String(24))
    cards: Mapped[int]
    printed_by: Mapped[int | None] = mapped_column(BigInteger)
    printed_at: Mapped[datetime] = mapped_column(UtcDateTime)
