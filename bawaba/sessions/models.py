"""Who is online, until when, and what they have used."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, SmallInteger, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base, BigId, UtcDateTime
from bawaba.core.database import where_clause as _where


class GuestSession(Base):
    """A device's time online by a card. `state`: opening (the router has not confirmed), online, ended.

    Counters: `bytes_*` is what was booked; `seen_*` is the router's last reading, and `seen_epoch` which life of the
    router's counters it belongs to. `active_at` is when the device last moved a byte: the tail after it is given back.
    `told`: 1 once `use_sum` holds it, as it stands in `told_*`; who changes an ended one makes it 0 again.
    """

    __tablename__ = "guest_session"
    __table_args__ = (
        Index("guest_session_live", "router_id", "id", **_where("ended_at IS NULL")),
        Index("guest_session_card", "voucher_id", "client_mac", "id"),
        Index("guest_session_site", "site_id", "id"),
        Index("guest_session_device", "site_id", "client_mac", "created_at"),
        Index("guest_session_untold", "site_id", "id", **_where("told = 0 AND ended_at IS NOT NULL")),
        Index("guest_session_one_live", "voucher_id", "client_mac", unique=True, **_where("ended_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    voucher_id: Mapped[int] = mapped_column(ForeignKey("voucher.id"))
    router_id: Mapped[int] = mapped_column(ForeignKey("router.id"))
    client_mac: Mapped[str] = mapped_column(String(45))  # its address, where the router knows no MAC
    client_ip: Mapped[str | None] = mapped_column(String(45))
    state: Mapped[str] = mapped_column(String(8), default="opening")
    start_time: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_time: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    used_seconds: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_up: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_down: Mapped[int] = mapped_column(BigInteger, default=0)
    seen_up: Mapped[int] = mapped_column(BigInteger, default=0)
    seen_down: Mapped[int] = mapped_column(BigInteger, default=0)
    seen_epoch: Mapped[int] = mapped_column(BigInteger, default=0)
    seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    active_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    rev: Mapped[int] = mapped_column(default=1)
    router_key: Mapped[str | None] = mapped_column(String(40))  # begun by the router itself: the key it has there
    terminate_cause: Mapped[str | None] = mapped_column(String(24))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    told: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    told_day: Mapped[int] = mapped_column(default=0, server_default="0")  # 0: in no sum yet
    told_hour: Mapped[int] = mapped_column(default=0, server_default="0")
    told_router_id: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    told_seconds: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    told_up: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    told_down: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")


class UseSum(Base):
    """Sessions added up by the day of the site's clock that they began on. `facet` is what `ref` is: all (0), hour
    (0-23), plan, batch or router; `ref` 0 where there is none. `day` is as in `SaleSum`."""

    __tablename__ = "use_sum"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    facet: Mapped[str] = mapped_column(String(8), primary_key=True)
    day: Mapped[int] = mapped_column(primary_key=True)
    ref: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    sessions: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[int] = mapped_column(BigInteger)
    up: Mapped[int] = mapped_column(BigInteger)
    down: Mapped[int] = mapped_column(BigInteger)


class Trial(Base):
    """A free trial that a device had on a day of the site; the database allows one."""

    __tablename__ = "trial"
    __table_args__ = (UniqueConstraint("site_id", "device", "day"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    device: Mapped[str] = mapped_column(String(45))
    day: Mapped[str] = mapped_column(String(10))
    voucher_id: Mapped[int] = mapped_column(ForeignKey("voucher.id"))


class GuessMeter(Base):
    """Wrong codes tried, by device and by site. The caps bound the writes, so the database can hold them exactly."""

    __tablename__ = "guess_meter"
    __table_args__ = (UniqueConstraint("site_id", "device"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    device: Mapped[str] = mapped_column(String(45))  # a MAC, an address where there is none, empty for the whole site
    tries: Mapped[float]  # device: wrong in a row this minute; site: the bucket's fill
    blocks: Mapped[int] = mapped_column(default=0)  # how often it went over its cap: the wait doubles
    counted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    blocked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
