"""Personal keys for programs. A key may do what it was given, and never more than its owner."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.accounts.events import AccessChanged
from bawaba.accounts.idempotency import Once
from bawaba.accounts.models import ApiKey
from bawaba.core.actor import Actor
from bawaba.core.errors import NotFound, field_fault
from bawaba.core.keyring import Keyring
from bawaba.core.runtime import Runtime
from bawaba.web.paging import PageRequest

PREFIX = "bwk_"


def digest_of(keyring: Keyring, secret: str) -> bytes:
    """What a key is found by; the key itself is kept nowhere."""
    return keyring.digest("personal key", secret.encode())


def make_key(
    rt: Runtime, actor: Actor, name: str, permissions: Sequence[str] | None, once: Once | None = None
) -> tuple[ApiKey, str]:
    """Make a key: it is shown this once. Without `permissions` it may all that its owner may now.

    Raises `Invalid` for permissions that the owner does not have.
    """
    given = sorted(actor.permissions if permissions is None else set(permissions))
    if not actor.permissions.issuperset(given):
        raise field_fault("permissions", "you do not have all of these yourself")
    secret = PREFIX + secrets.token_urlsafe(32)
    key = rt.transact(_make, actor, name, given, digest_of(rt.keyring, secret), rt.clock.now(), once)
    return key, secret


def _make(
    db: Session, actor: Actor, name: str, permissions: list[str], digest: bytes, now: datetime, once: Once | None
) -> ApiKey:
    row = {"user_id": actor.user_id, "name": name, "digest": digest, "permissions": permissions, "created_at": now}
    key = db.scalars(insert(ApiKey).values(row).returning(ApiKey)).one()
    audit.record(db, actor, "key.made", None, "key", key.id, now, name=name)
    if once is not None:
        once.record(db, key.id)
    return key


def list_keys(db: Session, actor: Actor, page: PageRequest) -> Sequence[ApiKey]:
    """The caller's own keys that hold, newest first, one more than the page holds."""
    wanted = select(ApiKey).where(ApiKey.user_id == actor.user_id, ApiKey.revoked_at.is_(None))
    if page.after_id is not None:
        wanted = wanted.where(ApiKey.id < page.after_id)
    return db.scalars(wanted.order_by(ApiKey.id.desc()).limit(page.limit + 1)).all()


def revoke_key(rt: Runtime, actor: Actor, key_id: int) -> None:
    """End one of the caller's own keys. Raises `NotFound`."""
    rt.transact(_revoke, actor, key_id, rt.clock.now())
    rt.publish(AccessChanged(actor.user_id or 0))


def _revoke(db: Session, actor: Actor, key_id: int, now: datetime) -> None:
    own = update(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == actor.user_id, ApiKey.revoked_at.is_(None))
    name = db.scalar(own.values(revoked_at=now).returning(ApiKey.name))
    if name is None:
        raise NotFound()
    audit.record(db, actor, "key.revoked", None, "key", key_id, now, name=name)
