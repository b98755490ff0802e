"""Signing in and out: a name and a password become a login, for a browser or for a program."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from bawaba.accounts import audit, passwords, rules, second_factor, throttle
from bawaba.accounts.errors import BadCredentials, SignInBusy, TokenReused, TotpRequired
from bawaba.accounts.events import AccessChanged
from bawaba.accounts.models import UNCHOSEN, Login, SpentRefreshToken, User
from bawaba.accounts.throttle import Ticket
from bawaba.accounts.tokens import generate_token
from bawaba.core.actor import Actor
from bawaba.core.errors import Unauthenticated
from bawaba.core.runtime import Runtime

log = structlog.get_logger(__name__)
BROWSER, TOKENS = "browser", "tokens"
LIFE = {BROWSER: timedelta(days=7), TOKENS: timedelta(days=30)}
REFRESH_KIND, COOKIE_KIND = "refresh token", "login cookie"


@dataclass(frozen=True, slots=True)
class Proof:
    """That a name, a password and a code fit a person, as they stood at that moment."""

    user: User
    ticket: Ticket
    new_hash: str | None
    totp_step: int | None


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a program signs in with."""

    access_token: str
    refresh_token: str
    user: User


@dataclass(frozen=True, slots=True)
class BrowserLogin:
    """What a browser signs in with."""

    cookie: str
    life: timedelta
    language: str
    role: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """The login page's language, and whether the person switched it to that."""

    language: str
    is_switched: bool


def sign_in_program(rt: Runtime, username: str, password: str, totp: str | None, address: str) -> Tokens:
    """Give an access token and a refresh token. Raises what `validate_credentials` raises."""
    proof = validate_credentials(rt, username, password, totp, address)
    now, refresh_token = rt.clock.now(), secrets.token_urlsafe(32)
    login_id = rt.transact(
        _open, proof, TOKENS, rt.keyring.digest(REFRESH_KIND, refresh_token.encode()), "", address, now
    )
    access_token = generate_token(rt.keyring.token_key, proof.user.id, login_id, now)
    return Tokens(access_token, refresh_token, proof.user)


def sign_in_browser(
    rt: Runtime, username: str, password: str, totp: str | None, address: str, spoken: Spoken
) -> BrowserLogin:
    """Give a browser its cookie. The login page's language stays theirs where they switched it, and where they had
    none yet. Raises what `validate_credentials` raises."""
    proof = validate_credentials(rt, username, password, totp, address)
    cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    digest = rt.keyring.digest(COOKIE_KIND, cookie.encode())
    rt.transact(_open, proof, BROWSER, digest, csrf, address, rt.clock.now())
    language = proof.user.spoken
    if spoken.language != language and (spoken.is_switched or proof.user.language == UNCHOSEN):
        language = spoken.language
    if language != proof.user.language:
        rt.transact(set_language, proof.user.id, language)
        rt.publish(AccessChanged(proof.user.id))
    return BrowserLogin(cookie, LIFE[BROWSER], language, proof.user.role)


def set_language(db: Session, user_id: int | None, language: str) -> None:
    """Note the language to speak to a person (step)."""
    db.execute(update(User).where(User.id == user_id).values(language=language))


def validate_credentials(rt: Runtime, username: str, password: str, totp: str | None, address: str) -> Proof:
    """Find the person whose name, password and code these are.

    The same time passes and the same answer comes for a wrong password and for a name that nobody has. Raises
    `BadCredentials`, `TotpRequired`, `TooManyTries` (then the password was not looked at), `SignInBusy`.
    """
    now, name = rt.clock.now(), rules.fold_username(username)
    ticket = rt.transact(throttle.take, throttle.account_of(rt.keyring, name), name, address, now)
    try:
        user, new_hash = _check_password(rt, name, password)
        step = _check_code(rt, user, totp, now)
    except BadCredentials:
        log.info("a sign-in was refused", address=address)
        raise
    except (SignInBusy, TotpRequired):
        rt.transact(throttle.give_back, ticket)
        raise
    return Proof(user, ticket, new_hash, step)


def _check_password(rt: Runtime, name: str, password: str) -> tuple[User, str | None]:
    """The person, and a new hash where theirs is of an older kind."""
    user = rt.read(_find, name)
    stored = user.password_hash if user is not None else passwords.NOBODY
    if not passwords.check_password_hash(stored, password) or user is None:
        raise BadCredentials()
    return user, passwords.hash_password(password) if passwords.needs_rehash(stored) else None


def _find(db: Session, name: str) -> User | None:
    return db.scalar(select(User).where(User.username == name, User.disabled_at.is_(None)))


def _check_code(rt: Runtime, user: User, totp: str | None, now: datetime) -> int | None:
    """The step of a code that fits, None for who signs in without one."""
    if user.totp_sealed is None:
        return None
    if not totp:
        raise TotpRequired()
    step = second_factor.step_of(second_factor.unseal(rt.keyring, user.id, user.totp_sealed), totp, now)
    if step is None:
        raise BadCredentials()
    return step


def _open(db: Session, proof: Proof, kind: str, digest: bytes, csrf: str, address: str, now: datetime) -> int:
    """Write the login down. Raises `BadCredentials` when the code was used by somebody in the meantime."""
    user = proof.user
    if proof.totp_step is not None and not second_factor.spend(db, user.id, proof.totp_step):
        raise BadCredentials()
    if proof.new_hash is not None:
        unchanged = update(User).where(User.id == user.id, User.password_hash == user.password_hash)
        db.execute(unchanged.values(password_hash=proof.new_hash))
    throttle.clear(db, proof.ticket)
    login = insert(Login).values(
        user_id=user.id,
        kind=kind,
        digest=digest,
        csrf=csrf,
        password_at=user.password_changed_at,
        address=address,
        created_at=now,
        used_at=now,
        expires_at=now + LIFE[kind],
    )
    login_id = db.scalars(login.returning(Login.id)).one()
    by = Actor(user.id, user.username, user.role, frozenset(), None)
    audit.record(db, by, "user.signed_in", None, "user", user.id, now, kind=kind, address=address)
    return login_id


