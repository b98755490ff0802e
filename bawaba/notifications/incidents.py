"""Looking at how things stand and keeping one notification for each that is not well (steps).

The database says what is wrong: a look that was missed is made up by the next one, whichever process makes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from bawaba.notifications.events import NotificationChanged
from bawaba.notifications.models import Notification, NotificationChannel, NotificationDelivery
from bawaba.notifications.rules import carries
from bawaba.notifications.words import BEGUN, OVER
from bawaba.routers.error_list import NEEDS_A_PERSON
from bawaba.routers.models import THERE, Router, RouterGrant, RouterJob
from bawaba.routers.promises import PARTIAL_FAILURE
from bawaba.sites.models import Site
from bawaba.vouchers.models import Batch

STEADY = timedelta(seconds=20)  # a router that is back so long is back
DELIVERED_WITHIN = timedelta(seconds=60)  # then what it owed is counted, delivered or not
QUIET = timedelta(hours=1)  # what was not seen for so long is over
KEPT = timedelta(days=90)


@dataclass(frozen=True)
class Incident:
    """Something that is not well."""

    kind: str
    severity: str
    site_id: int | None
    key: str
    path: str
    facts: dict[str, Any]


def look(db: Session, now: datetime) -> list[NotificationChanged]:
    """Begin what has begun, end what is over. Answers the news, once each."""
    return _routers(db, now) + _undecided(db, now) + _quiet(db, now) + _failed_batches(db, now)


def begin(db: Session, incident: Incident, now: datetime) -> list[NotificationChanged]:
    """Note an incident, unless it is noted already; its messages are written for every channel that carries it."""
    found = db.scalar(select(Notification).where(Notification.key == incident.key, Notification.closed_at.is_(None)))
    if found is not None:
        worse = {name: max(value, found.facts.get(name) or 0) for name, value in incident.facts.items() if _grows(name)}
        if worse != {name: found.facts.get(name) for name in worse}:
            found.facts = found.facts | worse
        found.better_at = None
        return []
    facts = {name: getattr(incident, name) for name in ("kind", "severity", "site_id", "key", "path", "facts")}
    row = db.scalar(_insert_new(db).values(**facts, closing={}, opened_at=now).returning(Notification.id))
    if row is None:
        return []
    _write_messages(db, row, incident.severity, incident.site_id, BEGUN, now)
    return [NotificationChanged(row, incident.kind, incident.severity, incident.site_id, is_over=False)]


def _grows(name: str) -> bool:
    return name in {"guests", "cards"}


def end(db: Session, notification: Notification, closing: dict[str, Any], now: datetime) -> list[NotificationChanged]:
    """An incident is over. Answers the news, to one of those who find it so."""
    mine = update(Notification).where(Notification.id == notification.id, Notification.closed_at.is_(None))
    if db.execute(mine.values(closed_at=now, closing=closing)).rowcount != 1:  # type: ignore[attr-defined]
        return []
    _write_messages(db, notification.id, notification.severity, notification.site_id, OVER, now)
    kind, severity = notification.kind, notification.severity
    return [NotificationChanged(notification.id, kind, severity, notification.site_id, is_over=True)]


def _insert_new(db: Session) -> Any:
    if db.connection().dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as insert_sqlite

        return insert_sqlite(Notification).on_conflict_do_nothing()
    from sqlalchemy.dialects.postgresql import insert as insert_postgresql

    return insert_postgresql(Notification).on_conflict_do_nothing()


def _write_messages(
    db: Session, notification_id: int, severity: str, site_id: int | None, phase: str, now: datetime
) -> None:
    channels = db.scalars(select(NotificationChannel).where(NotificationChannel.enabled))
    rows = [
        {
            "notification_id": notification_id,
            "channel_id": channel.id,
            "phase": phase,
            "state": "open",
            "attempts": 0,
            "next_try_at": now,
        }
        for channel in channels
        if carries(channel.least, severity) and channel.site_id in (None, site_id)
    ]
    if rows:
        db.execute(insert(NotificationDelivery), rows)


def _open(db: Session, kind: str) -> list[Notification]:
    wanted = select(Notification).where(Notification.kind == kind, Notification.closed_at.is_(None))
    return list(db.scalars(wanted))


def _routers(db: Session, now: datetime) -> list[NotificationChanged]:
    """A dead link is one notification, with how many guests and cards wait for it; when it is back, so is its end."""
    news: list[NotificationChanged] = []
    for router in db.scalars(select(Router).where(Router.status == "down", THERE)):
        key, facts = f"router:{router.id}", _owed(db, router)
        incident = Incident("router_down", "critical", router.site_id, key, f"/routers/{router.id}", facts)
        news += begin(db, incident, now)
    for notification in _open(db, "router_down"):
        concerned = db.get(Router, int(notification.key.partition(":")[2]))
        if concerned is not None and concerned.removed_at is not None:
            concerned = None
        if concerned is None or concerned.status != "down":
            news += _getting_better(db, notification, concerned, now)
    return news


def _owed(db: Session, router: Router) -> dict[str, Any]:
    is_open = (RouterJob.router_id == router.id, RouterJob.state == "open")
    guests = db.scalar(select(func.count()).select_from(RouterJob).where(*is_open, RouterJob.kind == "admit"))
    partial = RouterJob.last_error.startswith(PARTIAL_FAILURE)
    nobody = db.scalar(select(RouterJob.id).where(*is_open, partial).limit(1)) is not None
    facts = {"name": router.name, "error": router.error, "guests": guests or 0, "cards": _behind(db, router.id)}
    return facts | {"partial_failure": nobody}


def _behind(db: Session, router_id: int) -> int:
    behind = (RouterGrant.router_id == router_id, RouterGrant.synced_rev < RouterGrant.rev)
    return db.scalar(select(func.count()).select_from(RouterGrant).where(*behind)) or 0


def _getting_better(
    db: Session, notification: Notification, router: Router | None, now: datetime
) -> list[NotificationChanged]:
    """It is over when the router has stayed well for a while and what it owed is delivered."""
    if router is None:
        return end(db, notification, {"away_s": _seconds(now - notification.opened_at)}, now)
    better_at = notification.better_at
    if better_at is None:
        notification.better_at = now
        return []
    behind = _behind(db, router.id)
    owes = behind > 0 or _guests_wait(db, router.id)
    if now - better_at < STEADY or (owes and now - better_at < DELIVERED_WITHIN):
        return []
    closing = {
        "away_s": _seconds(better_at - notification.opened_at),
        "let_in": _let_in(db, router.id, notification.opened_at),
        "pushed": max(0, int(notification.facts.get("cards") or 0) - behind),
    }
    return end(db, notification, closing, now)


def _guests_wait(db: Session, router_id: int) -> bool:
    waiting = (RouterJob.router_id == router_id, RouterJob.kind == "admit", RouterJob.state == "open")
    return db.scalar(select(RouterJob.id).where(*waiting, RouterJob.attempts > 0).limit(1)) is not None


def _let_in(db: Session, router_id: int, since: datetime) -> int:
    """Guests whose admit had failed and was delivered since."""
    late = (RouterJob.kind == "admit", RouterJob.attempts > 1, RouterJob.done_at >= since)
    done = select(func.count()).select_from(RouterJob).where(RouterJob.router_id == router_id, *late)
    return db.scalar(done.where(RouterJob.state == "done")) or 0


def _seconds(span: timedelta) -> int:
    return max(0, int(span.total_seconds()))


def _undecided(db: Session, now: datetime) -> list[NotificationChanged]:
    """Work that a router refused is one notification a router until it is decided."""
    wanted = (
        select(RouterJob.router_id, func.max(RouterJob.last_error).label("error"))
        .where(NEEDS_A_PERSON)
        .group_by(RouterJob.router_id)
    )
    news: list[NotificationChanged] = []
    undecided = set()
    for row in db.execute(wanted).all():
        router = db.get_one(Router, row.router_id)
        undecided.add(f"jobs:{router.id}")
        facts = {"name": router.name, "error": row.error}
        path = f"/jobs?router_id={router.id}"
        news += begin(db, Incident("jobs", "warning", router.site_id, f"jobs:{router.id}", path, facts), now)
    for notification in _open(db, "jobs"):
        if notification.key not in undecided:
            news += end(db, notification, {}, now)
    return news


def _quiet(db: Session, now: datetime) -> list[NotificationChanged]:
    """Guessing is seen when it happens; an hour later it is over."""
    over = [notification for notification in _open(db, "guessing") if now - notification.opened_at >= QUIET]
    return [news for notification in over for news in end(db, notification, {}, now)]


def _failed_batches(db: Session, now: datetime) -> list[NotificationChanged]:
    recent = (Batch.state == "failed", Batch.created_at > now - timedelta(days=1))
    news: list[NotificationChanged] = []
    for batch in db.scalars(select(Batch).where(*recent)):
        key = f"batch:{batch.id}"
        if db.scalar(select(Notification.id).where(Notification.key == key).limit(1)) is None:
            facts = {"quantity": batch.quantity, "error": batch.error}
            incident = Incident("batch_failed", "warning", batch.site_id, key, f"/batches/{batch.id}", facts)
            news += happened(db, incident, now)
    return news


def happened(db: Session, incident: Incident, now: datetime) -> list[NotificationChanged]:
    """Note something that has no end to wait for; what is found again within the hour is the same."""
    known = select(Notification.id).where(Notification.key == incident.key, Notification.opened_at > now - QUIET)
    if db.scalar(known.limit(1)) is not None:
        return []
    news = begin(db, incident, now)
    for one in news:
        db.execute(update(Notification).where(Notification.id == one.notification_id).values(closed_at=now))
    return news


def guessing(db: Session, site_id: int, now: datetime) -> list[NotificationChanged]:
    """Wrong codes went over the cap of a whole site."""
    site = db.get(Site, site_id)
    if site is None:
        return []
    incident = Incident("guessing", "warning", site_id, f"guessing:{site_id}", "/dashboard", {"name": site.name})
    return begin(db, incident, now)


def database_was_away(db: Session, since: datetime, now: datetime) -> list[NotificationChanged]:
    """The database is back: what nobody could write down then. Its beginning was told at once; its end is sent now."""
    noted = select(Notification.id).where(Notification.kind == "database", Notification.closed_at >= since)
    if db.scalar(noted.limit(1)) is not None:  # another process has said so
        return []
    news = begin(db, Incident("database", "critical", None, "database", "/dashboard", {}), since)
    for one in news:
        db.execute(delete(NotificationDelivery).where(NotificationDelivery.notification_id == one.notification_id))
        row = db.get_one(Notification, one.notification_id)
        news = news + end(db, row, {"away_s": _seconds(now - since)}, now)
    return news


def prune(db: Session, now: datetime) -> None:
    """Forget what is over since three months, 1,000 rows at a time."""
    old = select(Notification.id).where(Notification.closed_at < now - KEPT).order_by(Notification.id).limit(1000)
    db.execute(delete(Notification).where(Notification.id.in_(old)))
