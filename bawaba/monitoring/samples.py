"""Looks at routers, gathered in the process and written down together once a second."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement
from bawaba.monitoring.models import RouterSample
from bawaba.routers.driver import Health
from bawaba.routers.models import THERE, Router

log = structlog.get_logger(__name__)
PART = "samples"
MINUTE, HOUR, DAY = 60, 3600, 86400
KEEP = {MINUTE: timedelta(days=2), HOUR: timedelta(days=60), DAY: timedelta(days=1100)}
WRITE_EVERY_S = 1.0
WAITING_MOST = 20_000  # looks kept while the database is away; the oldest go first
PRUNE_AT_ONCE = 5000
POINTS_MOST = 1500
ADD = Statement(
    "INSERT INTO router_sample (router_id, width_s, start, looks, missed, sessions, sessions_most, up, down, cpu, "
    "memory, cpu_looks) VALUES (:router_id, :width_s, :start, :looks, :missed, :sessions, :sessions_most, :up, :down, "
    ":cpu, :memory, :cpu_looks) ON CONFLICT (router_id, width_s, start) DO UPDATE SET "
    "looks = router_sample.looks + excluded.looks, missed = router_sample.missed + excluded.missed, "
    "sessions = router_sample.sessions + excluded.sessions, up = router_sample.up + excluded.up, "
    "sessions_most = CASE WHEN excluded.sessions_most > router_sample.sessions_most THEN excluded.sessions_most "
    "ELSE router_sample.sessions_most END, down = router_sample.down + excluded.down, "
    "cpu = router_sample.cpu + excluded.cpu, memory = router_sample.memory + excluded.memory, "
    "cpu_looks = router_sample.cpu_looks + excluded.cpu_looks"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a router. `health` is None when it was not reached."""

    router_id: int
    at: datetime
    health: Health | None = None
    sessions: int = 0
    up: int = 0
    down: int = 0


class Samples:
    """One a process."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._lock = threading.Lock()
        self._waiting: list[Sample] = []

    def add(self, sample: Sample) -> None:
        """Take a look in; it is written within a second."""
        with self._lock:
            self._waiting.append(sample)
            del self._waiting[:-WAITING_MOST]

    async def keep_writing(self) -> None:
        """Write what has come in, once a second, for the life of the process."""
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Write what has come in; what the database does not take now is kept for the next time."""
        with self._lock:
            samples, self._waiting = self._waiting, []
        if not samples:
            return
        try:
            await self._rt.transact_async(write, samples)
        except Exception as error:  # noqa: BLE001 a router may be gone, the disk full: the writing goes on
            log.warning("looks at routers could not be written yet", looks=len(samples), error=str(error))
            with self._lock:
                self._waiting = (samples + self._waiting)[-WAITING_MOST:]


def write(db: Session, samples: Sequence[Sample]) -> None:
    """Add looks to the minute, the hour and the day that they fall in; those of a router that is gone are left out."""
    asked = {sample.router_id for sample in samples}
    there = set(db.scalars(select(Router.id).where(Router.id.in_(asked), THERE)))
    ADD.run_many(db, rows(sample for sample in samples if sample.router_id in there))


def rows(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """One row for each router and stretch of time, in a steady order (two processes never wait for each other)."""
    found: dict[tuple[int, int, datetime], dict[str, Any]] = {}
    for sample in samples:
        for width_s in KEEP:
            start = stretch(sample.at, width_s)
            row = found.setdefault((sample.router_id, width_s, start), _empty(sample.router_id, width_s, start))
            _count(row, sample)
    return [found[key] for key in sorted(found)]


def stretch(at: datetime, width_s: int) -> datetime:
    """The beginning of the stretch of time that a moment falls in (UTC)."""
    seconds = int(at.timestamp())
    return datetime.fromtimestamp(seconds - seconds % width_s, UTC)


def _empty(router_id: int, width_s: int, start: datetime) -> dict[str, Any]:
    sums = dict.fromkeys(("looks", "missed", "sessions", "sessions_most", "up", "down", "cpu_looks"), 0)
    return {"router_id": router_id, "width_s": width_s, "start": start, "cpu": 0.0, "memory": 0.0, **sums}


def _count(row: dict[str, Any], sample: Sample) -> None:
    row["looks"] += 1
    row["missed"] += sample.health is None
    row["sessions"] += sample.sessions
    row["sessions_most"] = max(row["sessions_most"], sample.sessions)
    row["up"] += sample.up
    row["down"] += sample.down
    if sample.health is not None and sample.health.cpu_percent is not None:
        row["cpu_looks"] += 1
        row["cpu"] += sample.health.cpu_percent
        row["memory"] += sample.health.memory_percent or 0.0


def prune(db: Session, now: datetime) -> None:
    """Forget what is older than its kind is kept for, some thousand rows at a time (step)."""
    for width_s, kept in KEEP.items():
        old = (RouterSample.width_s == width_s, RouterSample.start < now - kept)
        starts = select(RouterSample.start).where(*old).order_by(RouterSample.start)
        if db.scalar(starts.limit(1)) is None:
            continue
        until = db.scalar(starts.offset(PRUNE_AT_ONCE).limit(1)) or now - kept
        db.execute(delete(RouterSample).where(*old, RouterSample.start <= until))


@dataclass(frozen=True, slots=True)
class Point:
    """A stretch of time in a router's life. Rates are bytes a second; None where nothing was seen."""

    start: datetime
    sessions: float | None
    sessions_most: int
    up_rate: float
    down_rate: float
    cpu_percent: float | None
    memory_percent: float | None
    missed: int


def history(db: Session, router_id: int, width_s: int, since: datetime) -> list[Point]:
    """A router's stretches of that width since then, the oldest first (step)."""
    wanted = (
        select(RouterSample)
        .where(RouterSample.router_id == router_id, RouterSample.width_s == width_s, RouterSample.start >= since)
        .order_by(RouterSample.start)
        .limit(POINTS_MOST)
    )
    return [_point(row) for row in db.scalars(wanted)]


def _point(row: RouterSample) -> Point:
    seen = row.looks - row.missed
    return Point(
        start=row.start,
        sessions=row.sessions / seen if seen else None,
        sessions_most=row.sessions_most,
        up_rate=row.up / row.width_s,
        down_rate=row.down / row.width_s,
        cpu_percent=row.cpu / row.cpu_looks if row.cpu_looks else None,
        memory_percent=row.memory / row.cpu_looks if row.cpu_looks else None,
        missed=row.missed,
    )


def samples(rt: Runtime) -> Samples:
    """This process's."""
    found: Samples = rt.parts[PART]
    return found
