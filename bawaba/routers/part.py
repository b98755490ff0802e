"""The routers as a part of the process: who delivers, who polls, and how long a guest's request waits for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from bawaba.core import tracing
from bawaba.core.errors import Problem
from bawaba.core.events import Event
from bawaba.core.runtime import Runtime
from bawaba.routers import leases, promises
from bawaba.routers.delivery import Deliverer, Handover
from bawaba.routers.driver import RouterUnreachable
from bawaba.routers.links import Links
from bawaba.routers.loop import RouterLoop
from bawaba.routers.models import THERE, Router, RouterJob
from bawaba.routers.promises import Kind, Promised

log = structlog.get_logger(__name__)
LEASE_EVERY_S = 10.0
LOOK_EVERY_S = 0.5
TURN_S = 0.1
STUCK_S = 0.3  # a router that lets the first who asks wait so long does not answer the others sooner
POLLS_AT_ONCE = 64
Poll = Callable[[Runtime, int], Awaitable[None]]
OnBack = Callable[[Runtime, int], Awaitable[None]]
SendHome = Callable[[Session, int, datetime], Sequence[Event]]


class Delivered(NamedTuple):
    """What a router did, and what followed from that."""

    result: Any
    events: list[Event]


class Routers:
    """One a process. `kinds` is filled by wiring; `on_poll` is what happens to a router that is due to be polled,
    `on_back` what happens to one that answers again after it had been left alone."""

    def __init__(self, rt: Runtime, *, waiting_most: int | None = None) -> None:
        self.rt = rt
        self.loop = RouterLoop()
        self.links = Links(rt)
        self.deliverer = Deliverer(rt, self.links)
        self.links.on_back = self._is_back
        self.on_back: list[OnBack] = []
        self.keepers: list[Any] = []  # `reconcile.Keeper`s, filled by wiring
        self.send_home: SendHome = lambda db, router_id, now: ()  # ends all that goes on at a router, see `removing`
        self.on_poll: Poll | None = None
        self.owner = rt.config.process_name
        self._waiting = threading.BoundedSemaphore(waiting_most or max(1, rt.config.web_threads // 2))
        self._threads_for_one = waiting_most or max(1, rt.config.web_threads // 2)
        self._asking: dict[int, list[float]] = {}  # since when threads wait for each router's answer
        self._asking_lock = threading.Lock()
        self._busy: set[Hashable] = set()
        self._polled: set[int] = set()  # routers whose polling is this process's
        self._new_router = self._on_duty = False
        self._wake: asyncio.Event | None = None
        self._poll_gate = asyncio.Semaphore(POLLS_AT_ONCE)

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kinds of work that routers are promised, by name."""
        return self.deliverer.kinds

    @kinds.setter
    def kinds(self, kinds: dict[str, Kind]) -> None:
        self.deliverer.kinds = kinds

    def start(self) -> None:
        """Begin to hold leases, deliver what is due, and poll."""
        self._on_duty = True
        self.loop.keep(self._duty(), "router duty")

    def stop(self) -> None:
        """Let go of every router: who works beside us may take them at once. A second time it does nothing."""
        if not self.loop.is_running:
            return
        try:
            self.loop.submit(self.links.close()).result(5)
        except TimeoutError:
            log.warning("a router connection did not close in time")
        self.loop.stop()
        if self._on_duty:
            try:
                self.rt.transact(leases.give_back, self.owner)
            except Problem as error:  # they run out by themselves
                log.warning("the routers could not be handed over", error=str(error))

    def ask(self, router_id: int, verb: str, *args: Any, deadline_s: float, **kwargs: Any) -> Any:
        """Ask a router from a thread and wait. Raises `GatewayError`s; `RouterUnreachable` past the deadline, and at
        once where half of the threads wait for this very router already and it does not answer."""
        with self._waits_for(router_id):
            future = self.loop.submit(self.links.ask(router_id, verb, *args, deadline_s=deadline_s, **kwargs))
            try:
                with tracing.timed(tracing.ROUTER_WAIT, verb):
                    return future.result(deadline_s + 1.0)
            except TimeoutError as error:
                future.cancel()
                text = f"no answer to {verb} within {deadline_s:g} s"
                raise RouterUnreachable(text, outcome_known=False) from error

    @contextmanager
    def _waits_for(self, router_id: int) -> Iterator[None]:
        began = time.monotonic()
        with self._asking_lock:
            asking = self._asking.setdefault(router_id, [])
            if len(asking) >= self._threads_for_one and began - min(asking) > STUCK_S:
                raise RouterUnreachable("others wait for its answer already")
            asking.append(began)
        try:
            yield
        finally:
            with self._asking_lock:
                asking.remove(began)

    def deliver(self, job: Promised, prepared: Any, wait_s: float) -> Delivered | None:
        """Deliver a fresh promise now and wait for it, `wait_s` at most; what came of it, or None while it is
        still under way. The caller's thread writes down what the router did; when it has left, the router loop does.

        At most half of the web threads wait at once; beyond that a request waits a moment for its turn to wait, and
        else the delivery goes on by itself.
        """
        handover = Handover()
        self.loop.submit(self.deliverer.express(job, prepared, handover))
        may_wait = wait_s > 0 and self._waiting.acquire(timeout=TURN_S)
        try:
            with tracing.timed(tracing.ROUTER_WAIT, job.kind):
                taken = handover.wait(wait_s if may_wait else 0.0)
        finally:
            if may_wait:
                self._waiting.release()
        if taken is None:
            return None
        return Delivered(taken[1], self._write_down(*taken))

    def _write_down(self, job: Promised, result: Any) -> list[Event]:
        events = self.rt.transact(promises.followed, self.kinds[job.kind], job, result, self.rt.clock.now())
        for event in events:
            self.rt.publish(event)
        return events

    def deliver_all(self, router_id: int, within_s: float) -> None:
        """Deliver what is due to a router now, and wait for that; what it does not take in time stays promised."""
        future = self.loop.submit(self._deliver_due(router_id))
        try:
            future.result(within_s)
        except (TimeoutError, Problem) as error:
            future.cancel()
            log.warning("a router did not take all that was due", router_id=router_id, error=str(error))

    def wake(self, *, new_router: bool = False) -> None:
        """There is new work: look now, not at the next beat. A new router is taken on at once too."""
        self._new_router = self._new_router or new_router
        self.loop.call(self._wake_soon)

    def look_again(self, router_id: int) -> None:
        """What a person has changed about a router, or decided about its work, holds at once."""
        self.loop.call(lambda: self.links.look_again(router_id))
        self.wake()

    def _wake_soon(self) -> None:
        if self._wake is not None:
            self._wake.set()

    # --- on the router loop ------------------------------------------------------------------------------------

    def _is_back(self, router_id: int) -> None:
        """A router that was left alone answers again: its work is due, and whoever listens acts."""
        log.info("a router is back", router_id=router_id)
        self._wake_soon()
        for act in self.on_back:
            self._start_once(("back", act, router_id), act(self.rt, router_id))

    async def _duty(self) -> None:
        """The beat: hold leases, deliver what is due, start the polls that are due."""
        self._wake = asyncio.Event()
        leased_at, fresh = -LEASE_EVERY_S, True
        while True:
            now = self.rt.clock.now()
            try:
                if self._new_router or self.rt.clock.monotonic() - leased_at >= LEASE_EVERY_S:
                    self._new_router = False
                    self._polled &= await self.rt.transact_async(leases.take, self.owner, now, fresh)
                    leased_at, fresh = self.rt.clock.monotonic(), False
                work, polls = await self.rt.read_async(_due_routers, self.owner, now)
            except Exception as error:  # noqa: BLE001 whatever it is, the next beat comes
                log.warning("the database did not answer the router loop", error=str(error))
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            for router_id, bulk in {(router_id, self._is_bulk(kind)) for router_id, kind in work}:
                self._start_once(("deliver", router_id, bulk), self.deliverer.due(router_id, bulk=bulk))
            self._polled.update(polls)
            for router_id in polls:
                self._start_once(("poll", router_id), self._poll(router_id))
            self._wake.clear()
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def poll_soon(self, router_id: int) -> None:
        """Something happened at a router: look at it now, unless that is being done. On the router loop."""
        if router_id in self._polled:
            self._start_once(("poll", router_id), self._poll(router_id))

    def _is_bulk(self, kind: str) -> bool:
        return kind in self.kinds and self.kinds[kind].bulk

    def _start_once(self, key: tuple[Hashable, ...], work: Any) -> None:
        """Of each sort one at a time for a router: a slow router delays nobody but itself."""
        if key in self._busy:
            work.close()
            return
        self._busy.add(key)
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda done: self._over(key, done))

    def _over(self, key: tuple[Hashable, ...], task: asyncio.Task[Any]) -> None:
        self._busy.discard(key)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Problem):  # the database is away, or the router gone: the next beat
            log.warning("work for a router was put off", work=str(key), error=str(error))
        elif error is not None:
            log.error("work for a router ended", work=str(key), exc_info=error)

    async def _deliver_due(self, router_id: int) -> None:
        """All that is due to a router: what guests wait for, and the bulk beside it."""
        await asyncio.gather(*(self.deliverer.due(router_id, bulk=bulk) for bulk in (False, True)))

    async def _poll(self, router_id: int) -> None:
        if self.on_poll is not None:
            async with self._poll_gate:
                await self.on_poll(self.rt, router_id)


def _due_routers(db: Session, owner: str, now: datetime) -> tuple[list[tuple[int, str]], list[int]]:
    """Routers with kinds of work that are due, and those to look at: one that was left alone long enough, too."""
    mine = (Router.lease_owner == owner, Router.status != "maintenance", THERE)
    work = (
        select(RouterJob.router_id, RouterJob.kind)
        .join(Router)
        .where(*mine, RouterJob.state == "open", RouterJob.next_try_at <= now)
    )
    is_due = or_(Router.next_poll_at.is_(None), Router.next_poll_at <= now, Router.breaker_until <= now)
    polls = select(Router.id).where(*mine, is_due)
    return [(row.router_id, row.kind) for row in db.execute(work.distinct())], list(db.scalars(polls.limit(200)))


def part(rt: Runtime) -> Routers:
    """The routers of this process."""
    found: Routers = rt.parts["routers"]
    return found
