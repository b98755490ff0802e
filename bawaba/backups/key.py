"""The key that backups are encrypted to: the public half is kept here, the identity by the owner alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.backups.errors import NoBackupKey, RecipientInvalid, WrongIdentity
from bawaba.core import facts
from bawaba.core.actor import Actor
from bawaba.core.runtime import Runtime

FACT = "backup_recipient"


@dataclass(frozen=True, slots=True)
class NewKey:
    """Both halves. The identity is shown once and kept nowhere."""

    identity: str
    recipient: str


def recipient(db: Session) -> str | None:
    """The public key (age1…), or None while there is none (step)."""
    return facts.recall(db, FACT)


def get_recipient(db: Session) -> str:
    """The public key. Raises `NoBackupKey` (step)."""
    found = recipient(db)
    if found is None:
        raise NoBackupKey()
    return found


def make(rt: Runtime, actor: Actor) -> NewKey:
    """Make a new key; backups are encrypted to it from now on. Those made before still need the identity before."""
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    made = NewKey(str(identity), str(identity.to_public()))
    rt.transact(_keep, actor, made.recipient, rt.clock.now())
    return made


def use(rt: Runtime, actor: Actor, public: str) -> None:
    """Encrypt to a public key that the owner made elsewhere (`age-keygen`). Raises `RecipientInvalid`."""
    rt.transact(_keep, actor, str(parse(public)), rt.clock.now())


def parse(public: str) -> Any:
    """A public key as age takes it. Raises `RecipientInvalid`."""
    import pyrage

    try:
        return pyrage.x25519.Recipient.from_str(public.strip())
    except pyrage.RecipientError as error:
        raise RecipientInvalid() from error


def read_identity(text: str) -> Any:
    """An identity out of a file's text, which may have comments as age-keygen writes them. Raises `WrongIdentity`."""
    import pyrage

    lines = [line.strip() for line in text.splitlines()]
    for line in lines:
        if line.startswith("AGE-SECRET-KEY-"):
            try:
                return pyrage.x25519.Identity.from_str(line)
            except pyrage.IdentityError as error:
                raise WrongIdentity() from error
    raise WrongIdentity()


def identity_of(path: Path) -> Any:
    """The identity in a file. Raises `WrongIdentity`, `OSError`."""
    return read_identity(path.read_text("utf-8"))


def _keep(db: Session, actor: Actor, public: str, now: datetime) -> None:
    facts.remember(db, FACT, public)
    audit.record(db, actor, "backup.key_changed", None, "backup", None, now, recipient=public)
