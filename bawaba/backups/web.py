"""The page of backups: what there is, making one, and the key."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from flask.typing import ResponseReturnValue

from bawaba.backups import checking, key, making, runs
from bawaba.backups.models import BackupRun
from bawaba.backups.scheduler import backups
from bawaba.backups.schemas import why
from bawaba.core.errors import Problem
from bawaba.web import language, pages
from bawaba.web.forms import Form, typed
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.language import translate as _
from bawaba.web.paging import page_of, page_request

bp = APIBlueprint("backups_pages", __name__, enable_openapi=False)
STEPS = {
    "waiting": "It is about to begin",
    "dump": "The database is being copied",
    "pack": "It is being compressed and encrypted",
    "upload": "It is being uploaded",
    "confirm": "It is being read back",
    "drill": "It is being put back on trial",
    "prune": "Old copies are being removed",
}

pages.say(
    backup_begun="The backup has begun.",
    backup_check_begun="Its copies are being read again. Reload in a moment.",
)


@bp.get("/backups")
@requires("backups:read")
def list_backups() -> Response:
    """All of them, newest first."""
    return _page(Form({}))


@bp.post("/backups")
@requires("backups:write")
def make_backup() -> ResponseReturnValue:
    """Begin one."""
    try:
        making.order(runtime(), actor())
    except Problem as problem:
        return _page(typed(problem), problem.status)
    backups(runtime()).wake()
    return pages.go("/backups", "backup_begun")


@bp.post("/backups/<int:backup_id>/verify")
@requires("backups:write")
def verify_backup(backup_id: int) -> ResponseReturnValue:
    """Read its copies again."""
    checking.order_check(runtime(), backup_id)
    backups(runtime()).check(backup_id)
    return pages.go("/backups", "backup_check_begun")


@bp.get("/backups/key")
@requires("backups:write")
def ask_for_key() -> Response:
    """What a key means, before it is made."""
    known = runtime().read(key.recipient)
    facts = [
        _("Backups are encrypted to this key. What opens them is shown once and kept nowhere: write it down."),
        _("Keep it away from this machine, with a copy of the key file beside it. A backup needs both."),
    ]
    if known:
        facts.insert(0, _("There is a key already. Backups made so far still need the identity that belongs to it."))
    return pages.show(
        "question.html", question=_("Make a new backup key?") if known else _("Make the backup key?"), facts=facts,
        verb=_("Make the key"), action="/backups/key", back="/backups", hidden={}, destroys=bool(known),
    )  # fmt: skip


@bp.post("/backups/key")
@requires("backups:write")
def make_key() -> Response:
    """Show the identity, this once."""
    made = key.make(runtime(), actor())
    answer = pages.show("backups/key.html", made=made, key_file=str(runtime().config.key_path))
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _page(form: Form, status: int = 200) -> Response:
    rt, page = runtime(), page_request()
    found = page_of(rt.read(runs.list_runs, page), page, lambda run: run.id)
    facts: dict[str, Any] = {
        "page": found,
        "running": rt.read(runs.running),
        "recipient": rt.read(key.recipient),
        "config": rt.config,
        "zone": rt.read(runs.zone, rt.config),
        "restore": rt.parts.get("restore"),
        "step_words": _step_words,
        "why": why,
    }
    return pages.show("backups/list.html", "backups/_list.html", status, form=form, **facts)


@bp.app_template_global()
def day_of(iso: str, zone: str) -> str:
    """A time that is kept as text, as people write it."""
    return language.moment(datetime.fromisoformat(iso), zone)


def _step_words(run: BackupRun) -> str:
    return _(STEPS[run.step])
