"""The boxes, what should be on each, and the work promised to them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base, BigId, UtcDateTime
from bawaba.core.database import where_clause as _where


class Router(Base):
    """`status` is up, degraded (one missed poll), down (two, or an admit nobody took) or maintenance (a person).

    A removed router keeps its row, for the sessions that went through it: whoever looks for routers asks for `THERE`.
    """

    __tablename__ = "router"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    driver: Mapped[str] = mapped_column(String(24))
    address: Mapped[str] = mapped_column(String(255))
    port: Mapped[int | None]
    username: Mapped[str | None] = mapped_column(String(120))
    password_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    options: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    secrets_sealed: Mapped[dict[str, str] | None] = mapped_column(JSON)  # secret options by name, see `told`
    failover_group: Mapped[str | None] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(16), default="up")
    error_code: Mapped[str | None] = mapped_column(String(40))
    error: Mapped[str | None] = mapped_column(String(500))
    missed_polls: Mapped[int] = mapped_column(default=0)
    last_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_poll_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_owner: Mapped[str | None] = mapped_column(String(40))  # the process that polls it and delivers to it
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    boot: Mapped[int] = mapped_column(BigInteger, default=0)  # the gateway's last known start, from its health
    online: Mapped[int] = mapped_column(default=0)  # sessions seen at the last poll
    health: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    breaker: Mapped[str] = mapped_column(String(10), default="closed", server_default="closed")
    failures: Mapped[int] = mapped_column(default=0, server_default="0")  # in a row
    breaker_until: Mapped[datetime | None] = mapped_column(UtcDateTime)  # left alone until then; None while closed
    down_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    link_ms: Mapped[int | None]  # measured on short calls, a moving average
    drift: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # what the last comparison found
    reconcile_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when to compare again; None: at the next poll
    devices_rev: Mapped[int] = mapped_column(default=0)  # the revision of the site's device lists it has
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    removed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


THERE = Router.removed_at.is_(None)


class RouterGrant(Base):
    """A card that should lie on a router (router-held sites). Synced when `synced_rev` has caught up with `rev`."""

    __tablename__ = "router_grant"
    __table_args__ = (
        UniqueConstraint("router_id", "key"),
        Index("router_grant_key", "key"),
        Index("router_grant_behind", "router_id", "id", **_where("synced_rev < rev")),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    router_id: Mapped[int] = mapped_column(ForeignKey("router.id", ondelete="CASCADE"))
    key: Mapped[int] = mapped_column(BigInteger)  # the card's id
    rev: Mapped[int] = mapped_column(default=1)
    synced_rev: Mapped[int] = mapped_column(default=0)
    wanted: Mapped[bool] = mapped_column(default=True)  # False: must not be there
    refusals: Mapped[int] = mapped_column(default=0, server_default="0")  # times that the router refused this one
    error: Mapped[str | None] = mapped_column(String(200))  # why
    given_up: Mapped[bool] = mapped_column(default=False, server_default=false())  # a person decided so
    secret_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    limits: Mapped[dict[str, Any]] = mapped_column(JSON)
    plan: Mapped[str] = mapped_column(String(80))


class RouterJob(Base):
    """Work promised to a router, written in the transaction it follows from.

    `kind`: cards (one open job a router for all cards that are behind there), admit, kick, devices. `ref` is whatever
    the kind is about. `state`: open (waiting or retrying), failed (a person must act), done.
    """

    __tablename__ = "router_job"
    __table_args__ = (
        Index("router_job_open", "router_id", "next_try_at", **_where("state = 'open'")),
        Index("router_job_list", "state", "id"),
        Index("router_job_ref", "kind", "ref"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    router_id: Mapped[int] = mapped_column(ForeignKey("router.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    ref: Mapped[int | None] = mapped_column(BigInteger)
    payload: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    state: Mapped[str] = mapped_column(String(8), default="open")
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None] = mapped_column(String(500))
    outcome_unknown: Mapped[bool] = mapped_column(default=False, server_default=false())  # look before trying again
    given_up_by: Mapped[str | None] = mapped_column(String(60))
    request_id: Mapped[str | None] = mapped_column(String(64))  # of the request that it follows from
    next_try_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Device(Base):
    """A device that its site knows: `trusted` is online without a card, `blocked` never is."""

    __tablename__ = "device"
    __table_args__ = (UniqueConstraint("site_id", "mac"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    mac: Mapped[str] = mapped_column(String(17))
    standing: Mapped[str] = mapped_column(String(8))
    note: Mapped[str] = mapped_column(String(120), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
