"""The pages of the error list: one line a router, its work, and what to do about it."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from bawaba.core.errors import field_fault
from bawaba.routers import error_list, queries
from bawaba.routers.error_list import IDS_MOST, Choice, Owed
from bawaba.routers.models import Router
from bawaba.web import pages
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import as_number, row_id
from bawaba.web.language import translate as _
from bawaba.web.language import translate_count
from bawaba.web.paging import PageRequest, page_of, page_request

bp = APIBlueprint("error_list_pages", __name__, enable_openapi=False)
STATES = ("failed", "given_up", "done")
MENU_MOST = 200
FEW = 20  # jobs that are listed one by one without asking for a router's

pages.say(
    job_again="It is tried again now.",
    job_moved="The work goes to the other router.",
    job_given_up="Given up. It stays in the list of what was given up for a week.",
    jobs_none="Nothing was chosen.",
)


@bp.get("/jobs")
@requires("routers:read")
def list_jobs() -> Response:
    """What routers owe, by router; the work itself of one router, or where there is little of it."""
    page, router_id = page_request(), row_id("router_id")
    state = request.args.get("state")
    state = state if state in STATES else None

    def read(db: Session) -> dict[str, Any]:
        owed = error_list.owed(db, actor(), router_id)
        rows = _jobs(db, page, state, router_id, owed)
        found = page_of(rows, page, lambda job: job.id)
        names = queries.names(db, {job.router_id for job in found.items})
        chosen = queries.get_router(db, actor(), router_id) if router_id is not None else None
        return {"owed": owed if state is None else [], "page": found, "names": names, "chosen": chosen, "few": FEW}

    return pages.show("routers/jobs.html", "routers/_jobs.html", state=state, **runtime().read(read))


def _jobs(db: Session, page: PageRequest, state: str | None, router_id: int | None, owed: list[Owed]) -> Any:
    if state == "given_up":
        return queries.list_jobs(db, actor(), page, "failed", router_id, given_up=True)
    if state is not None:
        return queries.list_jobs(db, actor(), page, state, router_id, given_up=False)
    if router_id is None and sum(one.waiting + one.failed for one in owed) > FEW:
        return []
    return queries.unfinished_jobs(db, actor(), page, router_id)


@bp.post("/jobs/<int:job_id>/retry")
@requires("routers:write")
def retry_job(job_id: int) -> ResponseReturnValue:
    """Try a job again, now."""
    error_list.decide_job(runtime(), actor(), job_id, "retry")
    return pages.go(pages.back_to("/jobs"), "job_again")


@bp.get("/jobs/<int:job_id>/move")
@requires("routers:write")
def ask_to_move(job_id: int) -> Response:
    """Which router should do it instead."""
    job = runtime().read(queries.get_job, actor(), job_id)
    here, others = runtime().read(_where_to, job.router_id)
    return pages.show("routers/move.html", action=f"/jobs/{job_id}/move", job=job, here=here, others=others)


@bp.post("/jobs/<int:job_id>/move")
@requires("routers:write")
def move_job(job_id: int) -> ResponseReturnValue:
    """Hand a job to another router of the same site."""
    runtime().read(queries.get_job, actor(), job_id)
    error_list.decide_job(runtime(), actor(), job_id, "move", _chosen_router())
    return pages.go("/jobs", "job_moved")


@bp.get("/jobs/<int:job_id>/give-up")
@requires("routers:write")
def ask_to_give_up(job_id: int) -> Response:
    """What giving up means."""
    runtime().read(queries.get_job, actor(), job_id)
    return _ask_to_give_up(_("Give this work up?"), f"/jobs/{job_id}/give-up")


@bp.post("/jobs/<int:job_id>/give-up")
@requires("routers:write")
def give_up_job(job_id: int) -> ResponseReturnValue:
    """Stop trying."""
    error_list.decide_job(runtime(), actor(), job_id, "give_up")
    return pages.go("/jobs", "job_given_up")


@bp.post("/jobs/chosen")
@requires("routers:write")
def decide_chosen() -> ResponseReturnValue:
    """Try the chosen work again, or, once it is sure, give it up."""
    ids = [number for text in request.form.getlist("id") if (number := as_number(text)) is not None][:IDS_MOST]
    ids += [number for text in request.form.get("ids", "").split(",") if (number := as_number(text)) is not None]
    if not ids:
        return pages.go("/jobs", "jobs_none")
    if request.form.get("verdict") == "give_up" and "sure" not in request.form:
        question = translate_count("Give up %(count)s piece of work?", "Give up %(count)s pieces of work?", len(ids))
        hidden = {"ids": ",".join(map(str, ids[:IDS_MOST])), "verdict": "give_up", "sure": "true"}
        return _ask_to_give_up(question, "/jobs/chosen", hidden)
    verdict = "give_up" if request.form.get("verdict") == "give_up" else "retry"
    error_list.decide(runtime(), actor(), Choice(ids[:IDS_MOST]), verdict)
    return pages.go(pages.back_to("/jobs"), "job_given_up" if verdict == "give_up" else "job_again")


@bp.post("/jobs/of/<int:router_id>/retry")
@requires("routers:write")
def retry_all(router_id: int) -> ResponseReturnValue:
    """Try all that a router owes, now."""
    error_list.decide(runtime(), actor(), Choice(router_id=router_id), "retry")
    return pages.go(pages.back_to("/jobs"), "job_again")


@bp.get("/jobs/of/<int:router_id>/move")
@requires("routers:write")
def ask_to_move_all(router_id: int) -> Response:
    """Which router should do instead what can move."""
    here, others = runtime().read(_where_to, router_id)
    return pages.show("routers/move.html", action=f"/jobs/of/{router_id}/move", job=None, here=here, others=others)


@bp.post("/jobs/of/<int:router_id>/move")
@requires("routers:write")
def move_all(router_id: int) -> ResponseReturnValue:
    """Hand what can move to another router of the same site."""
    runtime().read(queries.get_router, actor(), router_id)
    error_list.decide(runtime(), actor(), Choice(router_id=router_id), "move", _chosen_router())
    return pages.go("/jobs", "job_moved")


@bp.get("/jobs/of/<int:router_id>/give-up")
@requires("routers:write")
def ask_to_give_up_all(router_id: int) -> Response:
    """What giving up means."""
    router = runtime().read(queries.get_router, actor(), router_id)
    question = _("Give up all the work of %(name)s?", name=pages.apart(router.name))
    return _ask_to_give_up(question, f"/jobs/of/{router_id}/give-up")


@bp.post("/jobs/of/<int:router_id>/give-up")
@requires("routers:write")
def give_up_all(router_id: int) -> ResponseReturnValue:
    """Stop trying all that a router owes."""
    error_list.decide(runtime(), actor(), Choice(router_id=router_id), "give_up")
    return pages.go("/jobs", "job_given_up")


def _ask_to_give_up(question: str, action: str, hidden: dict[str, str] | None = None) -> Response:
    facts = [
        _("It is not tried any more. What was promised to the guest or the cards stays as it is on the router."),
        _("It can be tried again from the list of what was given up, for a week."),
    ]
    return pages.show(
        "question.html",
        question=question,
        facts=facts,
        verb=_("Give up"),
        action=action,
        back="/jobs",
        hidden=hidden or {},
        destroys=True,
    )


def _where_to(db: Session, router_id: int) -> tuple[Router, list[Router]]:
    here = queries.get_router(db, actor(), router_id)
    of_site = queries.list_routers(db, actor(), PageRequest(MENU_MOST, None), here.site_id)
    return here, [router for router in of_site if router.id != here.id]


def _chosen_router() -> int:
    number = as_number(request.form.get("router_id", ""))
    if number is None:
        raise field_fault("router_id", "must be another router of the same site")
    return number
