"""The page with the setup script of a MikroTik or of openNDS: what it would do is read before it is run."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue

from bawaba.core.errors import Problem
from bawaba.routers import queries
from bawaba.routers.setup import service
from bawaba.routers.setup.service import Scripts, Wanted
from bawaba.web import pages
from bawaba.web.forms import Form, typed
from bawaba.web.guard import actor, requires, runtime

bp = APIBlueprint("router_setup_pages", __name__, enable_openapi=False)
FIELDS = ("server", "interface", "network", "manager_ip", "wireguard")
FILES = {"setup": "bawaba-setup.rsc", "undo": "bawaba-undo.rsc", "tunnel": "bawaba-wg.conf"}
OPENNDS_FILES = {"setup": "bawaba.sh", "undo": "bawaba-undo.sh"}
LONGEST = 120


@bp.get("/routers/<int:router_id>/setup")
@requires("routers:write")
def ask_how(router_id: int) -> Response:
    """What the script needs to know."""
    return _page(router_id, Form({"network": Wanted.network}))


@bp.post("/routers/<int:router_id>/setup")
@requires("routers:write")
def show_scripts(router_id: int) -> ResponseReturnValue:
    """The scripts, to read and copy; with `file`, one of them to keep."""
    sent = {name: request.form.get(name, "").strip()[:LONGEST] for name in FIELDS}
    wanted = Wanted(**{name: value or getattr(Wanted, name, None) for name, value in sent.items()})  # type: ignore[arg-type]
    try:
        made = service.scripts(runtime(), actor(), router_id, wanted)
    except Problem as problem:
        return _page(router_id, typed(problem), status=problem.status)
    asked = request.form.get("file", "")
    if asked in FILES and getattr(made, asked):
        router = runtime().read(queries.get_router, actor(), router_id)
        name = (OPENNDS_FILES if router.driver in service.OPENNDS else FILES)[asked]
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return Response(getattr(made, asked), mimetype="text/plain", headers=headers)
    return _page(router_id, Form(sent), made)


def _page(router_id: int, form: Form, made: Scripts | None = None, status: int = 200) -> Response:
    router = runtime().read(queries.get_router, actor(), router_id)
    config = runtime().config
    unreachable = config.portal_url if config.is_portal_out_of_reach else ""
    asked = {"router": router, "form": form, "made": made, "unreachable": unreachable}
    answer = pages.show("routers/setup.html", None, status, **asked)
    answer.headers["Cache-Control"] = "no-store"  # it holds the router's password
    return answer
