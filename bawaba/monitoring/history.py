"""A router's past: how many were online, what they moved, how it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from bawaba.core.actor import Actor
from bawaba.core.cache import Region
from bawaba.core.errors import field_fault
from bawaba.core.runtime import Runtime
from bawaba.monitoring import samples
from bawaba.monitoring.samples import DAY, HOUR, MINUTE, Point
from bawaba.routers import queries
from bawaba.routers.models import Router

CACHED = Region("samples", ("router", "router_sample"), ttl_s=60)


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time to look back, and how wide one point of it is."""

    name: str
    length: timedelta
    width_s: int
    together: int = 1  # stretches that are one point


SPANS = {
    span.name: span
    for span in (
        Span("day", timedelta(days=1), MINUTE, together=5),
        Span("week", timedelta(days=7), HOUR),
        Span("month", timedelta(days=30), HOUR, together=4),
        Span("year", timedelta(days=365), DAY),
    )
}


@dataclass(frozen=True, slots=True)
class History:
    """The points of a span, evenly spaced, None where nobody looked."""

    router: Router
    span: Span
    since: datetime
    points: Sequence[Point | None]


def seen_of(rt: Runtime, actor: Actor, router_id: int, name: str) -> History:
    """`history`, read once for as long as nothing new is written down of any router."""
    now = rt.clock.now()
    key = (actor.sight, router_id, name, samples.stretch(now, MINUTE))
    return rt.recall(CACHED, key, history, actor, router_id, name, now)


def history(db: Session, actor: Actor, router_id: int, name: str, now: datetime) -> History:
    """A router's past (step). Raises `RouterNotFound`, and `Invalid` for a span that there is not."""
    router = queries.get_router(db, actor, router_id)
    span = SPANS.get(name)
    if span is None:
        raise field_fault("span", "must be day, week, month or year")
    step_s = span.width_s * span.together
    since = samples.stretch(now - span.length, step_s) + timedelta(seconds=step_s)
    found = samples.history(db, router.id, span.width_s, since)
    places: list[list[Point]] = [[] for _ in range(int(span.length.total_seconds() // step_s))]
    for point in found:
        place = int((point.start - since).total_seconds() // step_s)
        if 0 <= place < len(places):
            places[place].append(point)
    return History(router, span, since, [_one(points) for points in places])


def _one(points: list[Point]) -> Point | None:
    """Some stretches as one: rates and percents on average, the most of the most."""
    if not points:
        return None
    count = len(points)
    return Point(
        start=points[0].start,
        sessions=_mean([point.sessions for point in points]),
        sessions_most=max(point.sessions_most for point in points),
        up_rate=sum(point.up_rate for point in points) / count,
        down_rate=sum(point.down_rate for point in points) / count,
        cpu_percent=_mean([point.cpu_percent for point in points]),
        memory_percent=_mean([point.memory_percent for point in points]),
        missed=sum(point.missed for point in points),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
