"""The rows of runs (steps)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.accounts.idempotency import Once
from bawaba.accounts.models import User
from bawaba.backups import key
from bawaba.backups.archive import SUFFIX
from bawaba.backups.errors import BackupNotFound
from bawaba.backups.models import BackupRun
from bawaba.core.actor import Actor
from bawaba.core.config import Config
from bawaba.sites.models import Site
from bawaba.web.paging import PageRequest

LEASE = timedelta(seconds=60)
RUNNING, CONFIRMED, FAILED = "running", "confirmed", "failed"
LOOK_BACK = 500  # runs that rules look at: more than a year of nights


def order(db: Session, actor: Actor, kind: str, now: datetime, *, drill: bool, once: Once | None = None) -> BackupRun:
    """Begin a run that somebody is to take soon; the index refuses a second one. Raises `NoBackupKey`."""
    public = key.get_recipient(db)
    row = {
        "kind": kind, "state": RUNNING, "step": "waiting", "file": "", "stored": [], "wants_drill": drill,
        "recipient": public, "started_at": now, "lease_until": now + LEASE,
    }  # fmt: skip
    run_id = db.scalar(insert(BackupRun).values(**row).returning(BackupRun.id))
    run = db.get_one(BackupRun, run_id)
    run.file = f"bawaba-{now:%Y%m%dT%H%M%SZ}-{run.id}{SUFFIX}"
    if once is not None:
        once.record(db, run.id)
    if actor.user_id is not None:
        audit.record(db, actor, "backup.started", None, "backup", run.id, now)
    return run


def take(db: Session, run_id: int, owner: str, now: datetime) -> BackupRun | None:
    """Be the one who works on a run that nobody has."""
    mine = update(BackupRun).where(BackupRun.id == run_id, BackupRun.state == RUNNING, BackupRun.lease_owner.is_(None))
    lease = {"lease_owner": owner, "lease_until": now + LEASE}
    if db.execute(mine.values(**lease)).rowcount != 1:  # type: ignore[attr-defined]
        return None
    return db.get_one(BackupRun, run_id, populate_existing=True)


def go_on(db: Session, run_id: int, owner: str, facts: dict[str, Any], now: datetime) -> bool:
    """Write down how far a run is and prolong its lease; False when it is not this owner's any more."""
    mine = update(BackupRun).where(BackupRun.id == run_id, BackupRun.lease_owner == owner, BackupRun.state == RUNNING)
    return bool(db.execute(mine.values(**facts, lease_until=now + LEASE)).rowcount)  # type: ignore[attr-defined]


def end(db: Session, run_id: int, owner: str, facts: dict[str, Any], now: datetime) -> bool:
    """Close a run; False when somebody else has."""
    return go_on(db, run_id, owner, {**facts, "ended_at": now, "lease_owner": None}, now)


def end_dead(db: Session, now: datetime) -> list[BackupRun]:
    """Close what died with its process. Answers it, once, to one of those who find it."""
    dead = update(BackupRun).where(BackupRun.state == RUNNING, BackupRun.lease_until < now)
    closed = {"state": FAILED, "error": "backup_interrupted", "ended_at": now, "lease_owner": None}
    ids = list(db.scalars(dead.values(**closed).returning(BackupRun.id)))
    return [db.get_one(BackupRun, run_id, populate_existing=True) for run_id in ids]


def running(db: Session) -> BackupRun | None:
    """The run that is under way."""
    return db.scalar(select(BackupRun).where(BackupRun.state == RUNNING))


def get_run(db: Session, run_id: int) -> BackupRun:
    """One. Raises `BackupNotFound`."""
    found = db.get(BackupRun, run_id)
    if found is None:
        raise BackupNotFound()
    return found


def by_file(db: Session, name: str) -> BackupRun | None:
    """The run that made a file of that name."""
    return db.scalar(select(BackupRun).where(BackupRun.file == name))


def list_runs(db: Session, page: PageRequest) -> Sequence[BackupRun]:
    """Newest first, one more than the page holds."""
    wanted = select(BackupRun).order_by(BackupRun.id.desc()).limit(page.limit + 1)
    if page.after_id is not None:
        wanted = wanted.where(BackupRun.id < page.after_id)
    return db.scalars(wanted).all()


def latest(db: Session) -> Sequence[BackupRun]:
    """The newest runs, for the rules."""
    return db.scalars(select(BackupRun).order_by(BackupRun.id.desc()).limit(LOOK_BACK)).all()


def with_copies(db: Session, store: str) -> list[BackupRun]:
    """Runs of which a store has a whole copy."""
    return [run for run in db.scalars(select(BackupRun)) if any(copy["store"] == store for copy in run.stored)]


def forget_copy(db: Session, run_id: int, store: str) -> None:
    """A store's copy was removed."""
    run = db.get_one(BackupRun, run_id)
    run.stored = [copy for copy in run.stored if copy["store"] != store]


def note_check(db: Session, run_id: int, checked: dict[str, Any]) -> BackupRun:
    """Write down what a look at the copies found."""
    run = db.get_one(BackupRun, run_id)
    run.last_check = checked
    return run


def born(db: Session, now: datetime) -> datetime:
    """Since when there is anything to back up."""
    return db.scalar(select(func.min(User.created_at))) or now


def zone(db: Session, config: Config) -> str:
    """The installation's clock: the setting, else the first site's."""
    return config.backup_time_zone or db.scalar(select(Site.time_zone).order_by(Site.id).limit(1)) or "UTC"
