"""A request as JSON."""

from __future__ import annotations

from typing import Any

from bawaba.diagnostics import words
from bawaba.diagnostics.analysis import Flow, ms
from bawaba.diagnostics.models import RequestTrace
from bawaba.diagnostics.rules import Bottleneck, Step
from bawaba.web.language import translate


def request_out(row: RequestTrace) -> dict[str, Any]:
    """One line of the list."""
    return {
        "request_id": row.request_id,
        "method": row.method,
        "route": row.route,
        "status": row.status,
        "started_at": row.started_at,
        "took_ms": ms(row.took_us),
        "database_ms": ms(row.database_us),
        "router_ms": ms(row.router_us),
        "statements": row.statements,
        "size_bytes": row.size_bytes,
        "username": row.who or None,
        "process": row.process,
    }


def flow_out(flow: Flow) -> dict[str, Any]:
    """A request taken apart."""
    facts = flow.facts
    return {
        "request_id": facts["request_id"],
        "method": facts["method"],
        "route": facts["route"],
        "status": facts["status"],
        "started_at": facts["started_at"],
        "took_ms": flow.took_ms,
        "database_ms": ms(facts["database_us"]),
        "router_ms": ms(facts["router_us"]),
        "statements": facts["statements"],
        "size_bytes": facts["size_bytes"],
        "username": facts["who"] or None,
        "process": facts["process"],
        "error": flow.error or None,
        "steps_left_out": flow.dropped,
        "timeline": [_step_out(step) for step in flow.timeline],
        "bottlenecks": [_bottleneck_out(flow, found) for found in flow.bottlenecks],
        "recommendations": [flow.recommendation(found) for found in flow.bottlenecks],
    }


def _step_out(step: Step) -> dict[str, Any]:
    told: dict[str, Any] = {"event": step.kind, "at_ms": step.at_ms, "took_ms": step.took_ms}
    if step.text:
        told["text"] = step.text
    if step.about:
        told["about"] = step.about
    return told


def _bottleneck_out(flow: Flow, found: Bottleneck) -> dict[str, Any]:
    return {
        "code": found.code,
        "title": translate(words.NAMES[found.code]),
        "took_ms": round(found.took_ms, 2),
        "times": found.times,
        "text": found.text,
        "plan": flow.plans.get(found.text),
    }
