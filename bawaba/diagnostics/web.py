"""Pages about requests: the list, and one request as a waterfall."""

from __future__ import annotations

from dataclasses import dataclass

from apiflask import APIBlueprint
from flask import Response, request

from bawaba.diagnostics import words
from bawaba.diagnostics.analysis import Flow, analyze_request_flow
from bawaba.diagnostics.api import wanted
from bawaba.diagnostics.health import look
from bawaba.diagnostics.queries import count_requests, list_requests
from bawaba.diagnostics.recorder import part
from bawaba.diagnostics.rules import Step
from bawaba.web import language, pages
from bawaba.web.guard import requires, runtime
from bawaba.web.language import translate as _
from bawaba.web.paging import Page, page_of, page_request

bp = APIBlueprint("diagnostics_pages", __name__, enable_openapi=False)
WIDTH = 1000  # of a bar's drawing: the whole request
BAR_LEAST = 3
COLOURS = {
    "database_query": "database", "database_commit": "database", "database_retry": "wait", "writer_wait": "wait",
    "connection_wait": "wait", "thread_wait": "wait", "router_turn": "wait", "router_wait": "wait",
    "router_call": "router", "template": "page", "auth_check": "auth", "business_logic": "work", "function": "work",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bar:
    """A step of the waterfall; `x` and `width` in a box of `WIDTH`."""

    step: Step
    name: str
    colour: str
    x: int
    width: int


@bp.app_template_global()
def milliseconds(micros: float) -> str:
    """A length of time as it is measured: 0.4 ms, 38 ms, 2.1 s."""
    if micros >= 1_000_000:
        return _("%(count)s s", count=language.number(round(micros / 1_000_000, 1)))
    value = micros / 1000
    return _("%(count)s ms", count=language.number(round(value, 0 if value >= 10 else 1 if value >= 1 else 2)))


@bp.get("/diagnostics")
@requires("diagnostics:read")
def health() -> Response:
    """How this installation is."""
    return pages.show("diagnostics/health.html", health=look(runtime()), tables=words.TABLES)


@bp.get("/diagnostics/requests")
@requires("diagnostics:read")
def list_of_requests() -> Response:
    """The last requests, and how long each took."""
    rt, page, asked = runtime(), page_request(), wanted()
    rows = rt.read(list_requests, asked, page)
    found = Page(rows, None) if asked.slowest else page_of(rows, page, lambda row: row.id)
    kept = {"count": rt.read(count_requests), "left_out": part(rt).left_out, "is_on": part(rt).is_on}
    return pages.show(
        "diagnostics/requests.html", "diagnostics/_requests.html", page=found, wanted=asked, kept=kept,
        typed=request.args.get("route", ""),
    )  # fmt: skip


@bp.get("/diagnostics/requests/<request_id>")
@requires("diagnostics:read")
def one_request(request_id: str) -> Response:
    """One request as a waterfall, with what made it slow and what to do about it."""
    flow = analyze_request_flow(runtime(), request_id)
    names = {code: _(text) for code, text in words.NAMES.items()}
    return pages.show("diagnostics/request.html", flow=flow, bars=bars(flow), names=names, width=WIDTH)


def bars(flow: Flow) -> list[Bar]:
    """The timeline as bars on one scale: the request, or what went on after its answer."""
    whole = max([flow.took_ms, 0.01, *(step.at_ms + step.took_ms for step in flow.timeline)])
    return [_bar(step, whole) for step in flow.timeline]


def _bar(step: Step, whole_ms: float) -> Bar:
    width = max(BAR_LEAST, round(step.took_ms / whole_ms * WIDTH))
    x = min(round(step.at_ms / whole_ms * WIDTH), WIDTH - width)
    name = _(words.EVENTS.get(step.kind, step.kind))
    return Bar(step, name, COLOURS.get(step.kind, "mark"), max(0, x), width)
