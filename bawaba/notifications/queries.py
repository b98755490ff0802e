"""Reads of notifications, each as the person who asks may see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from bawaba.core.actor import Actor
from bawaba.notifications.errors import NotificationNotFound
from bawaba.notifications.models import Notification, NotificationRead
from bawaba.web.paging import PageRequest

UNREAD_MOST = 99


def visible(actor: Actor) -> Select[Notification]:
    """The notifications of the sites that someone sees; those of no site for whoever sees them all."""
    wanted = select(Notification)
    return wanted if actor.site_ids is None else wanted.where(Notification.site_id.in_(actor.site_ids))


def list_notifications(
    db: Session, actor: Actor, page: PageRequest, *, unread: bool = False, is_open: bool = False
) -> list[tuple[Notification, bool]]:
    """Newest first, each with whether this person has read it; one row more than the page holds."""
    wanted = visible(actor)
    if is_open:
        wanted = wanted.where(Notification.closed_at.is_(None))
    if unread:
        wanted = wanted.where(Notification.id.not_in(_read_by(actor)))
    if page.after_id is not None:
        wanted = wanted.where(Notification.id < page.after_id)
    rows = db.scalars(wanted.order_by(Notification.id.desc()).limit(page.limit + 1)).all()
    mine = select(NotificationRead.notification_id).where(NotificationRead.user_id == actor.user_id)
    read = set(db.scalars(mine.where(NotificationRead.notification_id.in_([row.id for row in rows]))))
    return [(row, row.id in read) for row in rows]


def _read_by(actor: Actor) -> Select[int]:
    return select(NotificationRead.notification_id).where(NotificationRead.user_id == actor.user_id)


def count_unread(db: Session, actor: Actor) -> int:
    """How many a person has not read, counted up to 100."""
    some = visible(actor).where(Notification.id.not_in(_read_by(actor))).with_only_columns(Notification.id)
    return db.scalar(select(func.count()).select_from(some.limit(UNREAD_MOST + 1).subquery())) or 0


def mark_read(db: Session, actor: Actor, ids: Sequence[int] | None, now: datetime) -> int:
    """Note that a person has read these (their own view of them), or all that they see. Answers how many were new."""
    wanted = visible(actor).with_only_columns(Notification.id).where(Notification.id.not_in(_read_by(actor)))
    if ids is not None:
        _all_there(db, actor, ids)
        wanted = wanted.where(Notification.id.in_(ids))
    new = list(db.scalars(wanted.limit(5000)))
    for notification_id in new:
        db.merge(NotificationRead(notification_id=notification_id, user_id=actor.user_id, read_at=now))
    return len(new)


def _all_there(db: Session, actor: Actor, ids: Sequence[int]) -> None:
    there = db.scalar(select(func.count()).select_from(visible(actor).where(Notification.id.in_(ids)).subquery()))
    if there != len(set(ids)):
        raise NotificationNotFound()
