"""A UniFi controller keeps the promises of every router: a console with UniFi OS or a controller of its own, by account
or by API key."""

from __future__ import annotations

from typing import Any

import pytest

from bawaba.routers.simulators.unifi.settings import MIB, Behaviour
from tests.routers.contract import DriverContract
from tests.routers.unifi.far import PHONE_CLIENT, TABLET_CLIENT, FarEnd

KEY = "a-key-of-our-own"


class OfUnifi(DriverContract):
    devices = (PHONE_CLIENT, TABLET_CLIENT)
    unit = MIB
    keeps_rights = True
    made: dict[str, Any] = {}  # noqa: RUF012
    options: dict[str, Any] = {}  # noqa: RUF012

    @pytest.fixture
    def far_end(self, controllers):
        return FarEnd(controllers, options=self.options, **self.made)


class TestUnifiOs(OfUnifi):
    """By account: a cookie, and a token with each write."""


class TestByApiKey(OfUnifi):
    made = {"api_key": KEY}  # noqa: RUF012
    options = {"api_key": KEY}  # noqa: RUF012


class TestWhereNotesAreShownInOnePlaceOnly(OfUnifi):
    """No manual says where a client's note is shown."""

    @pytest.fixture(params=[{"list_shows": "blocked"}, {"stations_show_notes": False}], ids=["stations", "list"])
    def far_end(self, controllers, request):
        quirks = Behaviour(**request.param)
        return FarEnd(controllers, api_key=KEY, options={"api_key": KEY}, behaviour=quirks)


class TestAControllerOfItsOwn(OfUnifi):
    @pytest.fixture
    def far_end(self, controllers):
        behaviour = Behaviour(errors_as_200=False, opens_after_s=0.0)
        return FarEnd(controllers, unifi_os=False, behaviour=behaviour, version="7.4.162")
