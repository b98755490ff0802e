"""Promise first, deliver after: work for a router is a row, written in the transaction it follows from.

Each kind of work says how to prepare it (a step: what to do, as things stand now), how to do it (on the router loop)
and what follows (a step, in the transaction that marks the job done). Folders above register their kinds in `wiring`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from bawaba.core import tracing
from bawaba.core.events import Event
from bawaba.core.statement import Statement, together
from bawaba.routers.driver import Awaited, GatewayError, Handoff
from bawaba.routers.models import THERE, Router, RouterJob

HANDED = "handed"  # in a job's payload: handed to the guest's browser
EXPRESS_S = 8.0  # how long a fresh promise belongs to the request that made it, and each time that it says so again
HOLD_EVERY_S = 3.0  # how often whoever is at work on a promise says so: twice at least before another takes it up
FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 60.0
AT_ONCE = 64  # jobs of one router that are taken up together
ERROR_MOST = 500
PARTIAL_FAILURE = "partial_failure"  # the router failed, and no spare could do it
AWAITED_AGAIN_S = 600.0  # what a gateway fetches by itself lies ready for it all the time
HANDED_AGAIN_S = 600.0  # what the guest's browser has to finish is looked at when it comes back, and by each poll
FAILED_AFTER = 5  # tries at something the router understood and refused; an unreachable router is tried for ever

PROMISE = Statement(
    "INSERT INTO router_job (router_id, kind, ref, payload, state, attempts, next_try_at, created_at, request_id) "
    "VALUES (:router_id, :kind, :ref, :payload, 'open', 0, :next_try_at, :now, :request_id) RETURNING id",
    "id",
)
DONE = Statement(
    "UPDATE router_job SET state = 'done', done_at = :now, attempts = attempts + 1, last_error = NULL, "
    "outcome_unknown = FALSE "
    "WHERE id = :id AND state <> 'done' RETURNING id",
    "id",
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
    outcome_unknown: bool = False  # an earlier try may have been done, unheard
    request_id: str | None = None  # of the request that it follows from


class Rest(NamedTuple):
    """What is left of a job that is done in steps: `more` to do at once, or what the router `refused`, in words."""

    more: bool = False
    refused: str | None = None


class Together(Protocol):
    """How several works of one kind are done in one go: for each, in order, what `deliver` would answer or the error
    that it would raise. Raises `GatewayError` where none of them was done."""

    def __call__(self, ask: Ask, works: Sequence[Any], /) -> Awaitable[Sequence[Any]]: ...


@dataclass(frozen=True)
class Kind:
    """One kind of work. `prepare` answers None when there is nothing left to do. What `reads` names is read and locked
    just before the job is closed, in the same round trip, and `followed` gets the first row of each."""

    prepare: Callable[[Session, Promised, datetime], Any]
    deliver: Callable[[Ask, Any], Awaitable[Any]]
    followed: Callable[..., Sequence[Event]]  # (db, job, result, now, *rows)
    reads: Callable[[Promised], Sequence[tuple[Statement, dict[str, Any]]]] = lambda _job: ()
    spare_may: bool = False  # a spare router of the failover group may do it instead
    may_move: bool = False  # a person may hand it to another router
    bulk: bool = False  # goes beside the work that guests wait for, and after it
    about: Callable[[Any], Hashable] | None = None  # work about the same thing keeps its order, else all of the kind
    deliver_again: Callable[[Ask, Any], Awaitable[Any]] | None = None  # its outcome was unknown
    rest: Callable[[Session, Promised], Rest] | None = None  # it is done in steps: what is left after one
    lock: Callable[[Session, Promised], Any] | None = None  # what is locked before the job itself: its card
    together: Together | None = None  # how a router does all that is due of it in one go


def promise(
    db: Session,
    router_id: int,
    kind: str,
    ref: int | None,
    now: datetime,
    *,
    express: bool = False,
    payload: Mapping[str, Any] | None = None,
) -> Promised:
    """Write down work for a router. `express`: the caller delivers it, so the outbox waits so long."""
    next_try_at = now + timedelta(seconds=EXPRESS_S) if express else now
    told = json.dumps(payload or {})
    asked = tracing.request_id()
    what = {"router_id": router_id, "kind": kind, "ref": ref, "payload": told, "request_id": asked}
    row = PROMISE.first(db, next_try_at=next_try_at, now=now, **what)
    return Promised(row.id, router_id, kind, ref, request_id=asked)


def mark_done(db: Session, job_id: int, now: datetime) -> bool:
    """Mark a job done; False when somebody was before us, and nothing must follow a second time."""
    return DONE.first(db, id=job_id, now=now) is not None


def followed(db: Session, kind: Kind, job: Promised, result: Any, now: datetime) -> list[Event]:
    """Write down what a router did, and close the job, unless more of it is to be done."""
    if isinstance(result, Handoff):
        hand_over(db, job.id, now)
        return []
    if isinstance(result, Awaited):
        lay_ready(db, job.id, now)
        return []
    if kind.lock is not None and not db.info["sqlite"]:  # whose one writer is lock enough
        kind.lock(db, job)
    if kind.rest is None:
        *rows, done = together(db, *kind.reads(job), (DONE, {"id": job.id, "now": now}))
        return list(kind.followed(db, job, result, now, *rows)) if done is not None else []
    row = db.get(RouterJob, job.id, with_for_update=True)  # who promises more of it waits for us, or we for them
    events = list(kind.followed(db, job, result, now))
    rest = kind.rest(db, job)
    if row is None or row.state == "done":
        return events
    if rest.more:
        row.attempts, row.last_error, row.outcome_unknown, row.next_try_at = 0, None, False, now
    elif rest.refused is not None:
        _refused(row, rest.refused, now)
    else:
        row.state, row.done_at, row.last_error, row.outcome_unknown = "done", now, None, False
        row.attempts += 1
    return events


def all_followed(db: Session, kind: Kind, done: Sequence[tuple[Promised, Any]], now: datetime) -> list[Event]:
    """The same for works of one kind that a router did in one go."""
    in_order = sorted(done, key=lambda one: one[0].ref or 0)  # cards are locked by their number
    return [event for job, result in in_order for event in followed(db, kind, job, result, now)]


def _refused(row: RouterJob, why: str, now: datetime) -> None:
    row.attempts += 1
    row.last_error, row.outcome_unknown = f"rejected: {why}"[:ERROR_MOST], False
    row.state = "failed" if row.attempts >= FAILED_AFTER else "open"
    row.next_try_at = now + timedelta(seconds=retry_wait_s(row.attempts, 0.5))


def hand_over(db: Session, job_id: int, now: datetime) -> None:
    """The guest's own browser has to finish a job: it stays open, and is tried again only if nobody comes back."""
    job = db.get(RouterJob, job_id, with_for_update=True)
    if job is not None and job.state == "open":
        job.payload = {**job.payload, HANDED: True}
        job.last_error, job.outcome_unknown = None, False
        job.next_try_at = now + timedelta(seconds=HANDED_AGAIN_S)


