"""The part that sees to backups in each process: begins what is due, tells pages how far it is, and notices a restore.

The work itself is done by a child process (`bawaba backup now`), which an order in the database is handed to.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from bawaba.backups import key, making, ready, rules, runs, telling
from bawaba.backups.errors import BackupRunning, NoBackupKey
from bawaba.backups.events import BackupProgress
from bawaba.backups.models import BackupRun
from bawaba.core import facts
from bawaba.core.actor import SYSTEM
from bawaba.core.background import Background
from bawaba.core.config import Config
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime

log = structlog.get_logger(__name__)
LOOK_EVERY_S, LOOK_CLOSELY_S = 2.0, 0.5
STOP_S = 10.0
Standing = tuple[int, str, str, int]


class Backups(Background):
    """One a process. `come_back` is given by the server: it ends and begins again, with what was restored."""

    def __init__(self, rt: Runtime) -> None:
        super().__init__("backups")
        self._rt = rt
        self._child: subprocess.Popen[bytes] | None = None
        self._checks: list[subprocess.Popen[bytes]] = []
        self._told: Standing | None = None
        self._restored: str | None = None
        self.come_back: Callable[[], None] = lambda: None

    def check(self, run_id: int) -> None:
        """Have a backup's copies read again, beside requests."""
        self._checks.append(_child("verify", str(run_id)))

    def stop(self) -> None:
        """End; a backup that this process has begun is stopped, and made anew later."""
        super().stop()
        for child in (self._child, *self._checks):
            if child is not None:
                _end(child)

    def _work(self) -> None:
        self._attempt(self._remember_restore)
        while not self._stopping.is_set():
            self._woken.clear()
            self._attempt(self.round)
            self._woken.wait(LOOK_CLOSELY_S if self._told and self._told[1] == runs.RUNNING else LOOK_EVERY_S)

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (Problem, SQLAlchemyError, OSError) as error:
            log.warning("the look at backups was put off", error=str(error))
        except Exception:
            log.exception("backups could not be seen to")

    def round(self) -> None:
        """Look once."""
        rt, now = self._rt, self._rt.clock.now()
        if self._is_restored():
            self.come_back()
            return
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        self._checks = [check for check in self._checks if check.poll() is None]
        run = rt.read(runs.running)
        if run is not None and run.lease_until < now:
            rt.transact(runs.end_dead, now)
            run = None
        if run is None and rt.read(due, rt.config, now):
            run = self._order(now)
        if run is not None and run.lease_owner is None and self._child is None:
            self._child = _child("now", "--run", str(run.id))
        self._tell(run)
        for event in telling.look_again(rt, now):
            rt.publish(event)

    def _order(self, now: datetime) -> BackupRun | None:
        rt = self._rt
        drill = rules.wants_drill(rt.read(last_drill), now)
        try:
            return making.order(rt, SYSTEM, "scheduled", drill=drill)
        except (BackupRunning, NoBackupKey):
            return None

    def _tell(self, run: BackupRun | None) -> None:
        """Tell open pages what has changed, and once more when it is over."""
        if run is None and self._told is not None and self._told[1] == runs.RUNNING:
            run = self._rt.read(runs.get_run, self._told[0])
        if run is None:
            return
        standing = (run.id, run.state, run.step, run.progress)
        if standing != self._told:
            self._told = standing
            self._rt.publish(BackupProgress(*standing))

    def _remember_restore(self) -> None:
        self._restored = self._rt.read(facts.recall, ready.RESTORED)

    def _is_restored(self) -> bool:
        """Whether a backup lies ready for this server's file, or has taken the place of the database under it."""
        config = self._rt.config
        if config.sqlite_path is not None:
            return ready.pending(config) is not None
        return self._rt.read(facts.recall, ready.RESTORED) != self._restored


def _child(*words: str) -> subprocess.Popen[bytes]:
    """`bawaba backup …` beside this process, with its settings."""
    return subprocess.Popen([sys.executable, "-m", "bawaba", "backup", *words], stdout=subprocess.DEVNULL)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def backups(rt: Runtime) -> Backups:
    """This process's."""
    found: Backups = rt.parts["backups"]
    return found


def due(db: Session, config: Config, now: datetime) -> bool:
    """Whether the night's backup is to be begun (step)."""
    if not config.backup_at or key.recipient(db) is None:
        return False
    hour = rules.last_hour(config.backup_at, runs.zone(db, config), now)
    found = runs.latest(db)
    good = next((run.started_at for run in found if run.state == runs.CONFIRMED), None)
    failed = [run.ended_at for run in found if run.state == runs.FAILED and run.ended_at is not None]
    return rules.is_due(hour, runs.born(db, now), good, failed, now)


def last_drill(db: Session) -> datetime | None:
    """When a backup was last put back well (step)."""
    found = runs.latest(db)
    return next((run.started_at for run in found if run.drill and run.drill["state"] != "failed"), None)
