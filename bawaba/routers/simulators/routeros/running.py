"""Any number of routers on one event loop in a thread of its own: how tests, benchmarks and the command run them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from bawaba.core.clock import Clock
from bawaba.routers.simulators.routeros.router import Router
from bawaba.routers.simulators.routeros.serving import Serving
from bawaba.routers.simulators.routeros.settings import Behaviour, Settings

T = TypeVar("T")


class Simulators:
    """`with Simulators() as simulators: router = simulators.start(version="7.20")`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="routeros-simulators", daemon=True)
        self._servings: list[Serving] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.run(self._stop_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def start(
        self,
        *,
        clock: Clock | None = None,
        behaviour: Behaviour | None = None,
        host: str = "127.0.0.1",
        ports: dict[str, int | None] | None = None,
        **settings: Any,
    ) -> Router:
        """Make a router of these `Settings` and serve it; `ports` may name those of `Serving`."""
        router = Router(Settings(**settings), clock=clock, behaviour=behaviour)
        serving = Serving(router, host, **(ports or {}))
        self.run(serving.start())
        self._servings.append(serving)
        return router

    def stop(self, router: Router) -> None:
        """Take a router off its ports."""
        for serving in [serving for serving in self._servings if serving.router is router]:
            self._servings.remove(serving)
            self.run(serving.stop())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the simulators' loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _stop_all(self) -> None:
        for serving in self._servings:
            await serving.stop()
        await asyncio.sleep(0.01)  # long enough for connections to notice
