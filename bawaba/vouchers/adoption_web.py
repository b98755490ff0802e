"""What lies on a router from before us, as a page and over the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from bawaba.plans.words import plan_words
from bawaba.routers import queries
from bawaba.routers.driver import GatewayError
from bawaba.vouchers import adoption
from bawaba.web import pages
from bawaba.web.guard import actor, requires, runtime

bp = APIBlueprint("adoption", __name__, enable_openapi=False)


@bp.get("/api/routers/<int:router_id>/strangers")
@requires("routers:write")
def strangers(router_id: int) -> dict[str, Any]:
    """Cards on a router that are not ours, by kind; `ok` false with the reason when it cannot be asked."""
    try:
        _router, kinds = adoption.survey(runtime(), actor(), router_id)
    except GatewayError as error:
        return {"ok": False, "error": error.code, "message": str(error)}
    return {"ok": True, "kinds": [_kind_out(kind) for kind in kinds]}


@bp.get("/routers/<int:router_id>/strangers")
@requires("routers:write")
def strangers_page(router_id: int) -> Response:
    """The same for people."""
    router, error = runtime().read(queries.get_router, actor(), router_id), None
    kinds: Sequence[adoption.Kind] = ()
    try:
        router, kinds = adoption.survey(runtime(), actor(), router_id)
    except GatewayError as refused:
        error = refused
    lines = [(kind, plan_words(kind)) for kind in kinds]
    return pages.show("vouchers/strangers.html", None, router=router, lines=lines, error=error)


def _kind_out(kind: adoption.Kind) -> dict[str, Any]:
    limits = {name: value for name, value in asdict(kind.limits).items() if name != "until"}
    counts = {"count": kind.count, "unused": kind.unused, "used": kind.used, "disabled": kind.disabled}
    return {"group": kind.group, **counts, "limits": limits, "examples": list(kind.examples)}
