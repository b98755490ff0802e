"""Hearing what routers tell by themselves: a guest who comes or goes is seen at once, not at the next poll."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from bawaba.core.runtime import Runtime
from bawaba.routers.driver import Cap, GatewayError, RouterDriver
from bawaba.routers.part import part

log = structlog.get_logger(__name__)
LOOK_EVERY_S = 5.0  # for routers that are not listened to yet
GATHER_S = 1.0  # what happens together is one look
REST_S = 5.0  # between two looks that notices asked for


class Listening:
    """One a process. Lives on the router loop."""

    def __init__(self, rt: Runtime, look_every_s: float = LOOK_EVERY_S) -> None:
        self._rt = rt
        self._look_every_s = look_every_s
        self._ears: dict[int, tuple[RouterDriver, asyncio.Task[Any]]] = {}

    async def keep_listening(self) -> None:
        """Listen to every router that this process polls and that tells what happens, for the life of the process."""
        while True:
            for router_id, driver in part(self._rt).links.talking():
                if Cap.EVENTS in driver.caps and type(driver).events is not RouterDriver.events:  # else it calls us
                    self._listen_to(router_id, driver)
            await asyncio.sleep(self._look_every_s)

    def _listen_to(self, router_id: int, driver: RouterDriver) -> None:
        """One ear a router; a new connection gets a new one."""
        heard, task = self._ears.get(router_id, (None, None))
        if heard is driver and task is not None and not task.done():
            return
        if task is not None:
            task.cancel()
        self._ears[router_id] = (driver, asyncio.create_task(self._hear(router_id, driver)))

    async def _hear(self, router_id: int, driver: RouterDriver) -> None:
        try:
            async for _notice in driver.events():
                await asyncio.sleep(GATHER_S)
                part(self._rt).poll_soon(router_id)
                await asyncio.sleep(REST_S)
        except GatewayError as error:
            log.info("a router is not listened to for now", router_id=router_id, error=str(error))
