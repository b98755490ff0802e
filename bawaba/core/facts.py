"""Facts about this installation itself, by name."""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from bawaba.core.models import InstallFact

MOVED = "moved"  # the address that these data went to: this file is not to be used any more
KEY = "key"  # the fingerprint of the key file that the secrets here were made with


def recall(db: Session, name: str) -> str | None:
    """A fact, or None."""
    return db.scalar(select(InstallFact.value).where(InstallFact.name == name))


def settle(db: Session, name: str, value: str) -> str:
    """Write a fact down, unless it is known already; the answer is what holds."""
    mine = "INSERT INTO install_fact (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING"
    db.execute(text(mine), {"name": name, "value": value})
    return recall(db, name) or value


def remember(db: Session, name: str, value: str) -> None:
    """Write a fact down, over what it was."""
    db.merge(InstallFact(name=name, value=value))
