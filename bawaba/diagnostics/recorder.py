"""Finished traces: the newest in the process, and all but a flood of them in the database, written in groups."""

from __future__ import annotations

import asyncio
import heapq
import threading
from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from bawaba.core import tracing
from bawaba.core.runtime import Runtime
from bawaba.core.statement import BulkInsert
from bawaba.core.tracing import Span, Trace
from bawaba.diagnostics.models import RequestTrace

log = structlog.get_logger(__name__)
PART = "traces"
IN_MEMORY = 300  # the newest, found at once by the process that they were in
WRITE_EVERY_S = 2.0
NEWEST_MOST = 100  # written each time, and beside them, when there were more:
STANDING_OUT_MOST = 40  # what failed, then the slowest
SLOWEST = 200  # kept beyond the newest
SLOWEST_FOR = timedelta(days=7)
STATEMENT_MOST = 4000
DATABASE = frozenset({tracing.DATABASE_QUERY, tracing.DATABASE_COMMIT, tracing.DATABASE_RETRY, tracing.WRITER_WAIT,
                      tracing.CONNECTION_WAIT})  # fmt: skip
WRITE = BulkInsert(
    "request_trace",
    "request_id process method route status who started_at took_us database_us router_us statements size_bytes detail",
)


class TraceRecorder:
    """One a process. Off where `trace_keep` is 0."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self.is_on = rt.config.trace_keep > 0
        self.left_out = 0  # requests of this process that were not written down: too many at once
        self._newest: deque[Trace] = deque(maxlen=IN_MEMORY)
        self._waiting: deque[Trace] = deque()
        self._standing_out: list[tuple[tuple[bool, float], int, Trace]] = []
        self._lock = threading.Lock()

    def take(self, trace: Trace) -> None:
        """Keep a trace; it is written within two seconds, unless many come at once and it is nothing special."""
        self._newest.append(trace)
        self._waiting.append(trace)
        if (metrics := self._rt.parts.get("metrics")) is not None:
            metrics.took(trace)
        if len(self._waiting) > NEWEST_MOST:
            with self._lock:
                self._make_room()

    def _make_room(self) -> None:
        """Of those that waited longest only what failed and the slowest stay."""
        while len(self._waiting) > NEWEST_MOST:
            oldest = self._waiting.popleft()
            entry = ((oldest.status >= 500, oldest.ended - oldest.began), id(oldest), oldest)
            if len(self._standing_out) < STANDING_OUT_MOST:
                heapq.heappush(self._standing_out, entry)
            else:
                heapq.heappushpop(self._standing_out, entry)
                self.left_out += 1

    def find(self, request_id: str) -> Trace | None:
        """One of the newest of this process; of several by the same id the last."""
        return next((trace for trace in reversed(self._newest.copy()) if trace.request_id == request_id), None)

    async def keep_writing(self) -> None:
        """Write what has come in, for the life of the process."""
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            if self._waiting:
                await asyncio.to_thread(self.write)

    def write(self) -> None:
        """Write what waits. What the database does not take is let go of."""
        with self._lock:
            special, self._standing_out = [trace for _rank, _id, trace in self._standing_out], []
            newest = [self._waiting.popleft() for _ in range(len(self._waiting))]
        chosen = sorted(special + newest, key=lambda trace: trace.ended)
        try:
            self._rt.transact(WRITE.run, [self.row_of(trace) for trace in chosen])
        except Exception as error:  # noqa: BLE001 a trace is no promise; the disk may be full
            log.warning("what requests did was not written down", requests=len(chosen), error=str(error))

    def row_of(self, trace: Trace) -> dict[str, Any]:
        """A trace of this process as a row."""
        ago = timedelta(seconds=tracing.clock() - trace.began)
        return {"process": self._rt.config.process_name, "started_at": self._rt.clock.now() - ago} | facts_of(trace)


def facts_of(trace: Trace) -> dict[str, Any]:
    """What a trace itself says, as columns."""
    spans = trace.spans
    queries = Counter(span.kind for span in spans)[tracing.DATABASE_QUERY]
    return {
        "request_id": trace.request_id,
        "method": trace.method[:8],
        "route": route_of(trace)[:160],
        "status": trace.status,
        "who": trace.who[:60],
        "took_us": _micros(trace.ended - trace.began),
        "database_us": _micros(time_in(spans, DATABASE)),
        "router_us": _micros(time_in(spans, frozenset({tracing.ROUTER_CALL, tracing.ROUTER_TURN}))),
        "statements": queries,
        "size_bytes": trace.size_bytes,
        "detail": detail_of(trace, spans),
    }


def route_of(trace: Trace) -> str:
    """The pattern that a request fitted, with row numbers filled in and nothing that a person typed."""
    route = trace.rule
    for name, value in trace.arguments.items():
        if isinstance(value, int):
            route = route.replace(f"<int:{name}>", str(value))
    return route


def time_in(spans: Sequence[Span], kinds: frozenset[str]) -> float:
    """Seconds in which at least one span of these kinds was under way."""
    total, until = 0.0, 0.0
    for span in sorted((span for span in spans if span.kind in kinds), key=lambda span: span.began):
        total += max(0.0, span.ended - max(span.began, until))
        until = max(until, span.ended)
    return total


def detail_of(trace: Trace, spans: Sequence[Span]) -> str:
    """The spans as JSON: `[kind, name, microseconds since the request began, microseconds that it took, about]`, with
    each statement's text once in `texts` (a span's name is then its place there)."""
    texts: dict[str, int] = {}
    rows = []
    for span in spans:
        name = texts.setdefault(span.name[:STATEMENT_MOST], len(texts))
        rows.append((span.kind, name, _micros(span.began - trace.began), _micros(span.ended - span.began), span.about))
    told = {"texts": list(texts), "spans": rows, "dropped": trace.dropped, "error": trace.error}
    return orjson.dumps(told).decode()


def prune(db: Session, now: datetime, keep: int) -> None:
    """Forget all but the newest and, for a week, the slowest (step)."""
    newest = db.scalar(select(func.max(RequestTrace.id))) or 0
    slow = select(RequestTrace.id).where(RequestTrace.started_at > now - SLOWEST_FOR)
    slowest = slow.order_by(RequestTrace.took_us.desc()).limit(SLOWEST)
    old = delete(RequestTrace).where(
        RequestTrace.id <= newest - keep, RequestTrace.id.not_in(list(db.scalars(slowest)))
    )
    db.execute(old)


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)


def part(rt: Runtime) -> TraceRecorder:
    """This process's."""
    found: TraceRecorder = rt.parts[PART]
    return found
