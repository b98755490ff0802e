"""A NAS asks for a guest: the same redeeming, the same refusals, and the limits in the NAS's own words."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from bawaba.core.actor import SYSTEM
from bawaba.core.database import DatabaseAway
from bawaba.radius import words
from bawaba.routers import service as routers
from bawaba.routers.errors import RouterNotFound
from bawaba.routers.models import Router, RouterJob
from bawaba.routers.part import _due_routers
from bawaba.sales.models import Sale
from bawaba.sessions import redeem, service
from bawaba.sessions.models import GuessMeter
from bawaba.vouchers.models import Voucher
from tests.cast import MIB, PHONE, TABLET

HOUR = 3600
GIB = 1024 * MIB


def said(verdict) -> str:
    """What the guest reads."""
    assert not verdict.accepted
    return str(verdict.attributes["Reply-Message"])


def test_a_card_lets_a_guest_in_with_its_limits_and_our_mark(gateway, cast):
    card = cast.make_voucher(quota_bytes=10 * GIB, rate_up_kbps=2000, rate_down_kbps=10000)
    verdict = gateway.ask(card.code)

    told = dict(verdict.attributes)
    assert verdict.accepted and str(told.pop("Class")).endswith(f".session:{gateway.session().id}")
    assert told == {
        "Session-Timeout": 3 * HOUR,
        "Mikrotik-Total-Limit": 2147483648,
        "Mikrotik-Total-Limit-Gigawords": 2,
        "Mikrotik-Rate-Limit": "2000k/10000k",
        "Idle-Timeout": 300,
        "Acct-Interim-Interval": 60,
    }


def test_nothing_stays_promised_to_a_nas_that_was_answered(rt, gateway, cast):
    gateway.ask(cast.make_voucher().code)
    assert rt.read(lambda db: db.query(RouterJob).filter(RouterJob.state == "open").count()) == 0


@pytest.mark.parametrize("typed", ["{0}-{1}-{2}", "{0} {1} {2}", " {0}{1}{2} "])
def test_a_code_is_read_however_it_is_typed(gateway, cast, typed):
    code = cast.make_voucher().code
    assert gateway.ask(typed.format(code[:4], code[4:8], code[8:])).accepted


def test_a_code_in_arabic_digits_is_read(gateway, cast):
    code = cast.make_voucher().code.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    assert gateway.ask(code).accepted


@pytest.mark.parametrize("password", [None, "", "anything"])
def test_the_password_says_nothing(gateway, cast, password):
    card = cast.make_voucher()
    assert gateway.ask(card.code, **({} if password is None else {"User-Password": password})).accepted


def test_the_same_device_again_goes_on_and_is_charged_once(rt, gateway, cast):
    card = cast.make_voucher()
    first, second = gateway.ask(card.code), gateway.ask(card.code)

    assert first.attributes["Class"] == second.attributes["Class"]
    assert rt.read(lambda db: db.query(Sale).filter(Sale.voucher_id == card.id).count()) == 1


def test_what_is_told_again_is_what_is_left(gateway, cast, clock):
    card = cast.make_voucher()
    verdict = gateway.ask(card.code)
    gateway.tell("Start", verdict=verdict)
    clock.advance(60)
    gateway.tell("Interim-Update", verdict=verdict, seconds=60)

    assert gateway.ask(card.code).attributes["Session-Timeout"] == 3 * HOUR - 60


@pytest.mark.parametrize(
    ("terms", "words_said"),
    [
        ({"card": {"disabled_at": "now"}}, "switched off"),
        ({"card": {"over_at": "now"}}, "expired"),
        ({"quota_bytes": MIB, "card": {"status": "used", "bytes_down": MIB}}, "used up"),
    ],
)
def test_a_refusal_is_told_in_the_guests_language_and_in_english(gateway, cast, terms, words_said):
    card = {name: cast.now if value == "now" else value for name, value in terms["card"].items()}
    message = said(gateway.ask(cast.make_voucher(**terms | {"card": card}).code))

    assert words_said in message and "الكرت" in message and len(message.encode()) <= words.MOST_BYTES


def test_a_wrong_check_digit_and_a_wrong_code_read_the_same_but_only_one_is_a_try(rt, gateway, cast):
    code = cast.make_voucher().code
    broken = code[:-1] + str((int(code[-1]) + 1) % 10)
    assert "Wrong code" in said(gateway.ask(broken))
    assert rt.read(lambda db: db.query(GuessMeter).count()) == 0


def test_a_device_that_guesses_is_made_to_wait_even_with_a_right_code(gateway, cast):
    for _ in range(5):
        said(gateway.ask("000000000000"))  # a well-formed code that no card has
    right = cast.make_voucher().code
    assert "Wait" in said(gateway.ask(right))
    assert gateway.ask(right, mac=TABLET).accepted


def test_another_sites_card_is_refused(gateway, cast):
    elsewhere = cast.make_site()
    assert "another place" in said(gateway.ask(cast.make_voucher(site_id=elsewhere.id).code))


def test_a_one_device_card_lets_one_device_in(gateway, cast):
    card = cast.make_voucher()
    assert gateway.ask(card.code).accepted
    assert "another device" in said(gateway.ask(card.code, mac=TABLET))


def test_a_card_that_is_in_use_by_the_portal_is_in_use_here(rt, gateway, cast):
    card = cast.make_voucher()
    redeem.redeem(rt, card.code, cast.guest(TABLET))
    assert "another device" in said(gateway.ask(card.code))


def test_a_device_that_comes_from_another_router_moves_here(rt, gateway, cast):
    card = cast.make_voucher()
    redeem.redeem(rt, card.code, cast.guest(PHONE))
    verdict = gateway.ask(card.code)
    gateway.tell("Start", verdict=verdict)

    session = gateway.session()
    assert (session.router_id, session.state) == (gateway.router.id, "online")


def test_a_device_is_known_by_its_address_where_the_nas_tells_no_mac(gateway, cast):
    assert gateway.ask(cast.make_voucher().code, mac=None).accepted
    assert gateway.session().client_mac == "10.77.0.9"


def test_who_asks_for_nobody_gets_no(gateway, cast):
    code = cast.make_voucher().code
    assert not gateway.ask(code, mac=None, **{"Framed-IP-Address": "?"}).accepted


class TestDevicesByTheirMac:
    def test_only_where_the_option_says_so_and_it_is_no_wrong_code(self, rt, gateway, cast):
        assert "code of a card" in said(gateway.ask(PHONE))
        assert rt.read(lambda db: db.query(GuessMeter).count()) == 0

    @pytest.mark.parametrize(
        "writing", [str.upper, lambda mac: mac.replace(":", ""), lambda mac: mac.replace(":", "-")]
    )
    def test_a_device_goes_on_with_its_last_card(self, make_gateway, cast, writing):
        gateway = make_gateway(mac_auth=True)
        card = cast.make_voucher()
        gateway.ask(card.code)
        assert gateway.ask(writing(PHONE)).accepted
        assert gateway.session().voucher_id == card.id
        assert not gateway.ask(writing(TABLET), mac=TABLET).accepted

    def test_a_device_cannot_use_the_mac_of_another(self, make_gateway, cast):
        gateway = make_gateway(mac_auth=True)
        gateway.ask(cast.make_voucher().code)
        assert not gateway.ask(PHONE, mac=TABLET).accepted

    def test_trusted_devices_need_no_card_and_blocked_ones_get_in_with_none(self, rt, make_gateway, cast):
        gateway = make_gateway(mac_auth=True)
        routers.set_device(rt, SYSTEM, cast.site.id, PHONE, "trusted", "")
        routers.set_device(rt, SYSTEM, cast.site.id, TABLET, "blocked", "")

        assert gateway.ask(PHONE).attributes == {"Acct-Interim-Interval": 60, "Class": "bawaba.trusted"}
        assert "blocked" in said(gateway.ask(TABLET, mac=TABLET))
        assert "blocked" in said(gateway.ask(cast.make_voucher().code, mac=TABLET))


class TestWhenThingsBreak:
    def test_a_nas_that_is_no_router_of_ours_is_told_nothing(self, rt, gateway, cast):
        gateway.router.id += 1000
        with pytest.raises(RouterNotFound):
            gateway.ask("000000000000")

    def test_while_the_database_is_away_nobody_is_told_that_his_code_is_wrong(self, rt, gateway, cast, monkeypatch):
        def away(*_, **__):
            raise DatabaseAway()

        gateway.ask("000000000000")
        monkeypatch.setattr(rt, "transact", away)
        with pytest.raises(DatabaseAway):
            gateway.ask("000000000000")

    def test_a_nas_that_was_down_is_up_when_it_asks(self, rt, gateway, cast):
        def down(db):
            db.get_one(type(gateway.router), gateway.router.id).status = "down"

        rt.transact(down)
        assert gateway.ask(cast.make_voucher().code).accepted
        assert gateway.row().status == "up"

    def test_a_session_that_the_nas_lost_ended_when_it_was_last_heard_of(self, rt, gateway, cast, clock):
        card = cast.make_voucher(kind="used_time", duration_seconds=HOUR)
        verdict = gateway.ask(card.code)
        gateway.tell("Start", verdict=verdict)
        clock.advance(60)
        gateway.tell("Interim-Update", verdict=verdict, seconds=60, down=MIB)
        clock.advance(10 * HOUR)  # the power was cut

        again = gateway.ask(card.code)
        first, second = gateway.sessions()
        assert first.terminate_cause == "Lost-Service" and first.used_seconds == 60
        assert again.accepted and again.attributes["Session-Timeout"] == HOUR - 60
        assert second.ended_at is None and cast.row(Voucher, card.id).used_seconds == 60


def test_switching_a_card_off_ends_it_here_too(rt, gateway, cast):
    card = cast.make_voucher()
    verdict = gateway.ask(card.code)
    gateway.tell("Start", verdict=verdict)
    service.set_disabled(rt, SYSTEM, card.id, True)
    assert gateway.session().terminate_cause == "Admin-Reset"
    assert "switched off" in said(gateway.ask(card.code))


def test_a_nas_that_takes_no_orders_from_us_lets_its_guests_in_all_the_same(rt, gateway, cast, clock):
    """Its CoA port is shut: what we would send it rests. It asks us for its guests itself, so it is there."""
    rests = {"breaker": "open", "failures": 9, "breaker_until": clock.now() + timedelta(seconds=60)}
    rt.transact(lambda db: db.execute(update(Router).where(Router.id == gateway.router.id).values(**rests)))

    assert gateway.ask(cast.make_voucher().code).accepted


def test_a_nas_whose_rest_is_over_is_not_looked_at_without_end(rt, gateway, clock):
    rested = {"breaker": "open", "failures": 9, "breaker_until": clock.now() - timedelta(seconds=1)}
    rested |= {"lease_owner": "us"}
    rt.transact(lambda db: db.execute(update(Router).where(Router.id == gateway.router.id).values(**rested)))
    gateway.look()

    _work, polls = rt.read(_due_routers, "us", clock.now())
    assert gateway.router.id not in polls
    assert gateway.row().breaker == "open"  # the next order is its trial
