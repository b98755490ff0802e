"""The audit log: who did what to what, and when. Written in the transaction of the deed itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from bawaba.accounts.models import AuditEntry
from bawaba.core.actor import Actor


def record(
    db: Session,
    actor: Actor,
    action: str,
    site_id: int | None,
    subject: str,
    subject_id: int | None,
    now: datetime,
    **facts: Any,
) -> None:
    """Note one deed (step). `action` is like `plan.changed`; `facts` is small, plain JSON and holds no secret."""
    db.execute(
        insert(AuditEntry).values(
            at=now,
            actor_id=actor.user_id,
            actor=actor.username,
            action=action,
            site_id=site_id,
            subject=subject,
            subject_id=subject_id,
            facts=facts,
        )
    )
