"""One connection and one lock for each router, and a deadline for every question."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.runtime import Runtime
from bawaba.routers import drivers, told
from bawaba.routers.driver import Connection, Reason, RouterDriver, RouterRejected, RouterUnreachable
from bawaba.routers.errors import RouterNotFound, UnknownDriver
from bawaba.routers.models import Router

FACTS_TTL_S = 5.0
DEADLINES_S = {"admit": 6.0, "kick": 5.0, "sessions": 20.0, "owned": 20.0, "put": 60.0, "drop": 60.0}
CALL_DEADLINE_S = 5.0


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
class Link:
    """A router as this process holds it."""

    connection: Connection
    driver_name: str
    site_id: int
    failover_group: str | None
    driver: RouterDriver
    read_at: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Links:
    """Every router that this process talks to. Lives on the router loop."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._links: dict[int, Link] = {}
        self._looking = asyncio.Lock()

    async def link(self, router_id: int) -> Link:
        """The router's link; its facts are read again every 5 s, and a changed router gets a new connection."""
        if (link := self._fresh(router_id)) is not None:
            return link
        async with self._looking:  # two at once would make two connections, and lose one
            return self._fresh(router_id) or await self._look(router_id)

    def _fresh(self, router_id: int) -> Link | None:
        link = self._links.get(router_id)
        return link if link is not None and time.monotonic() - link.read_at < FACTS_TTL_S else None

    async def _look(self, router_id: int) -> Link:
        link = self._links.get(router_id)
        row = await self._rt.read_async(_find, router_id)
        if row is None:
            await self.forget(router_id)
            raise RouterNotFound()
        connection = self.connection_of(row)
        if link is None or link.connection != connection or link.driver_name != row.driver:
            await self.forget(router_id)
            driver = _driver(row.driver, connection)
            link = Link(connection, row.driver, row.site_id, row.failover_group, driver, time.monotonic())
            self._links[router_id] = link
        link.failover_group, link.read_at = row.failover_group, time.monotonic()
        return link

    def connection_of(self, row: Router) -> Connection:
        """What a driver is told, with the password and the secret options opened."""
        password = None
        if row.password_sealed is not None:
            password = self._rt.keyring.decrypt(row.password_sealed, b"router password").decode()
        secrets = told.unseal(self._rt.keyring, row.secrets_sealed)
        options = told.for_driver(driver_class(row.driver), row.options, secrets)
        install = self._rt.keyring.fingerprint[:8]
        return Connection(row.id, row.address, row.port, row.username, password, options, install)

    async def ask(self, router_id: int, verb: str, *args: Any, deadline_s: float | None = None, **kwargs: Any) -> Any:
        """Ask a driver's verb. Ends by the deadline (then the connection is let go, for a late answer would answer
        the wrong question). Raises `GatewayError`s only."""
        link = await self.link(router_id)
        limit_s = deadline_s or DEADLINES_S.get(verb, CALL_DEADLINE_S)
        try:
            async with asyncio.timeout(limit_s):
                return await getattr(link.driver, verb)(*args, **kwargs)
        except TimeoutError as error:
            await self.forget(router_id)
            text = f"no answer to {verb} within {limit_s:g} s"
            raise RouterUnreachable(text, outcome_known=False) from error

    async def forget(self, router_id: int) -> None:
        """Close and drop a connection, if there is one."""
        link = self._links.pop(router_id, None)
        if link is not None:
            await link.driver.close()

    async def close(self) -> None:
        """Close them all."""
        for router_id in list(self._links):
            await self.forget(router_id)


def _driver(name: str, connection: Connection) -> RouterDriver:
    """The driver of a router. Raises `RouterRejected` where its options do not fit what the make asks for today."""
    try:
        return driver_class(name)(connection)
    except ValidationError as error:
        named = ", ".join(str(fault["loc"][0]) for fault in error.errors() if fault["loc"])
        raise RouterRejected(f"its options do not fit: {named}", Reason.BAD_VALUE) from None


def _find(db: Session, router_id: int) -> Router | None:
    return db.scalar(select(Router).where(Router.id == router_id))
