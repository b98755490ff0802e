"""The audit log: who did what to what, and when. Written in the transaction of the deed itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from bawaba.accounts.models import AuditEntry
from bawaba.accounts.rules import fold_username
from bawaba.core.actor import Actor
from bawaba.web.paging import PageRequest


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


def list_entries(
    db: Session, actor: Actor, page: PageRequest, *, by: str | None = None, action: str | None = None
) -> Sequence[AuditEntry]:
    """Deeds, newest first, one more than the page holds; of the caller's sites where they do not see all.

    `by` is a user name; `action` a whole action, or all of one subject by its first word.
    """
    wanted = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(page.limit + 1)
    if actor.site_ids is not None:
        wanted = wanted.where(AuditEntry.site_id.in_(actor.site_ids))
    if by:
        wanted = wanted.where(AuditEntry.actor == fold_username(by))
    if action:
        one = AuditEntry.action == action
        wanted = wanted.where(one if "." in action else AuditEntry.action.startswith(f"{action}.", autoescape=True))
    if page.after_id is not None:
        wanted = wanted.where(AuditEntry.id < page.after_id)
    return db.scalars(wanted).all()
