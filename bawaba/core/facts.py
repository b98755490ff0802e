"""Facts about this installation itself, by name."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.models import InstallFact


def recall(db: Session, name: str) -> str | None:
    """A fact, or None."""
    return db.scalar(select(InstallFact.value).where(InstallFact.name == name))


def remember(db: Session, name: str, value: str) -> None:
    """Write a fact down, over what it was."""
    db.merge(InstallFact(name=name, value=value))
