"""Backups over the API."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from bawaba.accounts.idempotency import idempotent, once
from bawaba.backups import checking, making, runs
from bawaba.backups.scheduler import backups
from bawaba.backups.schemas import backup_out
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.paging import page_of, page_request

bp = APIBlueprint("backups_api", __name__)


@bp.get("/api/backups")
@requires("backups:read")
def list_backups() -> dict[str, Any]:
    """The runs, newest first."""
    page = page_request()
    return page_of(runtime().read(runs.list_runs, page), page, lambda run: run.id).answer(backup_out)


@bp.get("/api/backups/<int:backup_id>")
@requires("backups:read")
def show_backup(backup_id: int) -> dict[str, Any]:
    """One run."""
    return _show(backup_id)


def _show(backup_id: int) -> dict[str, Any]:
    return backup_out(runtime().read(runs.get_run, backup_id))


@bp.post("/api/backups")
@requires("backups:write")
@idempotent(again=_show)
def make_backup() -> tuple[dict[str, Any], int]:
    """Begin a backup; its progress comes as `backup_progress`."""
    run = making.order(runtime(), actor(), once=once())
    backups(runtime()).wake()
    return backup_out(run), 202


@bp.post("/api/backups/<int:backup_id>/verify")
@requires("backups:write")
def verify_backup(backup_id: int) -> tuple[dict[str, Any], int]:
    """Begin to read its copies again; `check` of the backup says how that went."""
    run = checking.order_check(runtime(), backup_id)
    backups(runtime()).check(backup_id)
    return backup_out(run), 202
