"""The far end of the driver's tests: a simulated router with two phones in its WiFi, and the driver to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from bawaba.core.clock import Clock
from bawaba.routers.driver import Client, Connection
from bawaba.routers.drivers.routeros import Driver
from bawaba.routers.simulators.routeros.guests import Phone
from bawaba.routers.simulators.routeros.router import Router
from tests.cast import PHONE, TABLET

T = TypeVar("T")
ADDRESSES = {PHONE: "10.5.50.11", TABLET: "10.5.50.12"}
PHONE_CLIENT, TABLET_CLIENT = (Client(mac, ip) for mac, ip in ADDRESSES.items())


class FarEnd:
    """A router as the contract wants it."""

    def __init__(self, router: Router, clock: Clock | None = None, **options: Any) -> None:
        self.router = router
        self.clock = clock
        self.options = {"tls": False} | options
        self.phones: dict[str, Phone] = {mac: router.join(mac, ip) for mac, ip in ADDRESSES.items()}

    def driver(self, install: str = "install8") -> Driver:
        """A new driver to the router."""
        settings, tls = self.router.settings, self.options["tls"]
        port = self.router.tls_port if tls else self.router.api_port
        connection = Connection(
            1, "127.0.0.1", port, settings.username, settings.password, self.options, install
        )  # fmt: skip
        return Driver(connection, self.clock)

    def move(self, mac: str, up: int, down: int) -> None:
        """So many bytes by that device, as far as they get through."""
        self.phones[mac].move(up, down)

    def reboot(self) -> None:
        """Power off and on; the phones are still there."""
        self.router.reboot()
        for phone in self.phones.values():
            phone.come_back()

    def vanish(self) -> None:
        """Nobody is there any more."""
        self.router.fail_connections("black-hole")

    def run(self, work: Callable[[Driver], Awaitable[T]], install: str = "install8") -> T:
        """Work with a new driver on a loop of its own."""

        async def all_of_it() -> T:
            driver = self.driver(install)
            try:
                return await work(driver)
            finally:
                await driver.close()

        return asyncio.run(all_of_it())
