"""Keeping promises: a router's due work side by side on its one connection, guests' first, spares where they may."""

from __future__ import annotations

import asyncio
import enum
import threading
from collections.abc import Awaitable, Hashable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from bawaba.core.database import is_passing
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime
from bawaba.routers import promises, standing
from bawaba.routers.breaker import FIRST_REST_S
from bawaba.routers.driver import Awaited, GatewayError, Handoff, Unsupported
from bawaba.routers.events import JobFailed
from bawaba.routers.links import FAILURES, Links, NotItsTurn, RouterResting
from bawaba.routers.models import Router, RouterJob
from bawaba.routers.promises import Kind, Promised

log = structlog.get_logger(__name__)


class Fate(enum.Enum):
    """What became of a job."""

    TAKEN = enum.auto()
    MISSED = enum.auto()
    RESTING = enum.auto()  # the router is left alone for now; nothing was sent


class Handover:
    """Passes what a router did to the thread that waits for it, exactly once, or to nobody when it has left."""

    def __init__(self) -> None:
        self._given = threading.Event()
        self._lock = threading.Lock()
        self._open = True
        self._taken: tuple[Promised, Any] | None = None

    def give(self, job: Promised, result: Any) -> bool:
        """Offer the result; False when nobody waits any more."""
        with self._lock:
            if not self._open:
                return False
            self._open, self._taken = False, (job, result)
        self._given.set()
        return True

    def give_up(self) -> None:
        """Nothing will come: whoever waits may go."""
        with self._lock:
            self._open = False
        self._given.set()

    def wait(self, seconds: float) -> tuple[Promised, Any] | None:
        """Wait for the result; after `seconds` it is the router loop's to write down."""
        self._given.wait(seconds)
        with self._lock:
            self._open = False
            return self._taken


