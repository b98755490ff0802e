"""JSON about requests."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request

from bawaba.core.errors import field_fault
from bawaba.diagnostics.analysis import analyze_request_flow
from bawaba.diagnostics.health import look
from bawaba.diagnostics.queries import Wanted, list_requests
from bawaba.diagnostics.schemas import flow_out, request_out
from bawaba.web.guard import requires, runtime
from bawaba.web.paging import page_of, page_request

bp = APIBlueprint("diagnostics", __name__)
KINDS = ("all", "slow", "failed")


@bp.get("/api/requests/<request_id>")
@bp.get("/api/diagnostics/requests/<request_id>")
@requires("diagnostics:read")
def request_flow(request_id: str) -> dict[str, Any]:
    """One request taken apart: `timeline`, `bottlenecks`, `recommendations`. Known for the last 2,000 requests."""
    return flow_out(analyze_request_flow(runtime(), request_id))


@bp.get("/metrics")
@requires("diagnostics:read")
def metrics() -> Response:
    """Figures for Prometheus, which shows a personal key of an admin as its bearer token."""
    from bawaba.diagnostics.metrics import part

    return Response(part(runtime()).text(), content_type="text/plain; version=0.0.4; charset=utf-8")


@bp.get("/api/diagnostics/health")
@requires("diagnostics:read")
def installation_health() -> dict[str, Any]:
    """How this installation is: `findings`, each with its `level` (good, warn, bad) and a `mend`; sizes, queues."""
    return asdict(look(runtime()))


@bp.get("/api/requests")
@requires("diagnostics:read")
def requests() -> dict[str, Any]:
    """Requests, the newest first: `kind` (all, slow, failed), `method`, `route` (a part of it); `slowest=true`."""
    page = page_request()
    rows = runtime().read(list_requests, wanted(), page)
    return page_of(rows, page, lambda row: row.id).answer(request_out)


def wanted() -> Wanted:
    """Which requests the query string asks for. Raises `Invalid`."""
    asked = request.args
    kind = asked.get("kind", "all")
    if kind not in KINDS:
        raise field_fault("kind", "must be all, slow or failed")
    slowest = asked.get("slowest") == "true"
    return Wanted(kind, asked.get("method", "").upper()[:8], asked.get("route", "")[:160], slowest)
