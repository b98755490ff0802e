"""A guest's whole way where a UniFi controller is the gateway: its redirect, a code, online, the status page, out."""

from __future__ import annotations

import pytest

from bawaba.core.actor import SYSTEM
from bawaba.monitoring.polling import poll
from bawaba.routers import told
from bawaba.routers.models import Router
from bawaba.routers.reconcile import reconcile
from bawaba.routers.service import PASSWORD
from bawaba.routers.simulators.unifi.settings import MIB, Behaviour
from bawaba.routers.simulators.unifi.site import AP_MAC
from bawaba.sessions import redeem, service
from bawaba.vouchers.models import Voucher
from tests.cast import HOUR, PHONE, TABLET
from tests.portal.phone import Phone
from tests.routers.unifi.far import ADDRESSES
from tests.sessions.test_accounting import look, the_session

KEY = "a-key-of-our-own"
REDIRECT = f"/guest/s/default/?ap={AP_MAC}&id={PHONE}&t=1700000000&url=http%3a%2f%2fexample.com%2f&ssid=Guests"


class Cafe:
    """A controller in the café, in the database and in software, and a phone in its WiFi."""

    def __init__(self, rt, cast, app, controllers, clock, **made) -> None:
        self.rt, self.cast = rt, cast
        self.controller = controllers.start(clock=clock, **made)
        options = {"certificate": self.controller.fingerprint, "lan4": ["10.20.0.0/24"]}
        facts = {
            "driver": "unifi", "address": "127.0.0.1", "port": self.controller.port, "username": "bawaba",
            "password_sealed": rt.keyring.encrypt(b"secret", PASSWORD),
        }  # fmt: skip
        self.router = cast.make_router(cast.site.id, options=options, **facts)
        self.devices = {mac: self.controller.join(mac, ip) for mac, ip in ADDRESSES.items()}
        self.phone = Phone(app, address=ADDRESSES[PHONE])
        rt.parts["routers"].loop.submit(poll(rt, self.router.id)).result(10)

    @property
    def device(self):
        return self.devices[PHONE]

    def give_key(self) -> None:
        """The owner writes down an API key."""

        def change(db) -> None:
            db.get_one(Router, self.router.id).secrets_sealed = told.seal(self.rt.keyring, {"api_key": KEY})

        self.rt.transact(change)
        self.rt.parts["routers"].look_again(self.router.id)

    def look(self) -> None:
        look(self.rt, self.router.id)

    def mend(self) -> None:
        """Time passes, and what the router missed is done again."""
        for _ in range(3):
            self.rt.clock.advance(30)
            self.look()

    def difference(self) -> tuple[int, int, int, int]:
        """What a comparison with the controller finds."""
        drift = self.rt.parts["routers"].loop.submit(reconcile(self.rt, self.router.id)).result(20)
        return drift.missing, drift.differing, drift.extra, drift.unknown

    def redirected(self, address: str = REDIRECT) -> None:
        """The gateway leads the phone to the portal."""
        answer = self.phone.ask("GET", address)
        assert answer.status_code == 302 and answer.headers["Location"].startswith("/?")
        self.phone.go(answer.headers["Location"])

    def booked(self, card) -> tuple[int, int]:
        voucher = self.cast.row(Voucher, card.id)
        return voucher.bytes_up, voucher.bytes_down


@pytest.fixture
def cafe(rt, cast, app, controllers, clock):
    return Cafe(rt, cast, app, controllers, clock)


def test_from_the_redirect_to_the_kick(rt, cafe, cast, clock):
    card = cast.make_voucher(duration_seconds=3 * HOUR, rate_up_kbps=2000, rate_down_kbps=10_000)
    cafe.redirected()
    assert "You are online" in cafe.phone.type(card.code).text

    right = cafe.controller.site.active(PHONE)
    assert (right.up_kbps, right.down_kbps, right.end - right.start) == (2000, 10_000, 3 * HOUR)
    assert cafe.device.move(10_000, MIB) == (10_000, MIB)
    clock.advance(30)
    cafe.look()
    assert cafe.booked(card) == (10_000, MIB)
    assert "Time left 2 h 59" in cafe.phone.open("/status").text

    cafe.device.move(0, MIB)
    service.terminate(rt, SYSTEM, the_session(rt).id)
    assert cafe.device.move(0, 1) == (0, 0)
    assert cafe.booked(card) == (10_000, 2 * MIB)  # also what was moved since the last look
    assert cafe.controller.site.user(PHONE).note == ""


