"""A request's trace at the edge: begun when it arrives, ended when its answer is ready."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, before_render_template, g, request, template_rendered

from bawaba.core import tracing
from bawaba.core.runtime import Runtime
from bawaba.core.tracing import Recorder, Trace
from bawaba.web import guard

PART = "traces"
ARRIVED = "bawaba.arrived"  # in the environ: when the server had all of the request (time.perf_counter)
LEFT_OUT = frozenset({"/healthz", "/readyz", "/metrics"})  # asked all day by machines
NO_PAGE = "(no such page)"


def install(app: Flask, rt: Runtime) -> None:
    """Trace requests while the runtime has a recorder that is on."""

    @app.before_request
    def begin() -> None:
        recorder: Recorder | None = rt.parts.get(PART)
        if recorder is None or not recorder.is_on or request.path in LEFT_OUT:
            return
        began = request.environ.get(ARRIVED) or g.started
        rule = request.url_rule.rule if request.url_rule is not None else NO_PAGE
        trace = Trace(g.request_id, request.method, rule, request.view_args or {}, began)
        if g.started - began > tracing.WORTH_NOTING_S:
            trace.add(tracing.THREAD_WAIT, "", began, g.started)
        tracing.CURRENT.set(trace)

    @app.after_request
    def end(answer: Response) -> Response:
        trace = tracing.current()
        if trace is not None:
            trace.ended = tracing.clock()
            trace.status = answer.status_code
            trace.size_bytes = answer.calculate_content_length() or 0
            caller = guard.caller()
            trace.who = caller.actor.username if caller is not None else ""
            tracing.CURRENT.set(None)
            rt.parts[PART].take(trace)
        return answer

    before_render_template.connect(_page_begins, app)
    template_rendered.connect(_page_ended, app)


def _page_begins(app: Flask, template: Any, **more: Any) -> None:
    g.page_began = tracing.clock()


def _page_ended(app: Flask, template: Any, **more: Any) -> None:
    trace = tracing.current()
    if trace is not None:
        trace.add(tracing.TEMPLATE, template.name, g.page_began, tracing.clock())
