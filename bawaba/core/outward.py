"""News for programs elsewhere: how a step hands them to whoever carries them, without knowing who that is.

They are handed over inside the transaction that they tell of, so that they are kept exactly when it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.orm import Session

TELLER = "teller"  # the name in `db.info` of who takes them
Facts = Callable[[], dict[str, Any]]


class Teller(Protocol):
    """Takes one piece of news in the transaction that it tells of."""

    def __call__(self, db: Session, kind: str, site_id: int, facts: Facts, now: datetime) -> None:
        """`facts` (plain JSON, no secret) is called only where somebody wants to hear of this."""


def tell(db: Session, kind: str, site_id: int, facts: Facts, now: datetime) -> None:
    """Hand over one piece of news (step). `kind` is like `voucher.redeemed`; it costs nothing when nobody listens."""
    teller: Teller | None = db.info.get(TELLER)
    if teller is not None:
        teller(db, kind, site_id, facts, now)
