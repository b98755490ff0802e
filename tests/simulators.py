"""Simulated routers for tests: `routeros` is one, `make_routeros` makes them as a test wants them.

    def test_x(make_routeros):
        router = make_routeros(version="6.49.18", password="pw")      # any of simulators.routeros.settings.Settings
        router.api_port, .tls_port, .web_port (pages, REST), .web_tls_port, .web_url, .fingerprint
        router.add("/ip/hotspot/user", name="0042", limit_uptime="1h") # as if on the console
        phone = router.join()            # a phone: .mac .ip .online .user .move(up, down) .flow() .leave() .come_back()
        router.find("/ip/hotspot/active", user="0042")                # what print would show
        router.fail("cut-after", "/ip/hotspot/user/add")              # see simulators.routeros.faults
        router.reboot(); router.power_off(); router.fail_connections("black-hole"); router.heal()
        router.behaviour.delay_s = 0.02                               # see simulators.routeros.settings.Behaviour

They run in a thread of their own, so tests may be sync or async; with `clock=ManualClock()` time is moved by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bawaba.routers.drivers import unifi as unifi_driver
from bawaba.routers.simulators.routeros.router import Router
from bawaba.routers.simulators.routeros.running import Simulators
from bawaba.routers.simulators.unifi.controller import Controller
from bawaba.routers.simulators.unifi.serving import Controllers

MakeRouter = Callable[..., Router]
FREE_PORTS: dict[str, int | None] = {"api_port": 0, "tls_port": 0, "web_port": 0, "web_tls_port": 0}


@pytest.fixture(scope="session")
def simulators() -> Iterator[Simulators]:
    """One thread for all simulated routers of a run."""
    with Simulators() as running:
        yield running


@pytest.fixture
def make_routeros(simulators: Simulators) -> Iterator[MakeRouter]:
    """Make a RouterOS router; it is gone after the test."""
    made: list[Router] = []

    def make(**settings: Any) -> Router:
        made.append(simulators.start(**{"ports": FREE_PORTS, **settings}))
        return made[-1]

    yield make
    for router in made:
        simulators.stop(router)


@pytest.fixture
def routeros(make_routeros: MakeRouter) -> Router:
    """A router of the newest version, administrator `admin`, password `secret`."""
    return make_routeros(password="secret")


@pytest.fixture
def controllers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Controllers]:
    """UniFi controllers: `controllers.start(…)` takes any of simulators.unifi.settings.Settings.

    What the driver remembers of an address is the test's own: the system gives a free port out again.
    """
    monkeypatch.setattr(unifi_driver, "_memories", {})
    with Controllers() as running:
        yield running


@pytest.fixture
def unifi(controllers: Controllers) -> Controller:
    """A UniFi OS console, account `bawaba`, password `secret`."""
    return controllers.start()
