"""The far end of the driver's tests: a simulated controller with two phones in its WiFi, and the driver to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from bawaba.core.clock import ManualClock
from bawaba.routers.driver import Client, Connection
from bawaba.routers.drivers.unifi import Driver
from bawaba.routers.simulators.unifi.controller import Controller
from bawaba.routers.simulators.unifi.serving import Controllers
from bawaba.routers.simulators.unifi.site import Phone
from tests.cast import PHONE, TABLET

T = TypeVar("T")
ADDRESSES = {PHONE: "10.20.0.21", TABLET: "10.20.0.22"}
PHONE_CLIENT, TABLET_CLIENT = (Client(mac, ip) for mac, ip in ADDRESSES.items())
RESTART_S = 120


class FarEnd:
    """A controller as the contract wants it."""

    def __init__(self, controllers: Controllers, *, options: dict[str, Any] | None = None, **made: Any) -> None:
        self.controllers, self.clock = controllers, ManualClock()
        self.controller: Controller = controllers.start(clock=self.clock, **made)
        self.options = {"certificate": self.controller.fingerprint} | (options or {})
        self.phones: dict[str, Phone] = {mac: self.controller.join(mac, ip) for mac, ip in ADDRESSES.items()}

    def connection(self, install: str = "install8", **changed: Any) -> Connection:
        """What a driver is told."""
        settings = self.controller.settings
        login = (settings.username, settings.password) if "api_key" not in self.options else (None, None)
        facts: dict[str, Any] = {"username": login[0], "password": login[1], "options": self.options}
        facts |= changed
        return Connection(1, "127.0.0.1", self.controller.port, install=install, **facts)

    def driver(self, install: str = "install8", **changed: Any) -> Driver:
        """A new driver to the controller."""
        return Driver(self.connection(install, **changed), self.clock)

    def move(self, mac: str, up: int, down: int) -> None:
        """So many bytes by that device, as far as they get through."""
        self.phones[mac].move(up, down)

    def reboot(self) -> None:
        """Power off and on; the phones are still there."""
        self.clock.advance(RESTART_S)
        self.controller.reboot()
        for phone in self.phones.values():
            phone.come_back()

    def vanish(self) -> None:
        """Nobody is there any more."""
        self.controllers.vanish(self.controller)

    def run(self, work: Callable[[Driver], Awaitable[T]], install: str = "install8", **changed: Any) -> T:
        """Work with a new driver on a loop of its own."""

        async def all_of_it() -> T:
            driver = self.driver(install, **changed)
            try:
                return await work(driver)
            finally:
                await driver.close()

        return asyncio.run(all_of_it())
