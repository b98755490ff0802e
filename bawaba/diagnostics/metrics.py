"""Figures for Prometheus: what this process counted, and what the database says when it is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bawaba.core import tracing
from bawaba.core.runtime import Runtime
from bawaba.core.tracing import Trace
from bawaba.diagnostics import health
from bawaba.routers.models import Router
from bawaba.sessions.models import GuestSession

PART = "metrics"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STATES = ("up", "degraded", "down", "maintenance")
KEPT_S = 5.0  # what the database said is said again for so long, however often it is asked
REDEEM = "/api/voucher/redeem"


class Metrics:
    """One a process. `took` is called in each request's thread."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._lock = threading.Lock()
        self._asked_at = -KEPT_S
        self._asked: dict[str, Any] = {}
        self.registry = CollectorRegistry()
        words: dict[str, Any] = {"registry": self.registry}
        self._requests = Counter("bawaba_requests", "Requests answered", ("method", "status"), **words)
        self._seconds = Histogram("bawaba_request_seconds", "Time of a request", buckets=SECONDS, **words)
        self._redeems = Counter("bawaba_redeems", "Redemptions by their outcome", ("outcome",), **words)
        self._database = Histogram(
            "bawaba_request_database_seconds", "A request's time in the database", buckets=SECONDS, **words
        )
        self._writer = Histogram(
            "bawaba_writer_wait_seconds", "A request's wait for the SQLite writer", buckets=SECONDS, **words
        )
        self.registry.register(self)

    def took(self, trace: Trace) -> None:
        """Count a finished request."""
        self._requests.labels(trace.method, str(trace.status)).inc()
        self._seconds.observe(trace.ended - trace.began)
        if trace.rule == REDEEM:
            self._redeems.labels(trace.error or "let_in").inc()
        self._database.observe(trace.seconds_in(tracing.DATABASE_QUERY, tracing.DATABASE_COMMIT))
        if self._rt.database.is_sqlite:
            self._writer.observe(trace.seconds_in(tracing.WRITER_WAIT))

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """What is looked up when somebody asks."""
        yield GaugeMetricFamily("bawaba_memory_bytes", "Resident memory of this process", health.resident_bytes())
        yield GaugeMetricFamily("bawaba_threads", "Threads of this process", threading.active_count())
        left_out = self._rt.parts["traces"].left_out
        yield CounterMetricFamily("bawaba_traces_left_out", "Requests not written down in a flood", left_out)
        realtime = self._rt.parts.get("realtime")
        if realtime is not None:
            yield GaugeMetricFamily("bawaba_ws_clients", "Open /ws sockets", realtime.websocket.count)
        yield from self._of_cache()
        yield from self._of_database()

    def _of_cache(self) -> Iterator[Metric]:
        asked = CounterMetricFamily("bawaba_cache_asked", "What the cache was asked", labels=("region", "outcome"))
        for region, count in self._rt.cache.counts().items():
            asked.add_metric((region, "hit"), count.hits)
            asked.add_metric((region, "miss"), count.misses)
        yield asked

    def _of_database(self) -> Iterator[Metric]:
        try:
            said = self._from_database()
        except Exception:  # noqa: BLE001 no database, no figures of it, and that is a figure too
            yield GaugeMetricFamily("bawaba_database_up", "Whether the database answers", 0)
            return
        yield GaugeMetricFamily("bawaba_database_up", "Whether the database answers", 1)
        yield GaugeMetricFamily("bawaba_sessions_online", "Guests online", said["online"])
        routers = GaugeMetricFamily("bawaba_routers", "Routers by state", labels=("state",))
        for state in STATES:
            routers.add_metric((state,), said["routers"].get(state, 0))
        yield routers
        yield GaugeMetricFamily("bawaba_outbox_open", "Work promised to routers, not taken yet", said["open"])
        yield GaugeMetricFamily("bawaba_outbox_failed", "Work that needs a person", said["failed"])
        yield GaugeMetricFamily("bawaba_outbox_oldest_seconds", "Age of the oldest promise", said["oldest_s"])
        yield GaugeMetricFamily("bawaba_messages_open", "Notifications not sent yet", said["messages"])
        yield GaugeMetricFamily("bawaba_database_bytes", "Size of the database", said["size_bytes"])

    def _from_database(self) -> dict[str, Any]:
        with self._lock:
            if time.monotonic() - self._asked_at >= KEPT_S:
                self._asked = self._rt.read(_figures, self._rt.clock.now())
                self._asked_at = time.monotonic()
            return self._asked


def _figures(db: Session, now: Any) -> dict[str, Any]:
    from bawaba.diagnostics.retention import database_bytes

    live = (
        select(func.count())
        .select_from(GuestSession)
        .where(GuestSession.ended_at.is_(None), GuestSession.state == "online")
    )
    routers = select(Router.status, func.count()).group_by(Router.status)
    found = health.queues(db)
    oldest = found["oldest"]
    return found | {
        "online": db.scalar(live) or 0,
        "routers": {row[0]: row[1] for row in db.execute(routers)},
        "oldest_s": (now - oldest).total_seconds() if oldest is not None else 0.0,
        "size_bytes": database_bytes(db),
    }


def part(rt: Runtime) -> Metrics:
    """This process's, made when somebody first asks: nobody else pays for the counting."""
    found: Metrics = rt.parts.get(PART) or rt.parts.setdefault(PART, Metrics(rt))
    return found
