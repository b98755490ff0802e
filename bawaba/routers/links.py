"""One connection to each router, turns on it, a deadline for every question, and a breaker for who does not answer."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from bawaba.core import tracing
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime
from bawaba.routers import drivers, standing, told
from bawaba.routers.breaker import CLOSED, Breaker
from bawaba.routers.driver import (
    Connection,
    GatewayError,
    Reason,
    RouterAuthFailed,
    RouterDriver,
    RouterProtocolError,
    RouterRejected,
    RouterUnreachable,
)
from bawaba.routers.errors import RouterNotFound, UnknownDriver
from bawaba.routers.lane import PRIORITY, READING, Lane
from bawaba.routers.models import THERE, Router
from bawaba.routers.pace import CONNECT_S, Pace

log = structlog.get_logger(__name__)
FACTS_TTL_S = 5.0
FAILURES = (RouterUnreachable, RouterProtocolError, RouterAuthFailed)  # what the breaker counts
RESTS = "the router did not answer several times; it is tried again soon"
IN_MAINTENANCE = "the router is in maintenance: nothing is sent to it"
Told = Callable[[int], None]


class RouterResting(RouterUnreachable):
    """The router failed several times in a row and is left alone for a while, or a person has taken it out of service:
    nothing was sent."""


class NotItsTurn(RouterUnreachable):
    """A call waited behind our own until its time was over: nothing was sent, and that says nothing of the router."""


@lru_cache
def known_drivers() -> tuple[str, ...]:
    """The makes we can talk to: every module in `drivers/`."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(drivers.__path__)))


def driver_class(name: str) -> type[RouterDriver]:
    """The driver of a make. Raises `UnknownDriver`."""
    if name not in known_drivers():
        raise UnknownDriver(known=", ".join(known_drivers()))
    found: type[RouterDriver] = importlib.import_module(f"{drivers.__name__}.{name}").Driver
    return found


@dataclass
class Call:
    """One question to a driver; `sent` once the driver has it. It may take `limit_s` from its turn on, for which it
    waits `turn_s` at most; who names a deadline waits so long for both together."""

    verb: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    probing: bool
    turn_s: float
    limit_s: float | None
    sent: bool = False


@dataclass
class Memory:
    """What is known of a router over all its connections. `row` is what its row says of the breaker."""

    breaker: Breaker = field(default_factory=Breaker)
    pace: Pace = field(default_factory=Pace)
    row: Breaker = field(default_factory=Breaker)
    noting: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class Link:
    """A router as this process holds it."""

    connection: Connection
    driver_name: str
    site_id: int
    failover_group: str | None
    driver: RouterDriver
    read_at: float
    lane: Lane
    memory: Memory
    in_maintenance: bool = False


