"""Plans over the API."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import request

from bawaba.accounts.idempotency import idempotent, once
from bawaba.core.errors import field_fault
from bawaba.plans import service
from bawaba.plans.schemas import PlanChange, PlanIn, plan_out
from bawaba.sites.asked import asked_site, site_in_body
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import body, takes
from bawaba.web.paging import page_of, page_request

bp = APIBlueprint("plans_api", __name__)
YES_NO = {"": False, "false": False, "0": False, "true": True, "1": True}


@bp.get("/api/plans")
@requires("plans:read")
def list_plans() -> dict[str, Any]:
    """The plans of the caller's sites; `archived=true` gives those that were put away."""
    page, archived = page_request(), YES_NO.get(request.args.get("archived", ""))
    if archived is None:
        raise field_fault("archived", "must be true or false")
    rows = runtime().read(service.list_plans, actor(), page, archived=archived, site_id=asked_site())
    return page_of(rows, page, lambda row: row[0].id).answer(lambda row: plan_out(*row))


def _show(plan_id: int) -> dict[str, Any]:
    return plan_out(*runtime().read(service.get_plan, actor(), plan_id))


@bp.post("/api/plans")
@requires("plans:write")
@takes(PlanIn)
@idempotent(again=_show)
def add_plan() -> tuple[dict[str, Any], int]:
    """Add a plan."""
    site_in_body()
    wanted = body(PlanIn)
    return plan_out(*service.add_plan(runtime(), actor(), wanted.site_id, wanted.facts(), once())), 201


@bp.get("/api/plans/<int:plan_id>")
@requires("plans:read")
def get_plan(plan_id: int) -> dict[str, Any]:
    """One plan."""
    return _show(plan_id)


@bp.patch("/api/plans/<int:plan_id>")
@requires("plans:write")
@takes(PlanChange)
def change_plan(plan_id: int) -> dict[str, Any]:
    """Change a plan. Cards made before keep what they were sold with."""
    runtime().read(service.get_plan, actor(), plan_id)
    change = body(PlanChange)
    return plan_out(*service.change_plan(runtime(), actor(), plan_id, change.changes(), change.put_away()))
