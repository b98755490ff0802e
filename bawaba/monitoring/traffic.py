"""What guests moved through all routers of a person's sites in the last day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bawaba.core.actor import Actor
from bawaba.core.cache import Region
from bawaba.core.runtime import Runtime
from bawaba.monitoring.models import RouterSample
from bawaba.monitoring.samples import HOUR, MINUTE, stretch
from bawaba.routers.models import Router
from bawaba.sites.service import sees

CACHED = Region("traffic", ("router",), ttl_s=60)
LENGTH = timedelta(days=1)
FINE_S, COARSE_S = 600, HOUR  # how wide a point is with few routers and with many
FEW_ROUTERS = 20  # their minutes are added up; of more, their hours


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes a second of all guests in one stretch of time."""

    start: datetime
    down_rate: float
    up_rate: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """Evenly spaced stretches of the last day, the oldest first; None where no router was seen."""

    since: datetime
    step_s: int
    points: tuple[Moved | None, ...]


def last_day(rt: Runtime, actor: Actor) -> Traffic:
    """The traffic as of this minute, added up once a minute."""
    now = stretch(rt.clock.now(), MINUTE)
    return rt.recall(CACHED, (actor.sight, now), traffic, actor, now)


def traffic(db: Session, actor: Actor, now: datetime) -> Traffic:
    """The traffic of the routers that a person sees (step)."""
    mine = select(Router.id).where(sees(actor, Router.site_id))
    few = (db.scalar(select(func.count()).select_from(mine.limit(FEW_ROUTERS + 1).subquery())) or 0) <= FEW_ROUTERS
    width_s, step_s = (MINUTE, FINE_S) if few else (HOUR, COARSE_S)
    since = stretch(now - LENGTH, step_s) + timedelta(seconds=step_s)
    seen = func.sum(RouterSample.looks - RouterSample.missed)
    sums = (
        select(RouterSample.start, func.sum(RouterSample.down), func.sum(RouterSample.up), seen)
        .where(RouterSample.router_id.in_(mine), RouterSample.width_s == width_s, RouterSample.start >= since)
        .group_by(RouterSample.start)
    )
    moved: dict[int, tuple[int, int]] = {}
    for start, down, up, looks in db.execute(sums):
        if looks:
            place = int((start - since).total_seconds() // step_s)
            before = moved.get(place, (0, 0))
            moved[place] = (before[0] + int(down), before[1] + int(up))
    count = int(LENGTH.total_seconds() // step_s)
    return Traffic(since, step_s, tuple(_point(since, step_s, place, moved.get(place), now) for place in range(count)))


def _point(
    since: datetime, step_s: int, place: int, bytes_moved: tuple[int, int] | None, now: datetime
) -> Moved | None:
    """The rate over a stretch; over as much of it as is gone, where it goes on (a minute at least)."""
    if bytes_moved is None:
        return None
    start = since + timedelta(seconds=place * step_s)
    seconds = min(float(step_s), max(float(MINUTE), (now - start).total_seconds() + MINUTE))
    return Moved(start, bytes_moved[0] / seconds, bytes_moved[1] / seconds)
