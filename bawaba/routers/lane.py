"""The way to one router: so many calls at a time, and who has a guest waiting goes first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

GUEST, READING, BULK = 0, 1, 2
PRIORITY = {"admit": GUEST, "kick": GUEST, "locate": GUEST, "put": BULK, "drop": BULK, "set_devices": BULK}


class Lane:
    """A semaphore that lets the most urgent in first; equals in the order they came."""

    def __init__(self, width: int) -> None:
        self._free = width
        self._numbers = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, priority: int) -> AsyncIterator[None]:
        """Wait for a turn and hold it until the block ends."""
        await self._enter(priority)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, priority: int) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # it had just been given to us
            raise

    def _leave(self) -> None:
        while self._waiting:
            _priority, _number, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
