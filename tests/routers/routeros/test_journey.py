"""A guest's way through the product with a MikroTik as the gateway: the card's time and data are right, whatever the
router goes through."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from bawaba.monitoring.polling import poll
from bawaba.routers.service import PASSWORD
from bawaba.sessions import redeem as redeeming
from bawaba.sessions.models import GuestSession
from bawaba.vouchers.models import Voucher
from tests.cast import HOUR, MIB, PHONE, TABLET
from tests.routers.routeros.far import ADDRESSES

USER = "/ip/hotspot/user"


class Roof:
    """The router on the roof, in the database and in software, with a phone and a tablet in its WiFi."""

    def __init__(self, rt, cast, simulated) -> None:
        self.rt, self.cast, self.simulated = rt, cast, simulated
        sealed = rt.keyring.encrypt(b"secret", PASSWORD)
        way = {"address": "127.0.0.1", "port": simulated.api_port, "username": "admin", "password_sealed": sealed}
        self.router = cast.make_router(cast.site.id, driver="routeros", options={"tls": False}, **way)
        rt.parts["routers"].loop.submit(poll(rt, self.router.id)).result(10)
        self.phones = {mac: simulated.join(mac, ip) for mac, ip in ADDRESSES.items()}

    @property
    def phone(self):
        return self.phones[PHONE]

    def redeem(self, card, mac=PHONE):
        guest = redeeming.Guest(self.router.id, mac, ADDRESSES[mac])
        return redeeming.redeem(self.rt, card.code, guest)

    def look(self, times: int = 1) -> None:
        """Polls, each followed by what it promised."""
        routers = self.rt.parts["routers"]

        async def all_of_it() -> None:
            await poll(self.rt, self.router.id)
            await routers._deliver_due(self.router.id)

        for _ in range(times):
            routers.loop.submit(all_of_it()).result(30)

    def session(self) -> GuestSession:
        return self.rt.read(lambda db: db.scalars(select(GuestSession).order_by(GuestSession.id.desc())).first())

    def booked(self, card) -> tuple[int, int]:
        voucher = self.cast.row(Voucher, card.id)
        return voucher.bytes_up, voucher.bytes_down

    def users(self) -> list[str]:
        return [row["name"] for row in self.simulated.find(USER) if row.get("comment", "").startswith("bw1")]


@pytest.fixture(params=[{"version": "6.49.18"}, {"version": "7.24.1", "clock_offset_s": -365 * 86400.0}])
def roof(rt, cast, clock, make_routeros, request):
    return Roof(rt, cast, make_routeros(password="secret", clock=clock, **request.param))


def test_a_card_gets_a_phone_online_and_its_time_ends_to_the_second(roof, cast, clock):
    card = cast.make_voucher(duration_seconds=3 * HOUR)
    assert roof.redeem(card).status == "online" and roof.phone.online
    clock.advance(3 * HOUR - 2)
    assert roof.phone.online
    clock.advance(2)
    assert not roof.phone.online

    roof.look(2)
    assert (roof.session().state, roof.session().terminate_cause) == ("ended", "Session-Timeout")
    assert roof.users() == []


def test_data_is_booked_once_and_cut_at_the_byte(roof, cast, clock):
    card = cast.make_voucher(quota_bytes=5 * MIB)
    roof.redeem(card)
    for _ in range(3):
        roof.phone.move(1000, MIB)
        clock.advance(30)
        roof.look()
    assert roof.booked(card) == (3000, 3 * MIB)
    roof.phone.move(0, 9 * MIB)
    assert not roof.phone.online
    roof.look(2)
    assert sum(roof.booked(card)) == 5 * MIB and roof.session().state == "ended"
    assert roof.users() == []


@pytest.mark.parametrize("saved", [True, False])
def test_after_a_power_cut_guests_are_back_with_what_was_left(roof, cast, clock, saved):
    card = cast.make_voucher(quota_bytes=5 * MIB, duration_seconds=3 * HOUR)
    roof.redeem(card)
    roof.phone.move(0, 2 * MIB)
    clock.advance(30)
    roof.look()
    roof.simulated.reboot(saved=saved)
    roof.phone.come_back()
    clock.advance(60)
    roof.look(2)
    assert roof.phone.online and roof.booked(card) == (0, 2 * MIB)

    roof.phone.move(0, 9 * MIB)
    roof.look(2)
    assert roof.booked(card) == (0, 5 * MIB) and not roof.phone.online


def test_a_link_that_was_down_for_ten_minutes_costs_nobody_anything(roof, cast, clock):
    card = cast.make_voucher(quota_bytes=5 * MIB)
    roof.redeem(card)
    roof.simulated.fail_connections("refuse")
    for _ in range(3):
        roof.phone.move(0, MIB)
        clock.advance(200)
        roof.look()
    assert roof.phone.online and roof.booked(card) == (0, 0)
    roof.simulated.heal()
    roof.look()
    assert roof.booked(card) == (0, 3 * MIB) and roof.session().state == "online"


def test_a_phone_that_went_home_and_comes_back_goes_on(roof, cast, clock):
    card = cast.make_voucher(duration_seconds=3 * HOUR)
    roof.redeem(card)
    roof.phone.move(0, MIB)
    roof.look()
    roof.phone.leave()
    for _ in range(20):
        clock.advance(60)
        roof.look()
    assert roof.session().state == "online"
    roof.phone.come_back()
    roof.look(2)
    assert roof.phone.online and roof.booked(card) == (0, MIB)


def test_two_cards_on_one_phone_and_one_card_on_two_phones(roof, cast, clock):
    first, second = cast.make_voucher(), cast.make_voucher(devices_at_once=2)
    roof.redeem(first)
    roof.redeem(second)
    roof.look()
    assert roof.phone.user is not None and len(roof.users()) == 1
    roof.redeem(second, TABLET)
    roof.look()
    assert roof.phone.online and roof.phones[TABLET].online and len(roof.users()) == 2


@pytest.mark.parametrize("off_s", [20, 240, 1200])
def test_time_that_the_router_was_off_is_not_charged_to_a_card_of_used_time(roof, cast, clock, off_s):
    card = cast.make_voucher(kind="used_time", duration_seconds=HOUR)
    roof.redeem(card)
    for _ in range(20):
        clock.advance(30)
        roof.phone.move(0, MIB)
        roof.look()
    clock.advance(10)
    roof.simulated.power_off(saved=False)
    for _ in range(off_s // 30):
        clock.advance(30)
        roof.look()
    clock.advance(off_s % 30)
    roof.simulated.power_on()
    roof.phone.come_back()
    clock.advance(15)
    roof.look(2)
    assert roof.phone.online and roof.booked(card) == (0, 20 * MIB)

    used_s, left_s = 610, HOUR - (clock.now() - roof.session().start_time).total_seconds()
    assert HOUR - used_s - 32 <= left_s <= HOUR - used_s
    clock.advance(left_s - 5)
    assert roof.phone.online
    clock.advance(10)
    assert not roof.phone.online
    roof.look(2)
    assert (roof.session().terminate_cause, roof.users()) == ("Session-Timeout", [])


def test_who_does_not_come_back_after_a_restart_is_closed_with_the_cause_and_charged_up_to_it(roof, cast, clock):
    card = cast.make_voucher(kind="used_time", duration_seconds=HOUR)
    roof.redeem(card)
    clock.advance(600)
    roof.phone.move(0, MIB)
    roof.look()
    roof.phone.leave()
    roof.simulated.reboot(saved=False)
    for _ in range(15):
        clock.advance(30)
        roof.look()
    assert (roof.session().state, roof.session().terminate_cause) == ("ended", "NAS-Reboot")
    assert 600 <= cast.row(Voucher, card.id).used_seconds <= 632
