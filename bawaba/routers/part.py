"""The routers as a part of the process: who delivers, who polls, and how long a guest's request waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from bawaba.core.errors import Problem
from bawaba.core.events import Event
from bawaba.core.runtime import Runtime
from bawaba.routers import promises
from bawaba.routers.driver import GatewayError, RouterUnreachable
from bawaba.routers.events import JobFailed
from bawaba.routers.links import Links
from bawaba.routers.loop import RouterLoop
from bawaba.routers.models import Router, RouterJob
from bawaba.routers.promises import Kind, Promised

log = structlog.get_logger(__name__)
LEASE_S = 30.0
LEASE_EVERY_S = 10.0
LOOK_EVERY_S = 0.5
TURN_S = 0.1
POLLS_AT_ONCE = 64
Poll = Callable[[Runtime, int], Awaitable[None]]


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


class Routers:
    """One a process. `kinds` is filled by wiring; `on_poll` is what happens to a router that is due to be polled."""

    def __init__(self, rt: Runtime, *, waiting_most: int | None = None) -> None:
        self.rt = rt
        self.loop = RouterLoop()
        self.links = Links(rt)
        self.kinds: dict[str, Kind] = {}
        self.on_poll: Poll | None = None
        self.owner = rt.config.process_name
        self._waiting = threading.BoundedSemaphore(waiting_most or max(1, rt.config.web_threads // 2))
        self._busy: set[int] = set()
        self._new_router = False
        self._wake: asyncio.Event | None = None
        self._poll_gate = asyncio.Semaphore(POLLS_AT_ONCE)

    def start(self) -> None:
        """Begin to hold leases, deliver what is due, and poll."""
        self.loop.keep(self._duty(), "router duty")

    def stop(self) -> None:
        """Let go of every router."""
        try:
            self.loop.submit(self.links.close()).result(5)
        except TimeoutError:
            log.warning("a router connection did not close in time")
        self.loop.stop()

    def ask(self, router_id: int, verb: str, *args: Any, deadline_s: float, **kwargs: Any) -> Any:
        """Ask a router from a thread and wait. Raises `GatewayError`s; `RouterUnreachable` past the deadline."""
        future = self.loop.submit(self.links.ask(router_id, verb, *args, deadline_s=deadline_s, **kwargs))
        try:
            return future.result(deadline_s + 1.0)
        except TimeoutError as error:
            future.cancel()
            raise RouterUnreachable(f"no answer to {verb} within {deadline_s:g} s", outcome_known=False) from error

    def deliver(self, job: Promised, prepared: Any, wait_s: float) -> list[Event] | None:
        """Deliver a fresh promise now and wait for it, `wait_s` at most; what followed from it, or None while it is
        still under way. The caller's thread writes down what the router did; when it has left, the router loop does.

        At most half of the web threads wait at once; beyond that a request waits a moment for its turn to wait, and
        else the delivery goes on by itself.
        """
        handover = Handover()
        self.loop.submit(self._express(job, prepared, handover))
        may_wait = wait_s > 0 and self._waiting.acquire(timeout=TURN_S)
        try:
            taken = handover.wait(wait_s if may_wait else 0.0)
        finally:
            if may_wait:
                self._waiting.release()
        if taken is None:
            return None
        return self._write_down(*taken)

    def _write_down(self, job: Promised, result: Any) -> list[Event]:
        events = self.rt.transact(_followed, self.kinds[job.kind], job, result, self.rt.clock.now())
        for event in events:
            self.rt.publish(event)
        return events

    def wake(self, *, new_router: bool = False) -> None:
        """There is new work: look now, not at the next beat. A new router is taken on at once too."""
        self._new_router = self._new_router or new_router
        self.loop.call(self._wake_soon)

    def _wake_soon(self) -> None:
        if self._wake is not None:
            self._wake.set()

    # --- on the router loop ------------------------------------------------------------------------------------

    async def _express(self, job: Promised, prepared: Any, handover: Handover) -> None:
        """Deliver, else let the spares try; whatever comes of it, nobody waits longer than that."""
        try:
            await self._try(job, prepared, handover) or await self._by_a_spare(job, prepared, handover)
        except (Problem, SQLAlchemyError) as error:
            log.warning("a delivery was put off", job=job.id, router_id=job.router_id, error=str(error))
        except Exception:
            log.exception("a delivery broke", job=job.id, router_id=job.router_id)
        finally:
            handover.give_up()

    async def _spares(self, job: Promised) -> list[int]:
        if not self.kinds[job.kind].spare_may:
            return []
        return await self.rt.read_async(promises.spares, job.router_id)

    async def _try(self, job: Promised, prepared: Any, handover: Handover | None = None) -> bool:
        """Do a job on its router; whatever comes of it is written down, here or by the one who waits."""
        kind = self.kinds[job.kind]
        try:
            result = await kind.deliver(self._asker(job.router_id), prepared)
        except GatewayError as error:
            await self._missed(job, error)
            return False
        if handover is not None and handover.give(job, result):
            return True
        events = await self.rt.transact_async(_followed, kind, job, result, self.rt.clock.now())
        for event in events:
            self.rt.publish(event)
        return True

    def _asker(self, router_id: int) -> promises.Ask:
        def ask(verb: str, *args: Any, **kwargs: Any) -> Awaitable[Any]:
            return self.links.ask(router_id, verb, *args, **kwargs)

        return ask

    async def _missed(self, job: Promised, error: GatewayError) -> None:
        now = self.rt.clock.now()
        row = await self.rt.transact_async(promises.mark_missed, job.id, error, now, self.rt.rng.random())
        log.warning("a router did not take a job", router_id=job.router_id, job=job.id, kind=job.kind, error=str(error))
        if row is not None:
            link = await self.links.link(job.router_id)
            self.rt.publish(JobFailed(job.id, job.router_id, link.site_id, job.kind, row.state, row.last_error or ""))

    async def _duty(self) -> None:
        """The beat: hold leases, deliver what is due, start the polls that are due."""
        self._wake = asyncio.Event()
        leased_at, fresh = -LEASE_EVERY_S, True
        while True:
            now = self.rt.clock.now()
            try:
                if self._new_router or self.rt.clock.monotonic() - leased_at >= LEASE_EVERY_S:
                    self._new_router = False
                    await self.rt.transact_async(_take_leases, self.owner, now, fresh)
                    leased_at, fresh = self.rt.clock.monotonic(), False
                work, polls = await self.rt.read_async(_due_routers, self.owner, now)
            except (SQLAlchemyError, Problem) as error:
                log.warning("the database did not answer the router loop", error=str(error))
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            for router_id in work:
                self._start_once(router_id, self._deliver_due(router_id))
            for router_id in polls:
                self._start_once(-router_id, self._poll(router_id))
            self._wake.clear()
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _start_once(self, key: int, work: Any) -> None:
        """One delivery and one poll a router at a time: a slow router delays nobody but itself."""
        if key in self._busy:
            work.close()
            return
        self._busy.add(key)
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda done: self._over(key, done))

    def _over(self, key: int, task: asyncio.Task[Any]) -> None:
        self._busy.discard(key)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work for a router ended", router_id=abs(key), exc_info=error)

    async def _deliver_due(self, router_id: int) -> None:
        """Deliver what is due, and what follows from that, until nothing is."""
        while jobs := await self.rt.read_async(promises.due, router_id, self.rt.clock.now()):
            if not await self._deliver_all(jobs):
                return

    async def _deliver_all(self, jobs: list[Promised]) -> bool:
        """Deliver jobs in their order; False as soon as the router does not take one: the rest waits."""
        for job in jobs:
            if not await self._deliver_one(job):
                return False
        return True

    async def _deliver_one(self, job: Promised) -> bool:
        """Deliver a job, by a spare if need be. One that breaks by an error of ours counts as tried."""
        try:
            prepared = await self.rt.read_async(self.kinds[job.kind].prepare, job, self.rt.clock.now())
            if prepared is None:
                await self.rt.transact_async(promises.mark_done, job.id, self.rt.clock.now())
                return True
            return await self._try(job, prepared) or await self._by_a_spare(job, prepared)
        except Problem:  # the database is away, or the router is gone
            raise
        except Exception as error:
            log.exception("a delivery broke", job=job.id, router_id=job.router_id)
            await self._missed(job, GatewayError(f"{type(error).__name__}: {error}"))
            return True

    async def _by_a_spare(self, job: Promised, prepared: Any, handover: Handover | None = None) -> bool:
        for spare in await self._spares(job):
            if await self._try(Promised(job.id, spare, job.kind, job.ref), prepared, handover):
                return True
        return False

    async def _poll(self, router_id: int) -> None:
        if self.on_poll is not None:
            async with self._poll_gate:
                await self.on_poll(self.rt, router_id)


def _followed(db: Session, kind: Kind, job: Promised, result: Any, now: datetime) -> list[Any]:
    if not promises.mark_done(db, job.id, now):
        return []
    return list(kind.followed(db, job, result, now))


def _take_leases(db: Session, owner: str, now: datetime, fresh: bool) -> None:
    """Hold what is ours and take what is free. Who has just started looks at its routers at once: much may have
    happened while nobody did."""
    free = or_(Router.lease_owner == owner, Router.lease_owner.is_(None), Router.lease_until < now)
    lease: dict[str, Any] = {"lease_owner": owner, "lease_until": now + timedelta(seconds=LEASE_S)}
    if fresh:
        lease["next_poll_at"] = None
    db.execute(update(Router).where(free).values(**lease))


def _due_routers(db: Session, owner: str, now: datetime) -> tuple[list[int], list[int]]:
    mine = (Router.lease_owner == owner, Router.status != "maintenance")
    work = (
        select(RouterJob.router_id).join(Router).where(*mine, RouterJob.state == "open", RouterJob.next_try_at <= now)
    )
    polls = select(Router.id).where(*mine, or_(Router.next_poll_at.is_(None), Router.next_poll_at <= now))
    return list(db.scalars(work.distinct())), list(db.scalars(polls.limit(200)))


def part(rt: Runtime) -> Routers:
    """The routers of this process."""
    found: Routers = rt.parts["routers"]
    return found