class Deliverer:
    """Delivers jobs of the registered `kinds`. Lives on the router loop."""

    def __init__(self, rt: Runtime, links: Links) -> None:
        self.kinds: dict[str, Kind] = {}
        self._rt = rt
        self._links = links
        self._under_way: set[int] = set()  # jobs that are being delivered here

    async def express(self, job: Promised, work: Any, handover: Handover) -> None:
        """Deliver a fresh promise; whatever comes of it, nobody waits longer than that."""
        try:
            await self._deliver(job, work, handover)
        except (Problem, SQLAlchemyError) as error:
            log.warning("a delivery was put off", job=job.id, router_id=job.router_id, error=str(error))
        except Exception:
            log.exception("a delivery broke", job=job.id, router_id=job.router_id)
        finally:
            handover.give_up()

    async def due(self, router_id: int, *, bulk: bool) -> None:
        """Deliver what is due of the bulk or of the rest, and what follows from that, until nothing is."""
        kinds = [name for name, kind in self.kinds.items() if kind.bulk is bulk]
        while jobs := await self._due(router_id, kinds):
            fates = await self._side_by_side(jobs)
            if Fate.RESTING in fates:
                await self._rt.transact_async(_put_off, router_id, kinds, self._rt.clock.now())
                return

    async def _due(self, router_id: int, kinds: Sequence[str]) -> list[Promised]:
        found = await self._rt.read_async(promises.due, router_id, kinds, self._rt.clock.now())
        return [job for job in found if job.id not in self._under_way]

    async def _side_by_side(self, jobs: list[Promised]) -> list[Fate]:
        """Deliver jobs together, those about the same thing one after the other."""
        prepared = await self._rt.read_async(self._prepare_all, jobs, self._rt.clock.now())
        chains: dict[Hashable, list[tuple[Promised, Any]]] = {}
        groups: dict[str, list[tuple[Promised, Any]]] = {}
        for job, work in prepared:
            if self.kinds[job.kind].together is not None and _makes_sense(work):
                groups.setdefault(job.kind, []).append((job, work))
            else:
                chains.setdefault(self._about(job, work), []).append((job, work))
        works = [self._in_order(chain) for chain in chains.values()]
        works += [self._in_one_go(self.kinds[name], group) for name, group in groups.items()]
        fates = await asyncio.gather(*works, return_exceptions=True)  # all have ended before these jobs are taken again
        for fate in fates:
            if isinstance(fate, BaseException):
                raise fate
        return [fate for fate in fates if isinstance(fate, Fate)]

    def _prepare_all(self, db: Session, jobs: list[Promised], now: datetime) -> list[tuple[Promised, Any]]:
        """What is to be done for each job as things stand; the error itself where that cannot be said."""
        return [(job, self._prepare(db, job, now)) for job in jobs]

    def _prepare(self, db: Session, job: Promised, now: datetime) -> Any:
        try:
            return self.kinds[job.kind].prepare(db, job, now)
        except (Problem, SQLAlchemyError):  # the database is away: everybody's work waits
            raise
        except Exception as error:
            if is_passing(error):  # the same, said by the database's driver itself
                raise
            log.exception("a job makes no sense", job=job.id, router_id=job.router_id)
            return error

    def _about(self, job: Promised, work: Any) -> Hashable:
        about = self.kinds[job.kind].about
        if not _makes_sense(work):
            return job.id
        return about(work) if about is not None else job.kind

    async def _in_order(self, chain: list[tuple[Promised, Any]]) -> Fate:
        """One chain to its end, or until the router is left alone. After the first, things stand differently."""
        fate = Fate.TAKEN
        for number, (job, work) in enumerate(chain):
            if number:
                work = await self._rt.read_async(self._prepare, job, self._rt.clock.now())
            fate = await self._one(job, work)
            if fate is Fate.RESTING:
                break
        return fate

    async def _in_one_go(self, kind: Kind, group: list[tuple[Promised, Any]]) -> Fate:
        """All that is due of one kind in as few calls as the router needs, written down together. What breaks by an
        error of ours is found by trying one after the other."""
        assert kind.together is not None
        jobs = [job for job, _work in group]
        try:
            results = await kind.together(self._asker(jobs[0].router_id), [work for _job, work in group])
        except GatewayError as error:
            results = [error] * len(jobs)
        except Exception:
            log.exception("deliveries broke together", router_id=jobs[0].router_id, kind=jobs[0].kind)
            return await self._in_order(group)
        fates = list(zip(jobs, results, strict=True))
        done = [(job, result) for job, result in fates if not isinstance(result, GatewayError)]
        for event in await self._rt.transact_async(promises.all_followed, kind, done, self._rt.clock.now()):
            self._rt.publish(event)
        return await self._not_taken([(job, error) for job, error in fates if isinstance(error, GatewayError)])

    async def _not_taken(self, missed: Sequence[tuple[Promised, GatewayError]]) -> Fate:
        """What becomes of jobs that a router did not do in one go."""
        for job, error in missed:
            if isinstance(error, RouterResting):
                return Fate.RESTING
            if not isinstance(error, NotItsTurn):
                await self._missed(job, error)
        return Fate.MISSED if missed else Fate.TAKEN

    async def _one(self, job: Promised, work: Any) -> Fate:
        """Deliver a job, under the id of the request that it follows from."""
        if job.request_id is None:
            return await self._take_up(job, work)
        with structlog.contextvars.bound_contextvars(request_id=job.request_id):
            return await self._take_up(job, work)

    async def _take_up(self, job: Promised, work: Any) -> Fate:
        """One that breaks by an error of ours counts as tried."""
        try:
            if work is None:
                await self._rt.transact_async(promises.mark_done, job.id, self._rt.clock.now())
                return Fate.TAKEN
            if isinstance(work, Exception):
                raise work
            return await self._deliver(job, work)
        except (Problem, SQLAlchemyError):  # the database is away, or the router is gone
            raise
        except Exception as error:
            log.exception("a delivery broke", job=job.id, router_id=job.router_id)
            await self._missed(job, GatewayError(f"{type(error).__name__}: {error}"))
            return Fate.MISSED

    async def _deliver(self, job: Promised, work: Any, handover: Handover | None = None) -> Fate:
        """Have the router do it, else a spare, and write down what came of it. Nobody else begins it meanwhile."""
        self._under_way.add(job.id)
        over = asyncio.Event()
        holding = asyncio.ensure_future(self._hold(job, over))
        try:
            return await self._by_router_or_spare(job, work, handover)
        finally:
            over.set()
            self._under_way.discard(job.id)
            await holding

    async def _hold(self, job: Promised, over: asyncio.Event) -> None:
        """Say again and again that the job is being worked on, until it is `over`."""
        waiting = asyncio.ensure_future(over.wait())
        while True:
            await asyncio.wait([waiting], timeout=promises.HOLD_EVERY_S)
            if over.is_set():
                return
            try:
                await self._rt.transact_async(promises.hold, job.id, self._rt.clock.now())
            except (Problem, SQLAlchemyError) as error:
                log.warning("a job under way could not be noted", job=job.id, error=str(error))

    async def _by_router_or_spare(self, job: Promised, work: Any, handover: Handover | None) -> Fate:
        error = await self._try(job, work, handover)
        if error is None:
            return Fate.TAKEN
        if isinstance(error, NotItsTurn):  # it is due again as it was, behind those that have come before it
            return Fate.MISSED
        resting = isinstance(error, RouterResting)
        if not resting:
            await self._missed(job, error)
        if self.kinds[job.kind].spare_may:
            for spare in await self._rt.read_async(promises.spares, job.router_id, self._rt.clock.now()):
                if await self._try(replace(job, router_id=spare), work, handover, by_spare=True) is None:
                    return Fate.TAKEN
            await self._nobody_took(job, error)
        return Fate.RESTING if resting else Fate.MISSED

    async def _try(
        self, job: Promised, work: Any, handover: Handover | None, *, by_spare: bool = False
    ) -> GatewayError | None:
        """Do a job on its router and write down what followed, here or by the one who waits; else the error."""
        kind = self.kinds[job.kind]
        do = kind.deliver_again if job.outcome_unknown and kind.deliver_again is not None else kind.deliver
        try:
            result = await do(self._asker(job.router_id), work)
        except GatewayError as error:
            return error
        if by_spare and isinstance(result, Handoff | Awaited):
            return Unsupported("the guest is behind another router")
        if handover is not None and handover.give(job, result):
            return None
        events = await self._rt.transact_async(promises.followed, kind, job, result, self._rt.clock.now())
        for event in events:
            self._rt.publish(event)
        return None

    def _asker(self, router_id: int) -> promises.Ask:
        def ask(verb: str, *args: Any, **kwargs: Any) -> Awaitable[Any]:
            return self._links.ask(router_id, verb, *args, **kwargs)

        return ask

    async def _missed(self, job: Promised, error: GatewayError) -> None:
        now = self._rt.clock.now()
        row = await self._rt.transact_async(promises.mark_missed, job.id, error, now, self._rt.rng.random())
        log.warning("a router did not take a job", router_id=job.router_id, job=job.id, kind=job.kind, error=str(error))
        await self._tell(row)

    async def _nobody_took(self, job: Promised, error: GatewayError) -> None:
        """A guest could not be let in anywhere: a partial failure, and a router that does not answer is down."""
        if not isinstance(error, FAILURES):
            return
        row, router = await self._rt.transact_async(_partial_failure, job, error, self._rt.clock.now())
        await self._tell(row)
        if router is not None:
            log.warning("a router is down: no spare took its guest", router_id=job.router_id, job=job.id)
            self._rt.publish(standing.status_event(router))

    async def _tell(self, row: RouterJob | None) -> None:
        if row is not None:
            link = await self._links.link(row.router_id)
            self._rt.publish(JobFailed(row.id, row.router_id, link.site_id, row.kind, row.state, row.last_error or ""))


def _makes_sense(work: Any) -> bool:
    return work is not None and not isinstance(work, Exception)


def _partial_failure(
    db: Session, job: Promised, error: GatewayError, now: datetime
) -> tuple[RouterJob | None, Router | None]:
    row = promises.say_partial_failure(db, job.id, error)
    return row, standing.let_a_guest_down(db, job.router_id, error, now)


def _put_off(db: Session, router_id: int, kinds: Sequence[str], now: datetime) -> None:
    """The router is left alone for now: its work waits as long."""
    router = db.get(Router, router_id)
    if router is not None:
        soonest = now + timedelta(seconds=FIRST_REST_S / 2)
        until = max(soonest, router.breaker_until or soonest)
        why = f"unreachable: {router.error or 'the router does not answer'}"
        promises.put_off(db, router_id, kinds, until, why, now)
