"""The owner hears of it when a backup failed, or when there is none of the last night."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.backups import key, rules, runs
from bawaba.backups.models import BackupRun
from bawaba.core.config import Config
from bawaba.core.runtime import Runtime
from bawaba.notifications import incidents
from bawaba.notifications.events import NotificationChanged
from bawaba.notifications.incidents import Incident
from bawaba.notifications.models import Notification

KEY, KIND = "backup", "backup"
LATE, NO_KEY = "backup_late", "no_backup_key"


def look_again(rt: Runtime, now: datetime) -> list[NotificationChanged]:
    """Begin or end the notification, if there is anything to begin or end; writes only then."""
    trouble, noted = rt.read(standing, rt.config, now)
    if (trouble is None) == (noted is None) and (trouble is None or trouble == noted):
        return []
    return rt.transact(note, rt.config, now)


def standing(db: Session, config: Config, now: datetime) -> tuple[str | None, str | None]:
    """What is wrong with the backups, as an error's code, and what is noted of it (step)."""
    noted = _open(db)
    return _trouble(db, config, now), str(noted.facts["error"]) if noted else None


def note(db: Session, config: Config, now: datetime) -> list[NotificationChanged]:
    """Write it down (step)."""
    trouble, noted, news = _trouble(db, config, now), _open(db), list[NotificationChanged]()
    if noted is not None and noted.facts["error"] != trouble:
        news += incidents.end(db, noted, {}, now)
    if trouble is not None:
        last = next((run for run in runs.latest(db) if run.state == runs.CONFIRMED), None)
        facts = {"error": trouble, "since_s": int((now - last.started_at).total_seconds()) if last else None}
        severity = "warning" if trouble == NO_KEY else "critical"
        news += incidents.begin(db, Incident(KIND, severity, None, KEY, "/backups", facts), now)
    return news


def _open(db: Session) -> Notification | None:
    return db.scalar(select(Notification).where(Notification.key == KEY, Notification.closed_at.is_(None)))


def _trouble(db: Session, config: Config, now: datetime) -> str | None:
    """The last run's error until one is confirmed, else that there is none of the last night."""
    found = [run for run in runs.latest(db) if run.state != runs.RUNNING]
    if found and found[0].state == runs.FAILED:
        return found[0].error
    if not config.backup_at or not rules.is_late(_hour(db, config, now), runs.born(db, now), _last_good(found), now):
        return None
    return LATE if key.recipient(db) is not None else NO_KEY


def _hour(db: Session, config: Config, now: datetime) -> datetime:
    return rules.last_hour(config.backup_at, runs.zone(db, config), now)


def _last_good(found: Sequence[BackupRun]) -> datetime | None:
    return next((run.started_at for run in found if run.state == runs.CONFIRMED), None)
