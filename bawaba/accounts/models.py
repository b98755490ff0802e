"""The people who run the hotspot, their sign-ins, and what they did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base, BigId, UtcDateTime

UNCHOSEN = ""  # the language of who has not signed in at a browser yet
OUR_LANGUAGE = "ar"


class User(Base):
    """`role` is admin, operator, viewer or clerk. An admin sees every site, others those of `user_site`."""

    __tablename__ = "user"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    username: Mapped[str] = mapped_column(String(60), unique=True)  # folded to lower case
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16))
    language: Mapped[str] = mapped_column(String(8), default=UNCHOSEN)
    totp_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    totp_pending: Mapped[bytes | None] = mapped_column(LargeBinary)  # sealed; shown, and not yet proved with a code
    totp_last_step: Mapped[int] = mapped_column(BigInteger, default=0)  # a code works once
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # the row stays: its id never names another
    password_changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def spoken(self) -> str:
        """The language to speak to them."""
        return self.language or OUR_LANGUAGE


class UserSite(Base):
    """Which sites a person works at."""

    __tablename__ = "user_site"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), primary_key=True)


class Login(Base):
    """A signed-in person: a browser (its cookie's digest) or a family of refresh tokens."""

    __tablename__ = "login"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(8))  # browser, tokens
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)  # of the cookie, or of the newest refresh token
    csrf: Mapped[str] = mapped_column(String(64), default="")
    password_at: Mapped[datetime] = mapped_column(UtcDateTime)  # which password it was opened with; another one ends it
    address: Mapped[str] = mapped_column(String(45), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SpentRefreshToken(Base):
    """A refresh token that was traded in; seeing it again means that somebody copied it."""

    __tablename__ = "spent_refresh_token"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    login_id: Mapped[int] = mapped_column(ForeignKey("login.id", ondelete="CASCADE"), index=True)
    spent_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SignInTry(Base):
    """Wrong passwords by account and address, and by each of them over all of the other (which is then empty)."""

    __tablename__ = "sign_in_try"
    __table_args__ = (UniqueConstraint("account", "address"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account: Mapped[bytes] = mapped_column(LargeBinary(32))  # keyed digest of the name typed: it may be a password
    address: Mapped[str] = mapped_column(String(45))  # of IPv6 the /64
    wrong: Mapped[int]
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    blocked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ApiKey(Base):
    """A personal key for programs; it may never do more than its owner."""

    __tablename__ = "api_key"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(60))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    permissions: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class IdempotencyKey(Base):
    """The first answer to a create, kept for a day so that a repeat gets it again."""

    __tablename__ = "idempotency_key"
    __table_args__ = (UniqueConstraint("user_id", "key"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str] = mapped_column(String(128))
    request_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    subject_id: Mapped[int] = mapped_column(BigInteger)  # what was made, in the transaction that wrote this row
    status: Mapped[int] = mapped_column(default=0)  # 0: made, and its answer not kept yet
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)  # sealed: it may hold a code
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class AuditEntry(Base):
    """Who did what to what, and when. `chain` seals the deed together with the `previous` one's seal."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index("audit_site", "site_id", "id"), Index("audit_subject", "subject", "subject_id", "id"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor_id: Mapped[int | None] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(String(60))
    action: Mapped[str] = mapped_column(String(40))
    site_id: Mapped[int | None] = mapped_column(BigInteger)
    subject: Mapped[str] = mapped_column(String(24), default="")
    subject_id: Mapped[int | None] = mapped_column(BigInteger)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    previous: Mapped[bytes | None] = mapped_column(LargeBinary)
    chain: Mapped[bytes | None] = mapped_column(LargeBinary)
