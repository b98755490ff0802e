"""What a router tells by itself is acted on at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from bawaba.core.clock import SystemClock
from bawaba.monitoring.listening import Listening
from bawaba.routers.drivers import fake
from bawaba.routers.part import part
from bawaba.routers.simulators.routeros.running import Simulators
from bawaba.sessions import redeem as redeeming
from bawaba.sessions.models import GuestSession
from tests.cast import PHONE, Cast

SOON_S = 15.0  # with the polls half a minute apart


def within(seconds: float, so: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if so():
            return True
        time.sleep(0.1)
    return so()


@pytest.fixture
def clock() -> SystemClock:
    """Real time: the router is a real program's."""
    return SystemClock()


@pytest.fixture
def cast(rt, clock):
    made = Cast(rt)
    fake.box(made.router.id, clock)
    return made


@pytest.fixture
def mikrotik() -> Iterator:
    with Simulators() as simulators:
        yield simulators.start(username="bawaba", password="a password")


def test_a_guest_whom_a_mikrotik_dropped_is_back_before_the_next_poll(rt, cast, mikrotik):
    phone = mikrotik.join(PHONE, "10.5.50.11")
    router = cast.make_router(
        cast.site.id, name="Roof", driver="routeros", address="127.0.0.1", port=mikrotik.api_port, username="bawaba",
        password_sealed=rt.keyring.encrypt(b"a password", b"router password"), options={"tls": False},
    )  # fmt: skip
    part(rt).start()
    part(rt).loop.keep(Listening(rt, look_every_s=0.2).keep_listening(), "listening")
    guest = redeeming.Guest(router.id, PHONE, "10.5.50.11")
    redemption = redeeming.redeem(rt, cast.make_voucher().code, guest)
    assert within(SOON_S, lambda: cast.row(GuestSession, redemption.session_id).state == "online" and phone.online)
    time.sleep(2)  # the notice of that has been acted on

    with mikrotik.lock:
        mikrotik.hotspot.end(mikrotik.hotspot.host_of(phone).session, "dropped")
    assert not phone.online

    assert within(SOON_S, lambda: phone.online)
