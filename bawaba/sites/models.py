"""A place with routers and guests: its clock, its money, and how it holds cards."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base, BigId, UtcDateTime


class Site(Base):
    """`mode` is server_held (unused codes never lie on the router) or router_held (they do, for outages)."""

    __tablename__ = "site"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    time_zone: Mapped[str] = mapped_column(String(64))
    currency: Mapped[str] = mapped_column(String(3))
    currency_decimals: Mapped[int]
    mode: Mapped[str] = mapped_column(String(16), default="server_held")
    language: Mapped[str] = mapped_column(String(8), default="ar")
    portal_host: Mapped[str] = mapped_column(String(120), default="login.wifi")  # what is printed for typing
    wifi_name: Mapped[str] = mapped_column(String(64), default="")
    support: Mapped[str] = mapped_column(String(120), default="")  # a phone number or address for guests
    device_moves_per_day: Mapped[int] = mapped_column(default=1)
    wrong_tries_per_minute: Mapped[int] = mapped_column(default=10)  # the site's own cap, sustained
    batches_made: Mapped[int] = mapped_column(default=0)  # serials: B042-0173
    singles_made: Mapped[int] = mapped_column(default=0)  # serials: S000173
    colour: Mapped[str] = mapped_column(String(7), default="", server_default="")  # #rrggbb; empty: ours
    terms: Mapped[str] = mapped_column(String(2000), default="", server_default="")  # what guests agree to
    trial_minutes: Mapped[int | None]  # a free trial a device and day; None: there is none
    trial_rate_kbps: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SiteLogo(Base):
    """A site's logo as guests get it: a small PNG that we made from what was uploaded."""

    __tablename__ = "site_logo"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), primary_key=True)
    png: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[str] = mapped_column(String(16))
