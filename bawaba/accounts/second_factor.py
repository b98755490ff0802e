"""One-time codes from an authenticator app (TOTP, RFC 6238), for those who switch them on."""

from __future__ import annotations

import hmac
from datetime import datetime

import pyotp
from sqlalchemy import update
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.accounts.errors import BadCredentials, TotpNotBegun
from bawaba.accounts.models import User
from bawaba.core.actor import Actor
from bawaba.core.keyring import Keyring
from bawaba.core.runtime import Runtime

ISSUER = "Bawaba"
STEP_S = 30
STEPS_OFF = (0, -1, 1)  # a phone's clock may be half a minute wrong


def begin(rt: Runtime, actor: Actor) -> tuple[str, str]:
    """Make a secret for the caller: it and its `otpauth:` address. It counts only once `confirm` has seen a code."""
    secret = pyotp.random_base32()
    rt.transact(_set_pending, actor.user_id, seal(rt.keyring, actor.user_id, secret))
    return secret, pyotp.TOTP(secret).provisioning_uri(name=actor.username, issuer_name=ISSUER)


def _set_pending(db: Session, user_id: int | None, sealed: bytes) -> None:
    db.execute(update(User).where(User.id == user_id).values(totp_pending=sealed))


def confirm(rt: Runtime, actor: Actor, code: str) -> None:
    """From now on the caller signs in with codes too. Raises `BadCredentials` when the code does not fit."""
    rt.transact(_confirm, rt.keyring, actor, code, rt.clock.now())


def _confirm(db: Session, keyring: Keyring, actor: Actor, code: str, now: datetime) -> None:
    user = db.get_one(User, actor.user_id)
    if user.totp_pending is None:
        raise TotpNotBegun()
    step = step_of(unseal(keyring, user.id, user.totp_pending), code, now)
    if step is None:
        raise BadCredentials()
    user.totp_sealed, user.totp_pending, user.totp_last_step = user.totp_pending, None, step
    audit.record(db, actor, "user.totp_on", None, "user", user.id, now)


def switch_off(rt: Runtime, actor: Actor) -> None:
    """The caller signs in with the password alone again."""
    rt.transact(_switch_off, actor, rt.clock.now())


def _switch_off(db: Session, actor: Actor, now: datetime) -> None:
    forget(db.get_one(User, actor.user_id))
    audit.record(db, actor, "user.totp_off", None, "user", actor.user_id, now)


def forget(user: User) -> None:
    """Drop a person's secrets, where they are lost with the phone or the person goes."""
    user.totp_sealed = user.totp_pending = None


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step that a code belongs to, or None when it fits none that is near."""
    typed = "".join(str(int(digit)) for digit in code if digit.isdecimal())
    current = int(now.timestamp()) // STEP_S
    made = pyotp.TOTP(secret)
    for step in (current + off for off in STEPS_OFF):
        if hmac.compare_digest(made.generate_otp(step), typed):
            return step
    return None


def spend(db: Session, user_id: int, step: int) -> bool:
    """Use a code up (step); False when it or a later one was used before."""
    unused = update(User).where(User.id == user_id, User.totp_last_step < step)
    return db.scalar(unused.values(totp_last_step=step).returning(User.id)) is not None


def seal(keyring: Keyring, user_id: int | None, secret: str) -> bytes:
    """The secret as it lies in the database."""
    return keyring.encrypt(secret.encode(), f"totp {user_id}".encode())


def unseal(keyring: Keyring, user_id: int, sealed: bytes) -> str:
    """Undo `seal`."""
    return keyring.decrypt(sealed, f"totp {user_id}".encode()).decode()
