"""A gateway that fetches its guests keeps the promises of every router, as far as its flags go: few of them."""

from __future__ import annotations

import pytest

from bawaba.routers.driver import Awaited, Client, Connection, RouterRejected
from bawaba.routers.drivers.authmon import SENTENCES, Driver
from tests.authmon.far import FASKEY
from tests.cast import PHONE, TABLET
from tests.routers.contract import DriverContract, grant


class FarEnd:
    """Nobody is there: nothing is ever sent to such a gateway."""

    def driver(self, install: str = "install8") -> Driver:
        """A new driver."""
        return Driver(Connection(1, "", None, None, FASKEY, {}, install))

    def online(self) -> dict[str, object]:
        """Nobody that a driver let in."""
        return {}

    def vanish(self) -> None:
        """It is not there anyway."""


class TestAuthmon(DriverContract):
    devices = tuple(Client(mac, site_ref={"hid": "0" * 64}) for mac in (PHONE, TABLET))  # type: ignore[assignment]

    @pytest.fixture
    def far_end(self) -> FarEnd:
        return FarEnd()

    def test_a_device_that_is_admitted_is_online_under_our_key(self, far_end):
        """It is when the gateway has come for it: what lies ready is promised, and nothing more."""
        assert isinstance(self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0])), Awaited)

    def test_who_did_not_come_by_its_redirect_cannot_be_let_in(self, far_end):
        with pytest.raises(RouterRejected):
            self.run(far_end, lambda driver: driver.admit(grant(1), Client(PHONE)))

    def test_what_it_cannot_do_is_told_to_its_owner(self, far_end):
        info = self.run(far_end, lambda driver: driver.probe())
        assert [str(note) for note in info.notes] == list(SENTENCES) and "not run on a real 10.x" in SENTENCES[0]
