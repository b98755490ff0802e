"""MikroTik RouterOS 6.49 and 7, over its binary API (RouterOS manual: API, HotSpot).

A session is held by a hotspot user of its own, bound to the device, that the router ends at its limits while we are
away; a card of a router-held site is a user too. Everything of ours has our tag in its comment, all else is left alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from bawaba.core.clock import Clock, SystemClock
from bawaba.routers.driver import (
    Cap,
    Client,
    Connection,
    Grant,
    Handoff,
    Health,
    Info,
    Notice,
    Owned,
    Result,
    RouterDriver,
    RouterSession,
    Stranger,
)
from bawaba.routers.drivers.routeros import admitting, bulk, devices, ending, options, probing, watching
from bawaba.routers.drivers.routeros.box import Box
from bawaba.routers.drivers.routeros.client import Api
from bawaba.routers.drivers.routeros.options import way_to
from bawaba.routers.drivers.routeros.reach import TLS_PORT
from bawaba.routers.options import Needs


class Driver(RouterDriver):
    """Speaks to a MikroTik."""

    vendor = "routeros"
    Options = options.Options
    notes = probing.SENTENCES
    needs = Needs(
        address_hint="192.168.88.1",
        port=TLS_PORT,
        username=True,
        username_help="An account for Bawaba alone; the setup script makes it.",
        password=True,
        password_made=True,
        password_help="Made up where you leave it empty; the setup script gives it to the router.",
    )
    caps = (
        Cap.PRELOAD | Cap.ADMIT | Cap.KICK | Cap.SESSIONS | Cap.COUNTERS | Cap.TIME_LIMIT | Cap.UPTIME_CUMULATIVE
        | Cap.BYTES_TOTAL | Cap.BYTES_SPLIT | Cap.RATE | Cap.LIVE_UPDATE | Cap.BULK | Cap.OWNED_LIST | Cap.EVENTS
        | Cap.HEALTH | Cap.BROWSER_LOGIN | Cap.LOCATE | Cap.DEVICES | Cap.STRANGERS
    )  # fmt: skip

    def __init__(self, connection: Connection, clock: Clock | None = None) -> None:
        super().__init__(connection)
        told = options.Options.model_validate(connection.options)
        way = way_to(connection, told)
        self._box = Box(Api(way, connection.connect_s), connection.install, told, clock or SystemClock())
        self._box.api.on_connect = self._box.connected

    async def probe(self) -> Info:
        return await probing.probe(self._box)

    async def put(self, grants: Sequence[Grant]) -> list[Result]:
        return await bulk.put(self._box, grants) if grants else []

    async def drop(self, keys: Sequence[str]) -> list[Result]:
        return await ending.drop(self._box, keys) if keys else []

    async def admit(self, grant: Grant, client: Client) -> RouterSession | Handoff:
        return await admitting.admit(self._box, grant, client)

    async def kick(self, session: RouterSession | Client) -> RouterSession | None:
        return await ending.kick(self._box, session)

    async def sessions(self) -> list[RouterSession]:
        return await watching.sessions(self._box)

    async def owned(self) -> list[Owned]:
        return await watching.owned(self._box)

    async def strangers(self) -> list[Stranger]:
        return await watching.strangers(self._box)

    async def health(self) -> Health:
        return await watching.health(self._box)

    async def locate(self, *, ip: str | None = None, mac: str | None = None) -> Client | None:
        return await watching.locate(self._box, ip, mac)

    async def set_devices(self, trusted: Sequence[str], blocked: Sequence[str]) -> None:
        await devices.set_devices(self._box, trusted, blocked)

    def events(self) -> AsyncIterator[Notice]:
        return watching.events(self._box)

    async def close(self) -> None:
        await self._box.api.close()
