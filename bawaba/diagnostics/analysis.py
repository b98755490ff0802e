"""One request taken apart: its timeline, what made it slow, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.runtime import Runtime
from bawaba.diagnostics import rules, words
from bawaba.diagnostics.errors import TraceNotFound
from bawaba.diagnostics.explain import plan_of
from bawaba.diagnostics.models import RequestTrace
from bawaba.diagnostics.recorder import part
from bawaba.diagnostics.rules import Bottleneck, Step, find_bottlenecks
from bawaba.web.language import number, translate

PLANS_MOST = 3
COLUMNS = ("request_id", "process", "method", "route", "status", "who", "started_at", "took_us", "database_us",
           "router_us", "statements", "size_bytes", "detail")  # fmt: skip


@dataclass(frozen=True)
class Flow:
    """A request, and what is to be said of it."""

    facts: Mapping[str, Any]
    timeline: list[Step]
    bottlenecks: list[Bottleneck]
    plans: Mapping[str, list[str]]  # by statement
    error: str
    dropped: int

    @property
    def took_ms(self) -> float:
        """From its arrival to its answer."""
        return ms(self.facts["took_us"])

    def recommendation(self, found: Bottleneck) -> str:
        """What to do about a bottleneck, in the reader's language."""
        told = {"ms": number(round(found.took_ms)), "times": number(found.times)}
        if found.code == rules.LARGE_ANSWER:
            told["kilobytes"] = number(round(self.facts["size_bytes"] / 1000))
        return translate(words.RECOMMENDATIONS[found.code], **told)


def analyze_request_flow(rt: Runtime, request_id: str) -> Flow:
    """Take one request apart; of several by the same id the newest. Raises `TraceNotFound`.

    Plans are asked for now, beside the request, and describe the database as it is now.
    """
    trace = part(rt).find(request_id)
    facts = part(rt).row_of(trace) if trace is not None else rt.read(_find, request_id)
    detail = orjson.loads(facts["detail"])
    steps = [
        Step(kind, detail["texts"][text], ms(at_us), ms(took_us), about)
        for kind, text, at_us, took_us, about in detail["spans"]
    ]
    bottlenecks = find_bottlenecks(steps, facts["size_bytes"], has_locks=not rt.database.is_sqlite)
    plans = rt.read(_plans, bottlenecks)
    return Flow(facts, _timeline(steps, facts), bottlenecks, plans, detail["error"], detail["dropped"])


def _find(db: Session, request_id: str) -> dict[str, Any]:
    wanted = select(RequestTrace).where(RequestTrace.request_id == request_id).order_by(RequestTrace.id.desc())
    row = db.scalar(wanted.limit(1))
    if row is None:
        raise TraceNotFound()
    return {name: getattr(row, name) for name in COLUMNS}


def _timeline(steps: list[Step], facts: Mapping[str, Any]) -> list[Step]:
    """All steps in the order in which they began, with the beginning, the work between, and the answer."""
    took_ms = ms(facts["took_us"])
    whole = [Step("request_start", "", 0.0, 0.0), *steps]
    checked = next((step for step in steps if step.kind == "auth_check"), None)
    if checked is not None and checked.about is None:
        began_ms = checked.at_ms + checked.took_ms
        whole.append(Step("business_logic", "", began_ms, max(0.0, took_ms - began_ms)))
    whole.append(Step("response_sent", "", took_ms, 0.0, str(facts["status"])))
    return sorted(whole, key=lambda step: (step.at_ms, step.kind != "request_start", -step.took_ms))


def _plans(db: Session, bottlenecks: list[Bottleneck]) -> dict[str, list[str]]:
    slow = (rules.SLOW_QUERY, rules.LOCK_WAIT, rules.N_PLUS_ONE)
    texts = list(dict.fromkeys(one.text for one in bottlenecks if one.code in slow))[:PLANS_MOST]
    found = {text: [line for part_of in text.split("; ") for line in plan_of(db, part_of)] for text in texts}
    return {text: lines for text, lines in found.items() if lines}


def ms(micros: int) -> float:
    """Milliseconds, to a hundredth."""
    return round(micros / 1000, 2)
