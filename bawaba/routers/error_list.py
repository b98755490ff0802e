"""The error list: what routers were promised and have not done, by router, and what a person decides about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, literal, select, update
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.core.actor import Actor
from bawaba.core.errors import field_fault
from bawaba.core.runtime import Runtime
from bawaba.routers import cards, queries
from bawaba.routers.cards import Progress
from bawaba.routers.errors import JobIsDone, JobStays
from bawaba.routers.models import THERE, Router, RouterJob
from bawaba.routers.part import part
from bawaba.routers.promises import ERROR_MOST

UNFINISHED = ("open", "failed")
NEEDS_A_PERSON = and_(RouterJob.state == "failed", RouterJob.given_up_by.is_(None))
IDS_MOST = 500


@dataclass(frozen=True)
class Owed:
    """All that one router owes: `waiting` is tried by itself, `failed` needs a person."""

    router: Router
    waiting: int
    failed: int
    oldest_at: datetime
    next_try_at: datetime | None
    error: str | None
    cards: Progress


def owed(db: Session, actor: Actor, router_id: int | None = None) -> list[Owed]:
    """One line for each router that owes something, those that need a person first (step)."""
    rows = db.execute(_by_router(actor, router_id)).all()
    ids = [row.router_id for row in rows]
    boxes = {router.id: router for router in db.scalars(select(Router).where(Router.id.in_(ids)))}
    errors, progress = _newest_errors(db, ids), cards.progress(db, ids)
    found = [
        Owed(
            boxes[row.router_id],
            row.waiting,
            row.failed,
            row.oldest_at,
            row.next_try_at,
            errors.get(row.router_id),
            progress[row.router_id],
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: (-one.failed, -one.waiting, one.router.name))


def _by_router(actor: Actor, router_id: int | None) -> Any:
    is_open = RouterJob.state == "open"
    wanted = (
        select(
            RouterJob.router_id,
            func.count().filter(is_open).label("waiting"),
            func.count().filter(NEEDS_A_PERSON).label("failed"),
            func.min(RouterJob.created_at).label("oldest_at"),
            func.min(RouterJob.next_try_at).filter(is_open).label("next_try_at"),
        )
        .join(Router, Router.id == RouterJob.router_id)
        .where(RouterJob.state.in_(UNFINISHED), RouterJob.given_up_by.is_(None), THERE)
        .group_by(RouterJob.router_id)
    )
    if actor.site_ids is not None:
        wanted = wanted.where(Router.site_id.in_(actor.site_ids))
    return wanted if router_id is None else wanted.where(RouterJob.router_id == router_id)


def _newest_errors(db: Session, router_ids: Collection[int]) -> dict[int, str]:
    """What each router last answered instead of doing its work."""
    unfinished = (RouterJob.state.in_(UNFINISHED), RouterJob.given_up_by.is_(None), RouterJob.last_error.is_not(None))
    newest = (
        select(func.max(RouterJob.id))
        .where(RouterJob.router_id.in_(router_ids), *unfinished)
        .group_by(RouterJob.router_id)
    )
    rows = db.execute(select(RouterJob.router_id, RouterJob.last_error).where(RouterJob.id.in_(newest)))
    return {row.router_id: row.last_error for row in rows}


@dataclass(frozen=True)
class Choice:
    """Which unfinished jobs a decision is about: these, or all of a router."""

    job_ids: Sequence[int] = ()
    router_id: int | None = None


def decide(rt: Runtime, actor: Actor, choice: Choice, verdict: str, to_router_id: int | None = None) -> int:
    """Try work again now (`retry`), hand it to another router of its site (`move`), or leave it undone (`give_up`).
    Answers how many jobs that was. Raises `JobNotFound`, `RouterNotFound`, `JobIsDone`, `JobStays`."""
    movable = [name for name, kind in part(rt).kinds.items() if kind.may_move]
    count, routers = rt.transact(_decide, actor, choice, verdict, to_router_id, movable, rt.clock.now())
    for router_id in routers:
        part(rt).look_again(router_id)
    return count


def decide_job(rt: Runtime, actor: Actor, job_id: int, verdict: str, to_router_id: int | None = None) -> RouterJob:
    """The same for one job; answers it."""
    decide(rt, actor, Choice([job_id]), verdict, to_router_id)
    return rt.read(queries.get_job, actor, job_id)


def _decide(
    db: Session,
    actor: Actor,
    choice: Choice,
    verdict: str,
    to_router_id: int | None,
    movable: list[str],
    now: datetime,
) -> tuple[int, set[int]]:
    chosen = _chosen(db, actor, choice)
    here = {job.router_id for job in chosen}
    if verdict == "move":
        chosen = _those_that_move(chosen, movable, choice)
        here = {job.router_id for job in chosen} | {_other(db, actor, here, to_router_id)}
    these = RouterJob.id.in_([job.id for job in chosen])
    VERDICTS[verdict](db, Decision(these, chosen, actor.username, to_router_id or 0, now))
    routers = sorted({job.router_id for job in chosen})
    facts = {"jobs": len(chosen), "routers": routers, "to": to_router_id}
    audit.record(db, actor, f"job.{verdict}", None, "job", chosen[0].id if len(chosen) == 1 else None, now, **facts)
    return len(chosen), here


def _chosen(db: Session, actor: Actor, choice: Choice) -> list[RouterJob]:
    if choice.router_id is not None:
        queries.get_router(db, actor, choice.router_id)
        mine = (RouterJob.router_id == choice.router_id, RouterJob.state.in_(UNFINISHED))
        return list(db.scalars(select(RouterJob).where(*mine).order_by(RouterJob.id).with_for_update()))
    jobs = [queries.get_job(db, actor, job_id) for job_id in choice.job_ids]
    if len(jobs) == 1 and jobs[0].state == "done":
        raise JobIsDone()
    return [job for job in jobs if job.state != "done"]


def _those_that_move(jobs: list[RouterJob], movable: list[str], choice: Choice) -> list[RouterJob]:
    found = [job for job in jobs if job.kind in movable]
    if not found and jobs:
        raise JobStays()
    return found


def _other(db: Session, actor: Actor, here: set[int], to_router_id: int | None) -> int:
    """Where moved work goes: another router of the same site."""
    if to_router_id is None:
        raise field_fault("to_router_id", "must name the router that the work goes to")
    target = queries.get_router(db, actor, to_router_id)
    for router_id in here:
        if router_id == target.id or queries.get_router(db, actor, router_id).site_id != target.site_id:
            raise field_fault("router_id", "must be another router of the same site")
    return target.id


@dataclass(frozen=True)
class Decision:
    """What a verdict is carried out on: `these` is the condition that finds `jobs`."""

    these: ColumnElement[bool]
    jobs: list[RouterJob]
    by: str
    to_router_id: int
    now: datetime

    @property
    def bringing(self) -> set[int]:
        """The routers whose cards it is about."""
        return {job.router_id for job in self.jobs if job.kind == cards.KIND}


def _retry(db: Session, about: Decision) -> None:
    again = {"state": "open", "next_try_at": about.now, "given_up_by": None, "done_at": None}
    db.execute(update(RouterJob).where(about.these).values(**again))
    for router_id in about.bringing:
        cards.take_up_again(db, router_id)
    resting = and_(Router.id.in_({job.router_id for job in about.jobs}), Router.breaker_until > about.now)
    db.execute(update(Router).where(resting).values(breaker_until=about.now))  # the next call is its trial


def _give_up(db: Session, about: Decision) -> None:
    words = literal(f"given up by {about.by}; ") + func.coalesce(RouterJob.last_error, "")
    over = {"state": "failed", "given_up_by": about.by, "done_at": about.now}
    last_error = func.substr(words, 1, ERROR_MOST)
    db.execute(update(RouterJob).where(about.these).values(last_error=last_error, **over))
    for router_id in about.bringing:
        cards.give_up(db, router_id)


def _move(db: Session, about: Decision) -> None:
    """Cards that were half brought stay the work of their router; the job goes on there for those."""
    for router_id in about.bringing:
        cards.hand_over(db, router_id, about.to_router_id)
        cards.take_up_again(db, router_id)
    if about.bringing:
        cards.promise_cards(db, about.to_router_id, about.now)
    anew = {"state": "open", "next_try_at": about.now, "given_up_by": None, "outcome_unknown": False, "done_at": None}
    stays = RouterJob.kind == cards.KIND
    db.execute(update(RouterJob).where(about.these, stays).values(**anew))
    db.execute(update(RouterJob).where(about.these, ~stays).values(router_id=about.to_router_id, **anew))


VERDICTS: dict[str, Callable[[Session, Decision], None]] = {"retry": _retry, "give_up": _give_up, "move": _move}
