"""Is this process alive, can it do its work, and what was seen of the routers."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import request
from sqlalchemy import text

from bawaba.core.clock import SystemClock
from bawaba.core.errors import Unavailable
from bawaba.monitoring.history import seen_of
from bawaba.monitoring.samples import Point
from bawaba.routers.part import part
from bawaba.web.guard import actor, open_to_everyone, requires, runtime
from bawaba.web.messages import say

bp = APIBlueprint("health", __name__)
say(not_ready="Bawaba is not ready: it is starting, being upgraded, or stuck. Try again in a minute.")


class NotReady(Unavailable):
    """This process cannot do its work."""

    code = "not_ready"


@bp.get("/healthz")
@open_to_everyone
def healthz() -> dict[str, Any]:
    """The process answers."""
    return {"status": "ok"}


@bp.get("/readyz")
@open_to_everyone
def readyz() -> dict[str, Any]:
    """The database answers too (503 `database_away` when it does not) and has the newest shape, and the router loop
    comes round (503 `not_ready`); and whether the machine's clock was moved."""
    rt = runtime()
    shape = rt.read(lambda db: db.execute(text("SELECT version_num FROM alembic_version")).scalar())
    if shape != rt.parts["shape"]:
        raise NotReady(part="database", shape=shape)
    if not part(rt).loop.is_alive():
        raise NotReady(part="router loop")
    jump_s = rt.clock.jump_s() if isinstance(rt.clock, SystemClock) else 0.0
    return {"status": "ok", "clock_moved_seconds": round(jump_s)}


@bp.get("/api/routers/<int:router_id>/samples")
@requires("routers:read")
def router_samples(router_id: int) -> dict[str, Any]:
    """What was seen of a router: `span` is day, week, month or year. A point is null where nobody looked."""
    rt = runtime()
    found = seen_of(rt, actor(), router_id, request.args.get("span", "day"))
    return {
        "router_id": router_id,
        "since": found.since,
        "step_seconds": found.span.width_s * found.span.together,
        "points": [_point_out(point) if point else None for point in found.points],
    }


@bp.get("/api/cache")
@requires("diagnostics:read")
def cache_rates() -> dict[str, Any]:
    """How much of what was asked came from the cache of this process, by region, since it was started."""
    cache = runtime().cache
    regions = [
        {
            "region": name,
            "hits": count.hits,
            "misses": count.misses,
            "hit_rate": round(count.rate, 4) if count.rate is not None else None,
            "making_seconds": round(count.making_s, 3),
        }
        for name, count in cache.counts().items()
    ]
    return {"where": cache.where, "is_away": cache.is_away, "regions": regions}


def _point_out(point: Point) -> dict[str, Any]:
    return {
        "start": point.start,
        "sessions": round(point.sessions, 1) if point.sessions is not None else None,
        "sessions_most": point.sessions_most,
        "up_bytes_per_second": round(point.up_rate),
        "down_bytes_per_second": round(point.down_rate),
        "cpu_percent": round(point.cpu_percent, 1) if point.cpu_percent is not None else None,
        "memory_percent": round(point.memory_percent, 1) if point.memory_percent is not None else None,
        "missed": point.missed,
    }