def test_what_the_redirect_says_of_a_device_is_not_believed(cafe, cast):
    cafe.redirected(REDIRECT.replace(PHONE, TABLET))
    assert "You are online" in cafe.phone.type(cast.make_voucher().code).text
    assert cafe.controller.site.active(PHONE) is not None and cafe.controller.site.active(TABLET) is None


def test_a_guest_who_logs_out_is_out(cafe, cast):
    cafe.redirected()
    cafe.phone.type(cast.make_voucher(kind="used_time", duration_seconds=HOUR).code)
    assert "You are logged out." in cafe.phone.send("/logout").text
    assert cafe.controller.site.active(PHONE) is None


def test_time_and_data_end_where_they_were_sold_to(rt, cafe, cast, clock):
    card = cast.make_voucher(duration_seconds=HOUR, quota_bytes=20 * MIB)
    cafe.redirected()
    cafe.phone.type(card.code)
    cafe.device.move(0, 15 * MIB)
    clock.advance(30)
    cafe.look()
    cafe.device.move(0, 15 * MIB)  # the controller itself lets five through
    assert cafe.device.tx == 20 * MIB
    clock.advance(30)
    cafe.look()
    assert the_session(rt).terminate_cause is not None and sum(cafe.booked(card)) == 20 * MIB


def test_a_phone_that_sleeps_and_wakes_is_counted_on(rt, cafe, cast, clock):
    card = cast.make_voucher(duration_seconds=3 * HOUR)
    cafe.redirected()
    cafe.phone.type(card.code)
    for number in range(1, 4):
        cafe.device.move(1000, 50_000)
        clock.advance(30)
        cafe.look()
        cafe.device.leave()
        clock.advance(30)
        cafe.look()
        cafe.device.come_back()
        assert cafe.booked(card) == (1000 * number, 50_000 * number)
    assert the_session(rt).state == "online"


def test_by_the_official_api_alone_a_card_works_and_its_bytes_are_booked_at_the_end(rt, cast, app, controllers, clock):
    cafe = Cafe(rt, cast, app, controllers, clock, api_key=KEY, behaviour=Behaviour(classic=False))
    cafe.give_key()
    cafe.look()
    card = cast.make_voucher(kind="used_time", duration_seconds=HOUR, idle_timeout_seconds=300)
    cafe.redirected()
    assert "You are online" in cafe.phone.type(card.code).text
    cafe.device.move(1000, MIB)
    for _ in range(15):  # longer than the card may be silent
        clock.advance(30)
        cafe.look()
    assert the_session(rt).state == "online"
    service.terminate(rt, SYSTEM, the_session(rt).id)
    assert cafe.booked(card) == (1000, MIB) and cafe.device.move(0, 1) == (0, 0)


@pytest.mark.parametrize("cut", ["cut-before", "cut-after"])
def test_wherever_the_link_is_cut_a_card_is_sold_once_and_afterwards_nothing_differs(
    rt, cast, app, controllers, clock, cut
):
    cafe = Cafe(rt, cast, app, controllers, clock)
    for number in range(7):  # letting in is four calls, putting out six
        card = cast.make_voucher(duration_seconds=HOUR)
        cafe.controller.fail(cut, skip=number)
        redeem_and_wait(cafe, card)
        assert the_session(rt).state == "online" and cafe.device.move(1, 1) == (1, 1)
        assert cafe.difference() == (0, 0, 0, 0)

        cafe.controller.heal()
        cafe.controller.fail(cut, skip=number)
        service.terminate(rt, SYSTEM, the_session(rt).id)
        cafe.mend()
        assert cafe.device.move(1, 1) == (0, 0) and cafe.controller.site.user(PHONE).note == ""
        assert cafe.difference() == (0, 0, 0, 0)
        cafe.controller.heal()


def redeem_and_wait(cafe: Cafe, card) -> None:
    """A guest types the code; what was lost on the way is done again."""
    redeem.redeem(cafe.rt, card.code, redeem.Guest(cafe.router.id, PHONE, ADDRESSES[PHONE]))
    cafe.mend()
