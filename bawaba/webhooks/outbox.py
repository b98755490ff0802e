"""Writing down what webhooks are to be told, in the transaction that it tells of.

A process remembers which kinds of events anybody wants, so that a redemption asks nobody. The memory is looked after
by the sender's thread: a webhook that another process has set up is heard of a few seconds later.
"""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.outward import Facts
from bawaba.core.statement import Statement
from bawaba.webhooks import rules
from bawaba.webhooks.models import Webhook

WRITE = Statement(
    "INSERT INTO webhook_delivery (webhook_id, event_id, kind, body, state, attempts, created_at, next_try_at, "
    "give_up_at) SELECT w.id, :event_id, :kind, :body, 'open', 0, :now, :now, :give_up_at FROM webhook w "
    "WHERE w.enabled AND w.events LIKE :pattern AND (w.site_id IS NULL OR w.site_id = :site_id)"
)


class Outbox:
    """One a process: the `core.outward.Teller`."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._wanted: frozenset[tuple[str, int | None]] = frozenset()

    def refresh(self, wanted: frozenset[tuple[str, int | None]]) -> None:
        """Remember what is wanted, as `wanted` reads it."""
        self._wanted = wanted

    def __call__(self, db: Session, kind: str, site_id: int, facts: Facts, now: datetime) -> None:
        """One row for each webhook that wants it; on PostgreSQL it goes along with the step's next statement."""
        if (kind, None) not in self._wanted and (kind, site_id) not in self._wanted:
            return
        event_id = new_event_id(self._rng)
        WRITE.later(
            db, event_id=event_id, kind=kind, body=body_of(event_id, kind, now, facts()), now=now,
            give_up_at=now + rules.GIVE_UP_AFTER, pattern=f"% {kind} %", site_id=site_id,
        )  # fmt: skip


def wanted(db: Session) -> frozenset[tuple[str, int | None]]:
    """Which kinds of events are told, and of which site (None: of all)."""
    rows = db.execute(select(Webhook.events, Webhook.site_id).where(Webhook.enabled))
    return frozenset((kind, row.site_id) for row in rows for kind in row.events.split())


def new_event_id(rng: random.Random) -> str:
    """32 hex digits."""
    return f"{rng.getrandbits(128):032x}"


def body_of(event_id: str, kind: str, now: datetime, data: dict[str, Any]) -> str:
    """A message's body."""
    return orjson.dumps({"id": event_id, "type": kind, "created_at": now, "data": data}).decode()
