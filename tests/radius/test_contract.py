"""A NAS keeps the promises of every router, as far as its flags go: made with pyrad, over real datagrams."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bawaba.routers.driver import Client, Connection, RouterSession
from bawaba.routers.drivers import radius
from bawaba.routers.drivers.radius import exchange
from tests.cast import PHONE, TABLET
from tests.radius.nas import SECRET, Nas, nas
from tests.routers.contract import DriverContract


def guest(mac: str, ip: str, acct: str) -> Client:
    """A device that has signed in at the NAS."""
    return Client(mac, ip, site_ref={"User-Name": "1234-5678-9012", "Acct-Session-Id": acct})


class FarEnd:
    """A NAS with two guests: the first is session 1 of ours, the second session 2."""

    def __init__(self, box: Nas, guests: tuple[Client, ...]) -> None:
        self.box, self.guests = box, guests
        self.box.sessions |= {guest.site_ref["Acct-Session-Id"] for guest in guests}

    def driver(self, install: str = "install8") -> radius.Driver:
        """A new driver to it."""
        options = {"nas": "mikrotik"}
        return radius.Driver(Connection(1, "127.0.0.1", self.box.coaport, None, SECRET, options, install))

    def online(self) -> dict[str, RouterSession]:
        """Who is there with limits of ours: those whom a CoA told of any."""
        told = {said["Acct-Session-Id"] for said in self.box.asked if "Session-Timeout" in said}
        accts = [guest.site_ref["Acct-Session-Id"] for guest in self.guests]
        return {
            f"session:{number}": RouterSession(acct, f"session:{number}", None, guest, None, 0, 0, 0)
            for number, (acct, guest) in enumerate(zip(accts, self.guests, strict=True), start=1)
            if acct in self.box.sessions & told
        }

    def vanish(self) -> None:
        """It answers nothing any more."""
        self.box.silent = 10**6


class TestRadius(DriverContract):
    devices = (guest(PHONE, "10.0.0.9", "81"), guest(TABLET, "10.0.0.10", "82"))

    @pytest.fixture
    def far_end(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[FarEnd]:
        monkeypatch.setattr(exchange, "TRY_S", 0.2)
        with nas() as box:
            yield FarEnd(box, self.devices)
