"""A MikroTik keeps the promises of every router: RouterOS 6.49 and 7, whichever way it counts."""

from __future__ import annotations

from typing import Any

import pytest

from bawaba.routers.simulators.routeros.settings import Behaviour
from tests.routers.contract import DriverContract
from tests.routers.routeros.far import PHONE_CLIENT, TABLET_CLIENT, FarEnd


class OverTheApi(DriverContract):
    devices = (PHONE_CLIENT, TABLET_CLIENT)
    settings: dict[str, Any] = {}  # noqa: RUF012
    behaviour: dict[str, Any] = {}  # noqa: RUF012

    @pytest.fixture
    def far_end(self, make_routeros):
        router = make_routeros(password="secret", behaviour=Behaviour(**self.behaviour), **self.settings)
        return FarEnd(router)


class TestVersion7(OverTheApi):
    settings = {"version": "7.24.1"}  # noqa: RUF012


class TestVersion6(OverTheApi):
    settings = {"version": "6.49.18"}  # noqa: RUF012


class TestARouterThatCountsLive(OverTheApi):
    """The other answers to what no manual says."""

    settings = {"version": "7.16"}  # noqa: RUF012
    behaviour = {  # noqa: RUF012
        "counters_live": True, "active_ids": "growing", "login_again": "refuse", "no_such_item": "no such item (4)",
        "host_remove_ends_session": False, "split_bytes": 7,
    }  # fmt: skip