def refresh(rt: Runtime, refresh_token: str) -> Tokens:
    """Trade a refresh token in for new tokens. Raises `Unauthenticated`, and `TokenReused` for one traded in before:
    then somebody has a copy, and all that came from the same sign-in is revoked."""
    now, fresh = rt.clock.now(), secrets.token_urlsafe(32)
    old, new = (rt.keyring.digest(REFRESH_KIND, token.encode()) for token in (refresh_token, fresh))
    traded = rt.transact(_trade, old, new, now)
    if isinstance(traded, AccessChanged):
        log.warning("a refresh token was used twice; its sign-in is revoked", user_id=traded.user_id)
        rt.publish(traded)
        raise TokenReused()
    login_id, user = traded
    return Tokens(generate_token(rt.keyring.token_key, user.id, login_id, now), fresh, user)


def _trade(db: Session, old: bytes, new: bytes, now: datetime) -> tuple[int, User] | AccessChanged:
    """Of two who trade the same token in, the UPDATE lets one through; the other finds it spent."""
    live = update(Login).where(
        Login.digest == old, Login.kind == TOKENS, Login.revoked_at.is_(None), Login.expires_at > now
    )
    login_id = db.scalar(live.values(digest=new, used_at=now).returning(Login.id))
    if login_id is None:
        return _revoke_family(db, old, now)
    db.execute(insert(SpentRefreshToken).values(digest=old, login_id=login_id, spent_at=now))
    holder = select(User).join(Login, Login.user_id == User.id).where(Login.id == login_id)
    user = db.scalar(holder.where(User.disabled_at.is_(None), User.password_changed_at == Login.password_at))
    if user is None:
        raise Unauthenticated()
    return login_id, user


def _revoke_family(db: Session, spent: bytes, now: datetime) -> AccessChanged:
    login_id = db.scalar(select(SpentRefreshToken.login_id).where(SpentRefreshToken.digest == spent))
    if login_id is None:
        raise Unauthenticated()
    revoke = update(Login).where(Login.id == login_id).values(revoked_at=now).returning(Login.user_id)
    return AccessChanged(db.scalars(revoke).one(), login_id)


def sign_out_token(rt: Runtime, refresh_token: str) -> None:
    """End the sign-in that a refresh token belongs to; one that is not ours ends nothing."""
    digest = rt.keyring.digest(REFRESH_KIND, refresh_token.encode())
    login_id = rt.read(lambda db: db.scalar(select(Login.id).where(Login.digest == digest)))
    if login_id is not None:
        sign_out(rt, login_id)


def sign_out(rt: Runtime, login_id: int) -> None:
    """End one sign-in, with every token of it."""
    user_id = rt.transact(_revoke, login_id, rt.clock.now())
    if user_id is not None:
        rt.publish(AccessChanged(user_id, login_id))


def _revoke(db: Session, login_id: int, now: datetime) -> int | None:
    live = update(Login).where(Login.id == login_id, Login.revoked_at.is_(None))
    return db.scalar(live.values(revoked_at=now).returning(Login.user_id))


def prune(db: Session, now: datetime) -> None:
    """Forget sign-ins that are over, but not yet where people signed in from lately (step)."""
    db.execute(delete(Login).where(Login.created_at < now - max(*LIFE.values(), throttle.KNOWN_FOR)))
    throttle.prune(db, now)


def revoke_logins(db: Session, user_id: int, now: datetime, but: int | None = None) -> None:
    """End a person's sign-ins, all but one if that is said (step)."""
    live = update(Login).where(Login.user_id == user_id, Login.revoked_at.is_(None), Login.id != (but or 0))
    db.execute(live.values(revoked_at=now))


def change_password(rt: Runtime, actor: Actor, login_id: int, old: str, new: str, address: str) -> None:
    """Change the caller's own password; every other sign-in of theirs ends. Raises what `confirm_password` raises."""
    confirm_password(rt, actor, old, address)
    password_hash, now = passwords.hash_password(new), rt.clock.now()
    rt.transact(_change_password, actor, login_id, password_hash, now)
    rt.publish(AccessChanged(actor.user_id or 0))


def _change_password(db: Session, actor: Actor, login_id: int, password_hash: str, now: datetime) -> None:
    user = db.get_one(User, actor.user_id)
    user.password_hash, user.password_changed_at = password_hash, now
    revoke_logins(db, user.id, now, but=login_id)
    db.execute(update(Login).where(Login.id == login_id).values(password_at=now))
    audit.record(db, actor, "user.password_changed", None, "user", user.id, now)


def confirm_password(rt: Runtime, actor: Actor, password: str, address: str) -> None:
    """Make sure that it is the person and not a stranger at their screen. Wrong tries count like those of signing in.

    Raises `BadCredentials`, `TooManyTries`, `SignInBusy`.
    """
    account = throttle.account_of(rt.keyring, actor.username)
    ticket = rt.transact(throttle.take, account, actor.username, address, rt.clock.now())
    try:
        _check_password(rt, actor.username, password)
    except SignInBusy:
        rt.transact(throttle.give_back, ticket)
        raise
    rt.transact(throttle.clear, ticket)