def lay_ready(db: Session, job_id: int, now: datetime) -> None:
    """The gateway fetches a job by itself: it stays open until whoever hears the gateway closes it."""
    job = db.get(RouterJob, job_id, with_for_update=True)
    if job is not None and job.state == "open":
        job.last_error, job.next_try_at = None, now + timedelta(seconds=AWAITED_AGAIN_S)


def mark_missed(db: Session, job_id: int, error: GatewayError, now: datetime, jitter: float) -> RouterJob | None:
    """Record a try that failed: later again, or, when the router refused it often enough, for a person to decide."""
    job = db.get(RouterJob, job_id, with_for_update=True)
    if job is None or job.state != "open":
        return None
    job.attempts += 1
    job.last_error = f"{error.code}: {error}"[:ERROR_MOST]
    job.outcome_unknown = job.outcome_unknown or not error.outcome_known
    if not error.retryable and job.attempts >= FAILED_AFTER:
        job.state = "failed"
    job.next_try_at = now + timedelta(seconds=retry_wait_s(job.attempts, jitter))
    return job


def say_partial_failure(db: Session, job_id: int, error: GatewayError) -> RouterJob | None:
    """No spare could do it either: the job's error says so. Answers the job while it is open."""
    job = db.get(RouterJob, job_id, with_for_update=True)
    if job is None or job.state != "open":
        return None
    job.last_error = f"{PARTIAL_FAILURE}: {error.code}: {error}"[:ERROR_MOST]
    return job


def hold(db: Session, job_id: int, now: datetime) -> None:
    """Somebody is at work on a job, however long its router and the spares take: no other begins it meanwhile."""
    mine = update(RouterJob).where(RouterJob.id == job_id, RouterJob.state == "open")
    db.execute(mine.values(next_try_at=now + timedelta(seconds=EXPRESS_S)))


def put_off(db: Session, router_id: int, kinds: Sequence[str], until: datetime, why: str, now: datetime) -> None:
    """The router is left alone for now: what is due of these kinds waits until then, and says why."""
    due_now = update(RouterJob).where(
        RouterJob.router_id == router_id,
        RouterJob.state == "open",
        RouterJob.next_try_at <= now,
        RouterJob.kind.in_(kinds),
    )
    words = func.coalesce(RouterJob.last_error, why[:ERROR_MOST])
    db.execute(due_now.values(next_try_at=until, last_error=words))


def retry_wait_s(attempts: int, jitter: float) -> float:
    """Seconds until the next try: doubling, 60 s at most, spread by `jitter` (0…1)."""
    return float(min(FIRST_RETRY_S * 2 ** min(attempts - 1, 10), LONGEST_RETRY_S) * (0.75 + jitter / 2))


def due(db: Session, router_id: int, kinds: Sequence[str], now: datetime, limit: int = AT_ONCE) -> list[Promised]:
    """What is to be delivered to a router now of these kinds, oldest first."""
    found = db.execute(
        select(RouterJob.id, RouterJob.kind, RouterJob.ref, RouterJob.outcome_unknown, RouterJob.request_id)
        .where(
            RouterJob.router_id == router_id,
            RouterJob.state == "open",
            RouterJob.next_try_at <= now,
            RouterJob.kind.in_(kinds),
        )
        .order_by(RouterJob.id)
        .limit(limit)
    )
    return [Promised(row.id, router_id, row.kind, row.ref, row.outcome_unknown, row.request_id) for row in found]


def spares(db: Session, router_id: int, now: datetime) -> list[int]:
    """Routers of the same failover group that are up and not left alone, a steady order."""
    mine = select(Router.site_id, Router.failover_group).where(Router.id == router_id).subquery()
    found = db.scalars(
        select(Router.id)
        .join(mine, (Router.site_id == mine.c.site_id) & (Router.failover_group == mine.c.failover_group))
        .where(
            Router.id != router_id,
            THERE,
            Router.status.in_(("up", "degraded")),
            or_(Router.breaker_until.is_(None), Router.breaker_until <= now),
        )
        .order_by(Router.id)
    )
    return list(found)


def prune(db: Session, before: datetime) -> None:
    """Forget work that was delivered or given up long ago, 5,000 rows at a time."""
    over = or_(RouterJob.state == "done", RouterJob.given_up_by.is_not(None))
    old = select(RouterJob.id).where(over, RouterJob.done_at < before).order_by(RouterJob.id)
    db.execute(delete(RouterJob).where(RouterJob.id.in_(old.limit(5000))))
