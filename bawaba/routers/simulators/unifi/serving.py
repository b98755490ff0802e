"""A controller on its port, over TLS with a certificate that nobody signed."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from bawaba.core.clock import Clock
from bawaba.routers.simulators.routeros import http, tls
from bawaba.routers.simulators.routeros.serving import black_hole, listener
from bawaba.routers.simulators.unifi.controller import Controller
from bawaba.routers.simulators.unifi.settings import Behaviour, Settings

T = TypeVar("T")


class Serving:
    """Serves one controller. Port 0 is any free one."""

    def __init__(self, controller: Controller, host: str = "127.0.0.1", port: int = 0) -> None:
        self.controller, self.host, self._port = controller, host, port
        self._context, controller.fingerprint = tls.self_signed(controller.settings.name)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._fillers: list[socket.socket] = []

    async def start(self) -> None:
        """Listen."""
        sock = listener(self.host, self._port)
        self._port = self.controller.port = sock.getsockname()[1]
        self._server = await asyncio.start_server(self._talk, sock=sock, ssl=self._context)

    async def stop(self) -> None:
        """Stop, and drop every connection."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    async def vanish(self) -> None:
        """From now on whoever connects hears nothing."""
        await self.stop()
        self._fillers = list(black_hole(self.host, self._port))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await http.converse(self.controller.answer, reader, writer, True)
        finally:
            self._writers.discard(writer)


class Controllers:
    """Controllers on one event loop in a thread of its own, for tests."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="unifi-simulators", daemon=True)
        self._servings: list[Serving] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for serving in self._servings:
            self.run(serving.stop())
        self.run(asyncio.sleep(0.02))  # long enough for connections to notice
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def start(self, *, clock: Clock | None = None, behaviour: Behaviour | None = None, **settings: Any) -> Controller:
        """Make a controller of these `Settings` and serve it."""
        controller = Controller(Settings(**settings), clock=clock, behaviour=behaviour)
        serving = Serving(controller)
        self.run(serving.start())
        self._servings.append(serving)
        return controller

    def vanish(self, controller: Controller) -> None:
        """Nobody answers at its port any more."""
        for serving in self._servings:
            if serving.controller is controller:
                self.run(serving.vanish())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the controllers' loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)
