"""Who a request comes from: by an access token, a personal key, or a browser's cookie.

What a person may do is always the database's word of the last two seconds; in this process a change bites at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from cachetools import TTLCache
from flask import request
from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from bawaba.accounts import keys, roles
from bawaba.accounts.events import AccessChanged
from bawaba.accounts.models import ApiKey, Login, User, UserSite
from bawaba.accounts.signing_in import BROWSER, COOKIE_KIND, TOKENS
from bawaba.accounts.tokens import read_token
from bawaba.core.actor import Actor
from bawaba.core.runtime import Runtime
from bawaba.web.guard import Caller

COOKIE = "bawaba_login"
KEY = "key"
IDLE = timedelta(hours=12)  # a browser that nobody used for so long has to sign in again
TOUCH = timedelta(minutes=1)  # how exactly the last use is known
REMEMBER_S = 2.0
PART = "accounts.known"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database says of a sign-in or a key, good until `ends_at`, or `IDLE` after `used_at` in a browser."""

    actor: Actor
    kind: str
    login_id: int | None
    csrf: str | None
    used_at: datetime | None
    ends_at: datetime | None
    key_id: int | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it still counts."""
        end = self.end()
        return end is None or now < end

    def end(self) -> datetime | None:
        """When it ends if nobody uses it; None for keys, which a person ends."""
        if self.kind != BROWSER or self.ends_at is None or self.used_at is None:
            return self.ends_at
        return min(self.ends_at, self.used_at + IDLE)


def authenticate(rt: Runtime) -> Caller | None:
    """The caller of this request, or None. An Authorization header is all that counts when there is one."""
    now = rt.clock.now()
    if (header := request.headers.get("Authorization")) is not None:
        scheme, _, secret = header.partition(" ")
        return _caller(_of_bearer(rt, secret.strip(), now), now) if scheme.lower() == "bearer" else None
    cookie = request.cookies.get(COOKIE)
    return _caller(_known(rt, _cookie_digest(rt, cookie), of_cookie, now), now) if cookie else None


def caller_of_token(db: Session, rt: Runtime, token: str) -> Caller | None:
    """Whom an access token speaks for, for a socket; `expires_at` is when the token ends (step)."""
    now = rt.clock.now()
    claims = read_token(rt.keyring.token_key, token, now)
    caller = _caller(of_login(db, claims.login_id), now) if claims else None
    return replace(caller, expires_at=claims.expires_at) if caller and claims else None


def caller_of_cookie(db: Session, rt: Runtime, cookie: str) -> Caller | None:
    """Whom a browser's cookie speaks for, for a socket (step). The Origin is the socket's to check."""
    return _caller(of_cookie(db, _cookie_digest(rt, cookie)), rt.clock.now())


def _caller(standing: Standing | None, now: datetime) -> Caller | None:
    if standing is None or not standing.holds(now):
        return None
    return Caller(standing.actor, standing.csrf, standing.login_id, standing.end())


def _of_bearer(rt: Runtime, secret: str, now: datetime) -> Standing | None:
    if secret.startswith(keys.PREFIX):
        return _known(rt, keys.digest_of(rt.keyring, secret), of_key, now)
    claims = read_token(rt.keyring.token_key, secret, now)
    return _known(rt, claims.login_id, of_login, now) if claims else None


def _cookie_digest(rt: Runtime, cookie: str) -> bytes:
    return rt.keyring.digest(COOKIE_KIND, cookie.encode())


def of_cookie(db: Session, digest: bytes) -> Standing | None:
    """What holds for a browser's cookie (step)."""
    return _of_login(db, Login.digest == digest, Login.kind == BROWSER)


def of_login(db: Session, login_id: int) -> Standing | None:
    """What holds for the sign-in that an access token names (step)."""
    return _of_login(db, Login.id == login_id, Login.kind == TOKENS)


def _of_login(db: Session, *which: ColumnElement[bool]) -> Standing | None:
    """A sign-in counts while it is not revoked, with the password that it was opened with, of a person let in."""
    valid = (Login.revoked_at.is_(None), User.disabled_at.is_(None), User.password_changed_at == Login.password_at)
    row = db.execute(select(Login, User).join(User, User.id == Login.user_id).where(*which, *valid)).one_or_none()
    if row is None:
        return None
    login, user = row[0], row[1]
    return Standing(actor_of(db, user), login.kind, login.id, login.csrf or None, login.used_at, login.expires_at)


def of_key(db: Session, digest: bytes) -> Standing | None:
    """What holds for a personal key: what it was given, and never more than its owner may now (step)."""
    valid = (ApiKey.digest == digest, ApiKey.revoked_at.is_(None), User.disabled_at.is_(None))
    row = db.execute(select(ApiKey, User).join(User, User.id == ApiKey.user_id).where(*valid)).one_or_none()
    if row is None:
        return None
    key, actor = row[0], actor_of(db, row[1])
    actor = replace(actor, permissions=actor.permissions & frozenset(key.permissions))
    return Standing(actor, KEY, None, None, key.used_at, None, key.id)


def actor_of(db: Session, user: User) -> Actor:
    """A person with what they may do and see (step)."""
    site_ids = None
    if not roles.sees_every_site(user.role):
        site_ids = frozenset(db.scalars(select(UserSite.site_id).where(UserSite.user_id == user.id)))
    return Actor(user.id, user.username, user.role, roles.permissions_of(user.role), site_ids, user.spoken)


class _Known:
    """What was read of sign-ins in the last seconds. Forgotten at once when this process changes somebody's access."""

    def __init__(self, rt: Runtime) -> None:
        self._entries: TTLCache[bytes | int, Standing] = TTLCache(1024, REMEMBER_S, rt.clock.monotonic)
        self._lock = threading.Lock()
        self._changes = 0
        rt.events.subscribe(AccessChanged, self._forget)

    def get(self, name: bytes | int) -> tuple[Standing | None, int]:
        """What is known, and the count of changes to give back to `put`."""
        with self._lock:
            return self._entries.get(name), self._changes

    def put(self, name: bytes | int, standing: Standing, changes: int) -> None:
        """Remember what was read, unless somebody's access changed while it was being read."""
        with self._lock:
            if changes == self._changes:
                self._entries[name] = standing

    def _forget(self, event: AccessChanged) -> None:
        with self._lock:
            self._changes += 1
            self._entries.clear()


def _known(rt: Runtime, name: Any, read: Callable[[Session, Any], Standing | None], now: datetime) -> Standing | None:
    memory: _Known = rt.parts.get(PART) or rt.parts.setdefault(PART, _Known(rt))
    standing, changes = memory.get(name)
    if standing is None:
        standing = rt.read(read, name)
        if standing is not None and standing.holds(now):
            standing = _touched(rt, standing, now)
            memory.put(name, standing, changes)
    return standing


def _touched(rt: Runtime, standing: Standing, now: datetime) -> Standing:
    """Note the use of a sign-in or key, once a minute at most."""
    if standing.used_at is not None and now - standing.used_at < TOUCH:
        return standing
    rt.transact(_touch, standing, now)
    return replace(standing, used_at=now)


def _touch(db: Session, standing: Standing, now: datetime) -> None:
    if standing.key_id is not None:
        db.execute(update(ApiKey).where(ApiKey.id == standing.key_id).values(used_at=now))
    else:
        db.execute(update(Login).where(Login.id == standing.login_id).values(used_at=now))
