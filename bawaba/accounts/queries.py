"""Reads of people for pages."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.accounts.models import User


def usernames(db: Session, user_ids: Collection[int]) -> dict[int, str]:
    """The names behind ids, also of people who have left."""
    if not user_ids:
        return {}
    rows = db.execute(select(User.id, User.username).where(User.id.in_(user_ids)))
    return {row.id: row.username for row in rows}
