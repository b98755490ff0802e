"""Puts a router on sockets: 8728 and 8729 or any free ports, and takes it off them again when it loses its power."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from bawaba.routers.simulators.routeros import http, rest, tls
from bawaba.routers.simulators.routeros.api import Service
from bawaba.routers.simulators.routeros.portal import Servlet
from bawaba.routers.simulators.routeros.router import Router

Maker = Callable[[], asyncio.Protocol]


@dataclass
class Door:
    """One port that is listened on."""

    port: int
    maker: Maker
    context: ssl.SSLContext | None = None
    server: asyncio.Server | None = None
    fillers: list[socket.socket] = field(default_factory=list)


class Serving:
    """A router on its ports. A port of None is not served, 0 is any free one; the router is told which it became."""

    def __init__(
        self,
        router: Router,
        host: str = "127.0.0.1",
        *,
        api_port: int | None = 0,
        tls_port: int | None = None,
        web_port: int | None = None,
        web_tls_port: int | None = None,
    ) -> None:
        self.router, self.host = router, host
        self._services = [Service(router, "api"), Service(router, "api-ssl")]
        self._servlet = Servlet(router)
        self._browsers: set[asyncio.StreamWriter] = set()
        self._doors: dict[str, Door] = {}
        if api_port is not None:
            self._doors["api_port"] = Door(api_port, self._services[0].connection)
        if web_port is not None:
            self._doors["web_port"] = Door(web_port, partial(self._web, False))
        if tls_port is None and web_tls_port is None:
            return
        context, router.fingerprint = tls.self_signed(router.settings.identity)
        if tls_port is not None:
            self._doors["tls_port"] = Door(tls_port, self._services[1].connection, context)
        if web_tls_port is not None:
            self._doors["web_tls_port"] = Door(web_tls_port, partial(self._web, True), context)

    async def start(self) -> None:
        """Listen."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        for name, door in self._doors.items():
            await self._open(door)
            setattr(self.router, name, door.port)
        if "web_port" in self._doors:
            self.router.web_url = f"http://{self.host}:{self.router.web_port}"
        self.router.on_power.append(self._power)

    async def stop(self) -> None:
        """Stop, and drop every connection."""
        self.router.on_power.remove(self._power)
        self._shut()

    def _web(self, secure: bool) -> asyncio.Protocol:
        """A new connection of a browser or a REST client."""

        async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._browsers.add(writer)
            try:
                await http.converse(self._web_answer, reader, writer, secure)
            finally:
                self._browsers.discard(writer)

        reader = asyncio.StreamReader(loop=self._loop)
        return asyncio.StreamReaderProtocol(reader, converse, loop=self._loop)

    def _web_answer(self, request: http.Request) -> http.Reply:
        if request.path.startswith(f"{rest.PREFIX}/"):
            return rest.answer(self.router, request)
        return self._servlet.answer(request)

    def _power(self, on: bool) -> None:
        """Follow the router's power and its connection faults; done when this returns, from whichever thread."""
        work = self._follow if on or self.router.faults.connection else self._shut
        if threading.get_ident() == self._thread:
            work()
            return
        finished = threading.Event()

        def run() -> None:
            work()
            finished.set()

        self._loop.call_soon_threadsafe(run)
        finished.wait(5)

    def _follow(self) -> None:
        fault = self.router.faults.connection
        self._shut()
        for door in self._doors.values():
            if fault == "black-hole":
                door.fillers = list(black_hole(self.host, door.port))
            elif fault != "refuse" and self.router.powered:
                sock = listener(self.host, door.port)
                self._loop.create_task(self._serve(door, sock))

    def _shut(self) -> None:
        for service in self._services:
            service.cut()
        for browser in self._browsers:
            browser.transport.abort()
        for door in self._doors.values():
            if door.server is not None:
                door.server.close()
                door.server = None
            for filler in door.fillers:
                filler.close()
            door.fillers.clear()

    async def _open(self, door: Door) -> None:
        sock = listener(self.host, door.port)
        door.port = sock.getsockname()[1]
        await self._serve(door, sock)

    async def _serve(self, door: Door, sock: socket.socket) -> None:
        door.server = await self._loop.create_server(door.maker, sock=sock, ssl=door.context)


def listener(host: str, port: int) -> socket.socket:
    """A listening socket; connections wait in its queue until they are served."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=256)


def black_hole(host: str, port: int) -> Iterator[socket.socket]:
    """Sockets that make a port swallow every new connection: its queue is full, so the kernel drops further SYNs."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    full = socket.create_server((host, port), family=family, backlog=0)
    yield full
    for _ in range(3):
        filler = socket.socket(family, socket.SOCK_STREAM)
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filler.connect((host, full.getsockname()[1]))
        yield filler
