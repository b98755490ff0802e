"""UniFi Network controllers: a UniFi OS console or a controller of its own (UniFi's API reference; the classic API as
its public clients speak it).

Guests are authorised by their MAC. Whose a session is lies in the client's note at the controller, behind a mark.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from bawaba.core.clock import Clock, SystemClock
from bawaba.routers.driver import (
    Cap,
    Client,
    Connection,
    Grant,
    Health,
    Info,
    Owned,
    Result,
    RouterDriver,
    RouterSession,
)
from bawaba.routers.drivers.unifi import access, client, devices, official, options, probing, watching
from bawaba.routers.drivers.unifi.box import Box, Memory
from bawaba.routers.drivers.unifi.refusals import LoggedOut, NoSuchApi
from bawaba.routers.options import Needs

T = TypeVar("T")
_memories: dict[tuple[str, int, str, str], Memory] = {}  # what was seen at a site outlives a connection to it


class Driver(RouterDriver):
    """Speaks to a UniFi Network controller."""

    vendor = "unifi"
    Options = options.Options
    notes = probing.SENTENCES + official.SENTENCES
    needs = Needs(
        address_hint="192.168.1.1",
        address_help="The console's or controller's name or IP address.",
        port=options.DEFAULT_PORT,
        username=True,
        username_help="A local admin without two-factor sign-in, for Bawaba alone. Not needed with an API key.",
        password=True,
        password_help="Kept encrypted, and never shown again. Not needed with an API key.",
        login_optional=True,
    )
    caps = (
        Cap.ADMIT | Cap.KICK | Cap.SESSIONS | Cap.COUNTERS | Cap.TIME_LIMIT | Cap.BYTES_TOTAL | Cap.RATE
        | Cap.LIVE_UPDATE | Cap.OWNED_LIST | Cap.HEALTH | Cap.LOCATE | Cap.DEVICES
    )  # fmt: skip

    def __init__(self, connection: Connection, clock: Clock | None = None) -> None:
        super().__init__(connection)
        told = options.Options.model_validate(connection.options)
        way = options.way_to(connection, told)
        memory = _memories.setdefault((way.host, way.port, way.site, connection.install), Memory(boot=connection.boot))
        self._api = told.api
        self._box = Box(client.Client(way), connection.install, clock or SystemClock(), memory)

    async def probe(self) -> Info:
        return await self._by(probing.probe, official.probe)

    async def drop(self, keys: Sequence[str]) -> list[Result]:
        return await self._by(access.drop, official.drop, keys) if keys else []

    async def admit(self, grant: Grant, client: Client) -> RouterSession:
        return await self._by(access.admit, official.admit, grant, client)

    async def kick(self, session: RouterSession | Client) -> RouterSession | None:
        return await self._by(access.kick, official.kick, session)

    async def sessions(self) -> list[RouterSession]:
        return await self._by(watching.sessions, official.sessions)

    async def owned(self) -> list[Owned]:
        return await self._by(watching.owned, official.owned)

    async def health(self) -> Health:
        return await self._by(watching.health, official.health)

    async def locate(self, *, ip: str | None = None, mac: str | None = None) -> Client | None:
        return await self._by(watching.locate, official.locate, ip, mac)

    async def set_devices(self, trusted: Sequence[str], blocked: Sequence[str]) -> None:
        await self._by(devices.set_devices, official.set_devices, trusted, blocked)

    async def close(self) -> None:
        await self._box.api.close()

    async def _by(
        self, classic: Callable[..., Awaitable[T]], official: Callable[..., Awaitable[T]], *words: object
    ) -> T:
        """Do it by the API that is asked for; by the classic one where both will do, for it counts and keeps marks."""
        memory = self._box.memory
        if self._api == "official" or (self._api == "auto" and memory.official_only):
            return await official(self._box, *words)
        try:
            return await classic(self._box, *words)
        except (NoSuchApi, LoggedOut):
            if self._api == "classic" or not self._box.api.way.api_key:
                raise
        answer = await official(self._box, *words)
        memory.official_only = True
        return answer