class Links:
    """Every router that this process talks to. Lives on the router loop.

    `on_back` is told of a router that answers again after its breaker was open.
    """

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._links: dict[int, Link] = {}
        self._memories: dict[int, Memory] = {}
        self._looking = asyncio.Lock()
        self.on_back: Told = lambda router_id: None

    async def link(self, router_id: int) -> Link:
        """The router's link; its facts are read again every 5 s, and a changed router gets a new connection."""
        if (link := self._fresh(router_id)) is not None:
            return link
        async with self._looking:  # two at once would make two connections, and lose one
            return self._fresh(router_id) or await self._look(router_id)

    def _fresh(self, router_id: int) -> Link | None:
        link = self._links.get(router_id)
        return link if link is not None and time.monotonic() - link.read_at < FACTS_TTL_S else None

    def talking(self) -> list[tuple[int, RouterDriver]]:
        """The routers that are talked to at the moment, with their drivers."""
        return [(router_id, link.driver) for router_id, link in self._links.items()]

    async def _look(self, router_id: int) -> Link:
        link = self._links.get(router_id)
        row = await self._rt.read_async(_find, router_id)
        if row is None:
            await self.remove(router_id)
            raise RouterNotFound()
        memory = self._remember(row)
        connection = self.connection_of(row, memory.pace.connect_s)
        if link is None or link.connection != connection or link.driver_name != row.driver:
            await self.forget(router_id)
            driver = _driver(row.driver, connection)
            lane = Lane(driver.at_once)
            now = time.monotonic()
            link = Link(connection, row.driver, row.site_id, row.failover_group, driver, now, lane, memory)
            self._links[router_id] = link
            log.debug("a router is taken up", router_id=router_id, connect_s=memory.pace.connect_s)
        link.failover_group, link.read_at = row.failover_group, time.monotonic()
        link.in_maintenance = row.status == "maintenance"
        return link

    def _remember(self, row: Router) -> Memory:
        """Take over what another process has found out meanwhile: its word is on the row."""
        memory = self._memories.get(row.id)
        if memory is None:
            link_s = row.link_ms / 1000 if row.link_ms is not None else None
            memory = self._memories[row.id] = Memory(pace=Pace(link_s, link_s))
        found = Breaker(row.breaker, row.failures, row.breaker_until)
        if found != memory.row:
            memory.row, memory.breaker = found, replace(found)
        return memory

    def look_again(self, router_id: int) -> None:
        """Something about the router was changed: read its row before the next question."""
        if (link := self._links.get(router_id)) is not None:
            link.read_at = -FACTS_TTL_S

    def connection_of(self, row: Router, connect_s: float = CONNECT_S) -> Connection:
        """What a driver is told, with the password and the secret options opened."""
        password = None
        if row.password_sealed is not None:
            password = self._rt.keyring.decrypt(row.password_sealed, b"router password").decode()
        secrets = told.unseal(self._rt.keyring, row.secrets_sealed)
        options = told.for_driver(driver_class(row.driver), row.options, secrets)
        install = self._rt.keyring.fingerprint[:8]
        way = (row.id, row.address, row.port, row.username, password)
        return Connection(*way, options, install, connect_s, row.boot)

    async def ask(
        self,
        router_id: int,
        verb: str,
        *args: Any,
        deadline_s: float | None = None,
        probing: bool = False,
        by_hand: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Ask a driver's verb. Ends by the deadline (a call that was sent then lets go of its connection, for a late
        answer would answer the wrong question). Raises `GatewayError`s only; `RouterResting` at once while the router
        is left alone, unless this call is `probing` whether it is back, and while it is in maintenance, unless a person
        asks `by_hand`; `NotItsTurn` where it was never sent."""
        link = await self.link(router_id)
        memory = link.memory
        if link.in_maintenance and not by_hand:
            raise RouterResting(IN_MAINTENANCE)
        if memory.breaker.rests(self._rt.clock.now()) and not probing:
            raise RouterResting(RESTS)
        limits_s = (deadline_s, None) if deadline_s else (memory.pace.turn_s(verb), memory.pace.deadline_s(verb))
        call = Call(verb, args, kwargs, probing, *limits_s)
        try:
            answer = await self._on_time(link, call)
        except (RouterResting, NotItsTurn):
            raise
        except FAILURES as error:
            await self._failed(router_id, memory, error)
            raise
        except GatewayError:
            await self._answered(router_id, memory)
            raise
        await self._answered(router_id, memory)
        return answer

    async def _on_time(self, link: Link, call: Call) -> Any:
        """One call in its turn; an answer that makes no sense is asked for once more on a new connection."""
        router_id = link.connection.router_id
        try:
            async with asyncio.timeout(call.turn_s) as until:
                try:
                    return await self._in_turn(link, call, until)
                except RouterProtocolError as error:
                    await self.forget(router_id)
                    if not error.outcome_known:
                        raise
                    return await self._in_turn(await self.link(router_id), call, until)
        except TimeoutError as error:
            text = f"no answer to {call.verb} within {call.limit_s or call.turn_s:g} s"
            if not call.sent:
                raise NotItsTurn(f"{call.verb} did not have its turn within {call.turn_s:g} s") from error
            link.memory.pace.was_late()
            await self.forget(router_id)
            raise RouterUnreachable(text, outcome_known=False) from error

    async def _in_turn(self, link: Link, call: Call, until: asyncio.Timeout) -> Any:
        """Ask when it is our turn, unless the router has begun to fail while we waited for it."""
        waits_since = tracing.clock()
        async with link.lane.turn(PRIORITY.get(call.verb, READING)):
            if not link.memory.breaker.lets_through(self._rt.clock.now(), probing=call.probing):
                raise RouterResting(RESTS)
            if call.limit_s is not None and not call.sent:
                until.reschedule(asyncio.get_running_loop().time() + call.limit_s)
            call.sent, began = True, time.monotonic()
            called_on = _called(link, call)
            if (trace := tracing.current()) is not None:
                trace.add(tracing.ROUTER_TURN, called_on, waits_since, tracing.clock())
            with tracing.timed(tracing.ROUTER_CALL, called_on):
                answer = await getattr(link.driver, call.verb)(*call.args, **call.kwargs)
            link.memory.pace.took(call.verb, time.monotonic() - began)
            return answer

    async def _failed(self, router_id: int, memory: Memory, error: GatewayError) -> None:
        memory.breaker.failed(self._rt.clock.now(), self._rt.rng.random())
        log.info("a router failed", router_id=router_id, failures=memory.breaker.failures, breaker=memory.breaker.state)
        await self._note_breaker(router_id, memory, f"{error.code}: {error}")

    async def _answered(self, router_id: int, memory: Memory) -> None:
        was_closed = memory.breaker.state == CLOSED
        memory.breaker.answered()
        if memory.breaker != memory.row:
            await self._note_breaker(router_id, memory, None)
        if memory.pace.worth_noting and memory.pace.link_s is not None:
            memory.pace.noted_s = memory.pace.link_s
            await self._write(standing.note_link, router_id, memory.pace.link_s)
        if not was_closed:
            self.on_back(router_id)

    async def _note_breaker(self, router_id: int, memory: Memory, error: str | None) -> None:
        """Write the breaker as it is now; of many calls that fail together one writes for all."""
        async with memory.noting:
            if memory.breaker == memory.row:
                return
            before, now_is = memory.row, replace(memory.breaker)
            memory.row = now_is  # our own word is not news when it is read back
            if not await self._write(standing.note_breaker, router_id, now_is, error, self._rt.clock.now()):
                memory.row = before

    async def _write(self, step: Callable[..., None], *args: Any) -> bool:
        """Write down how a router stands; without a database it is known in this process all the same."""
        try:
            await self._rt.transact_async(step, *args)
        except (SQLAlchemyError, Problem) as error:
            log.warning("how a router stands was not noted", error=str(error))
            return False
        return True

    async def forget(self, router_id: int) -> None:
        """Close and drop a connection, if there is one."""
        link = self._links.pop(router_id, None)
        if link is not None:
            await link.driver.close()

    async def remove(self, router_id: int) -> None:
        """A router is gone for good, with all that was known of it."""
        await self.forget(router_id)
        self._memories.pop(router_id, None)

    async def close(self) -> None:
        """Close them all."""
        for router_id in list(self._links):
            await self.forget(router_id)


def _called(link: Link, call: Call) -> str:
    return f"{call.verb} {link.driver_name} {link.connection.router_id}"


def _driver(name: str, connection: Connection) -> RouterDriver:
    """The driver of a router. Raises `RouterRejected` where its options do not fit what the make asks for today."""
    try:
        return driver_class(name)(connection)
    except ValidationError as error:
        named = ", ".join(str(fault["loc"][0]) for fault in error.errors() if fault["loc"])
        raise RouterRejected(f"its options do not fit: {named}", Reason.BAD_VALUE) from None


def _find(db: Session, router_id: int) -> Router | None:
    return db.scalar(select(Router).where(Router.id == router_id, THERE))
