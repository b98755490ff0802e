"""The router loop: one asyncio loop in a thread of its own, which owns every connection to every router."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog
import uvloop

log = structlog.get_logger(__name__)
T = TypeVar("T")
STOP_S = 5.0


class RouterLoop:
    """Runs coroutines for threads that ask."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="router-loop", daemon=True)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    @property
    def is_running(self) -> bool:
        """Whether anything that is submitted will be run."""
        return self._thread.is_alive()

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start work on the loop; the future is the caller's to wait on, with a deadline of theirs."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Callable[[], Any]) -> None:
        """Run something quick on the loop, soon."""
        self._loop.call_soon_threadsafe(function)

    def is_alive(self, within_s: float = 1.0) -> bool:
        """Whether it comes round in time."""
        if not self._thread.is_alive():
            return False
        came_round = threading.Event()
        self._loop.call_soon_threadsafe(came_round.set)
        return came_round.wait(within_s)

    def keep(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Run something for the life of the process; if it ends by an error, that is logged."""
        self._loop.call_soon_threadsafe(self._keep, work, name)

    def _keep(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work on the router loop ended", task=task.get_name(), exc_info=error)

    def stop(self) -> None:
        """Cancel what runs and end the thread."""
        if not self.is_running:
            return
        try:
            self.submit(self._cancel_all()).result(STOP_S)
        except TimeoutError:
            log.warning("the router loop did not stop in time")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)

    async def _cancel_all(self) -> None:
        mine = asyncio.current_task()
        rest = [task for task in asyncio.all_tasks() if task is not mine]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
