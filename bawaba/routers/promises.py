"""Promise first, deliver after: work for a router is a row, written in the transaction it follows from.

Each kind of work says how to prepare it (a step: what to do, as things stand now), how to do it (on the router loop)
and what follows (a step, in the transaction that marks the job done). Folders above register their kinds in `wiring`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from bawaba.core.events import Event
from bawaba.core.statement import Statement
from bawaba.routers.driver import GatewayError
from bawaba.routers.models import Router, RouterJob

EXPRESS_S = 8.0  # how long a fresh promise belongs to the request that made it (an admit takes 6 s at most)
FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 60.0
FAILED_AFTER = 5  # tries at something the router understood and refused; an unreachable router is tried for ever

PROMISE = Statement(
    "INSERT INTO router_job (router_id, kind, ref, payload, state, attempts, next_try_at, created_at) "
    "VALUES (:router_id, :kind, :ref, '{}', 'open', 0, :next_try_at, :now) RETURNING id",
    "id",
)
DONE = Statement(
    "UPDATE router_job SET state = 'done', done_at = :now, attempts = attempts + 1, last_error = NULL "
    "WHERE id = :id AND state <> 'done'"
)


class Ask(Protocol):
    """How work reaches its router: `await ask(verb, …)`."""

    def __call__(self, verb: str, *args: Any, **kwargs: Any) -> Awaitable[Any]: ...


@dataclass(frozen=True, slots=True)
class Promised:
    """A job as the deliverer holds it."""

    id: int
    router_id: int
    kind: str
    ref: int | None


@dataclass(frozen=True)
class Kind:
    """One kind of work. `prepare` answers None when there is nothing left to do."""

    prepare: Callable[[Session, Promised, datetime], Any]
    deliver: Callable[[Ask, Any], Awaitable[Any]]
    followed: Callable[[Session, Promised, Any, datetime], Sequence[Event]]
    spare_may: bool = False  # a spare router of the failover group may do it instead


def promise(
    db: Session, router_id: int, kind: str, ref: int | None, now: datetime, *, express: bool = False
) -> Promised:
    """Write down work for a router. `express`: the caller delivers it, so the outbox waits so long."""
    next_try_at = now + timedelta(seconds=EXPRESS_S) if express else now
    row = PROMISE.first(db, router_id=router_id, kind=kind, ref=ref, next_try_at=next_try_at, now=now)
    return Promised(row.id, router_id, kind, ref)


def mark_done(db: Session, job_id: int, now: datetime) -> bool:
    """Mark a job done; False when somebody was before us, and nothing must follow a second time."""
    return DONE.run(db, id=job_id, now=now) == 1


def mark_missed(db: Session, job_id: int, error: GatewayError, now: datetime, jitter: float) -> RouterJob | None:
    """Record a try that failed: later again, or, when the router refused it often enough, for a person to decide."""
    job = db.get(RouterJob, job_id, with_for_update=True)
    if job is None or job.state != "open":
        return None
    job.attempts += 1
    job.last_error = f"{error.code}: {error}"[:500]
    if not error.retryable and job.attempts >= FAILED_AFTER:
        job.state = "failed"
    job.next_try_at = now + timedelta(seconds=retry_wait_s(job.attempts, jitter))
    return job


def retry_wait_s(attempts: int, jitter: float) -> float:
    """Seconds until the next try: doubling, 60 s at most, spread by `jitter` (0…1)."""
    return float(min(FIRST_RETRY_S * 2 ** min(attempts - 1, 10), LONGEST_RETRY_S) * (0.75 + jitter / 2))


def move(db: Session, job_id: int, router_id: int, now: datetime) -> None:
    """Hand an open job to another router, at once."""
    db.execute(
        update(RouterJob).where(RouterJob.id == job_id).values(router_id=router_id, next_try_at=now, state="open")
    )


def due(db: Session, router_id: int, now: datetime, limit: int = 200) -> list[Promised]:
    """What is to be delivered to a router now, oldest first."""
    found = db.execute(
        select(RouterJob.id, RouterJob.kind, RouterJob.ref)
        .where(RouterJob.router_id == router_id, RouterJob.state == "open", RouterJob.next_try_at <= now)
        .order_by(RouterJob.id)
        .limit(limit)
    )
    return [Promised(row.id, router_id, row.kind, row.ref) for row in found]


def spares(db: Session, router_id: int) -> list[int]:
    """Routers of the same failover group that are up, a steady order."""
    mine = select(Router.site_id, Router.failover_group).where(Router.id == router_id).subquery()
    found = db.scalars(
        select(Router.id)
        .join(mine, (Router.site_id == mine.c.site_id) & (Router.failover_group == mine.c.failover_group))
        .where(Router.id != router_id, Router.status.in_(("up", "degraded")))
        .order_by(Router.id)
    )
    return list(found)


def prune(db: Session, before: datetime) -> None:
    """Forget work that was delivered long ago, 5,000 rows at a time."""
    old = select(RouterJob.id).where(RouterJob.state == "done", RouterJob.done_at < before).order_by(RouterJob.id)
    db.execute(delete(RouterJob).where(RouterJob.id.in_(old.limit(5000))))
