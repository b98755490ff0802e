"""The page that puts a backup back."""

from __future__ import annotations

import threading
from typing import Any

import structlog
from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue

from bawaba.accounts import audit
from bawaba.backups import key, ready, runs
from bawaba.backups.errors import BackupRunning, CopyMissing
from bawaba.backups.events import BackupProgress
from bawaba.backups.fetching import as_file
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime
from bawaba.upkeep import restoring
from bawaba.web import language, pages
from bawaba.web.forms import Form, typed
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.language import translate as _
from bawaba.web.messages import sentence

log = structlog.get_logger(__name__)
bp = APIBlueprint("upkeep_pages", __name__, enable_openapi=False)
PART = "restore"
STEPS = {
    "fetch": "It is being fetched",
    "open": "It is being opened",
    "database": "Its database is put beside the one in use",
    "compare": "Every row is compared with what was dumped",
    "migrate": "It is brought to this version's shape",
    "swap": "It takes the place of what is here",
}

pages.say(restore_begun="The backup is being put back.")


class Restore:
    """One that somebody has begun at a page: how far it is, and what ended it. A thread of this process does it."""

    def __init__(self, rt: Runtime, file: str, identity: Any, spoken: str) -> None:
        self._rt, self._file, self._identity, self._language = rt, file, identity, spoken
        self.step, self.problem = "fetch", ""
        threading.Thread(target=self._work, name="restore", daemon=True).start()

    def words(self) -> str:
        """How far it is, in the reader's language."""
        return _(STEPS[self.step])

    def _work(self) -> None:
        try:
            with as_file(self._rt.config, self._file) as file:
                restoring.prepare(self._rt.config, file, self._identity, told=self._tell)
            self._tell("swap")
            if self._rt.config.sqlite_path is None:  # else the server does it between two lives
                restoring.swap(self._rt.config)
        except Problem as problem:
            self._end(sentence(problem.code, problem.details))
        except Exception:
            log.exception("a backup could not be put back")
            self._end(language.translate("Something went wrong. The log says what.", self._language))

    def _end(self, why: str) -> None:
        self.step, self.problem = "", why
        self._rt.publish(BackupProgress(None, "failed", "restore", 0))

    def _tell(self, step: str) -> None:
        self.step = step
        self._rt.publish(BackupProgress(None, "running", step, 0))


@bp.get("/backups/<int:backup_id>/restore")
@requires("backups:write")
def ask_to_restore(backup_id: int) -> Response:
    """What putting it back means."""
    return _form(backup_id, Form({}))


@bp.post("/backups/<int:backup_id>/restore")
@requires("backups:write")
def restore(backup_id: int) -> ResponseReturnValue:
    """Begin to put it back."""
    rt = runtime()
    run = rt.read(runs.get_run, backup_id)
    try:
        identity = key.read_identity(request.form.get("identity", ""))
        under_way: Restore | None = rt.parts.get(PART)
        if ready.pending(rt.config) is not None or (under_way is not None and under_way.step):
            raise BackupRunning()
        if not run.stored:
            raise CopyMissing()
    except Problem as problem:
        return _form(backup_id, typed(problem), problem.status)
    who, now = actor(), rt.clock.now()
    rt.transact(lambda db: audit.record(db, who, "backup.restored", None, "backup", run.id, now))
    rt.parts[PART] = Restore(rt, run.file, identity, language.current())
    return pages.go("/backups", "restore_begun")


def _form(backup_id: int, form: Form, status: int = 200) -> Response:
    rt = runtime()
    run = rt.read(runs.get_run, backup_id)
    return pages.show("upkeep/restore.html", None, status, form=form, run=run, zone=rt.read(runs.zone, rt.config))
