"""The error list over the API."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import request

from bawaba.core.errors import field_fault
from bawaba.routers import cards, error_list, queries
from bawaba.routers.error_list import Choice
from bawaba.routers.models import RouterJob
from bawaba.routers.schemas import DecisionIn, MoveIn, job_out, owed_out
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import body, row_id, takes
from bawaba.web.paging import page_of, page_request

bp = APIBlueprint("error_list_api", __name__)
JOB_STATES = ("open", "failed", "done")


@bp.get("/api/router-jobs")
@requires("routers:read")
def list_jobs() -> dict[str, Any]:
    """Work promised to routers: the error list, with `state=failed` what a person must decide. Bringing cards is one
    job a router, however many cards; its `cards` say how far it is."""
    page, state = page_request(), request.args.get("state")
    if state is not None and state not in JOB_STATES:
        raise field_fault("state", "must be open, failed or done")
    rows = runtime().read(queries.list_jobs, actor(), page, state, row_id("router_id"))
    found = page_of(rows, page, lambda row: row.id)
    bringing = sorted({job.router_id for job in found.items if job.kind == cards.KIND and job.state != "done"})
    progress = runtime().read(cards.progress, bringing) if bringing else {}
    return found.answer(lambda job: job_out(job, progress.get(job.router_id)))


@bp.get("/api/router-jobs/by-router")
@requires("routers:read")
def list_owed() -> dict[str, Any]:
    """What each router owes: one line a router, with the progress of its cards."""
    owed = runtime().read(error_list.owed, actor(), row_id("router_id"))
    return {"items": [owed_out(one) for one in owed], "next": None}


@bp.post("/api/router-jobs/<int:job_id>/retry")
@requires("routers:write")
def retry_job(job_id: int) -> dict[str, Any]:
    """Try a job again, now."""
    return _decided(job_id, "retry")


@bp.post("/api/router-jobs/<int:job_id>/move")
@requires("routers:write")
@takes(MoveIn)
def move_job(job_id: int) -> dict[str, Any]:
    """Hand a job to another router of the same site."""
    runtime().read(queries.get_job, actor(), job_id)
    return _decided(job_id, "move", body(MoveIn).router_id)


@bp.post("/api/router-jobs/<int:job_id>/give-up")
@requires("routers:write")
def give_up_job(job_id: int) -> dict[str, Any]:
    """Stop trying."""
    return _decided(job_id, "give_up")


@bp.post("/api/router-jobs/retry")
@requires("routers:write")
@takes(DecisionIn)
def retry_jobs() -> dict[str, Any]:
    """Try jobs again now: those named, or all of a router."""
    return _decide_many("retry")


@bp.post("/api/router-jobs/move")
@requires("routers:write")
@takes(DecisionIn)
def move_jobs() -> dict[str, Any]:
    """Hand jobs to another router of the same site: those named, or all of a router that can move."""
    return _decide_many("move")


@bp.post("/api/router-jobs/give-up")
@requires("routers:write")
@takes(DecisionIn)
def give_up_jobs() -> dict[str, Any]:
    """Stop trying: those named, or all of a router."""
    return _decide_many("give_up")


def _decided(job_id: int, verdict: str, to_router_id: int | None = None) -> dict[str, Any]:
    job: RouterJob = error_list.decide_job(runtime(), actor(), job_id, verdict, to_router_id)
    return job_out(job)


def _decide_many(verdict: str) -> dict[str, Any]:
    asked = body(DecisionIn)
    choice = Choice(asked.ids, asked.router_id)
    return {"decided": error_list.decide(runtime(), actor(), choice, verdict, asked.to_router_id)}
