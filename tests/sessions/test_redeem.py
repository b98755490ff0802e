"""Redeeming: the money path."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime
from bawaba.routers.drivers import fake
from bawaba.routers.models import Router, RouterJob
from bawaba.sales.models import Sale
from bawaba.sessions import redeem as redeeming
from bawaba.sessions.models import GuestSession
from bawaba.vouchers.models import Voucher
from tests.cast import HOUR, PHONE, TABLET, Card, Cast, phones


def attempt(rt: Runtime, cast: Cast, card: Card, mac: str, move: bool = False) -> str:
    """What this device is told: online, opening, resumed, or the refusal's code."""
    try:
        got = redeeming.redeem(rt, card.code, cast.guest(mac), move=move)
    except Problem as refusal:
        return refusal.code
    return "resumed" if got.resumed else got.status


def count(rt: Runtime, model: type) -> int:
    return rt.read(lambda db: db.scalar(select(func.count()).select_from(model)) or 0)


def test_a_card_gets_a_phone_online_until_its_time_is_over(rt, cast):
    card = cast.make_voucher(duration_seconds=3 * HOUR)
    got = redeeming.redeem(rt, card.code, cast.guest())

    assert (got.status, got.resumed, got.remaining_seconds) == ("online", False, 3 * HOUR)
    assert got.end_time is not None and got.start_time is not None
    assert (got.end_time - got.start_time).total_seconds() == 3 * HOUR
    assert [s.client.mac for s in fake.box(cast.router.id).sessions.values()] == [PHONE]
    assert cast.row(Voucher, card.id).status == "used"


@pytest.mark.parametrize("places", [1, 3])
def test_of_200_phones_racing_for_a_card_as_many_get_in_as_it_allows(rt, cast, places):
    card = cast.make_voucher(devices_at_once=places)
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda mac: attempt(rt, cast, card, mac), phones(200)))

    assert answers.count("too_many_devices") == 200 - places
    assert sum(answer in ("online", "opening") for answer in answers) == places
    assert (count(rt, GuestSession), count(rt, Sale)) == (places, 1)


def test_one_phone_asking_200_times_has_one_session(rt, cast):
    card = cast.make_voucher()
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: attempt(rt, cast, card, PHONE), range(200)))

    assert answers.count("resumed") == 199
    assert (count(rt, GuestSession), count(rt, Sale)) == (1, 1)


def test_a_second_phone_takes_the_place_of_a_silent_one_with_what_is_left(rt, cast, clock):
    card = cast.make_voucher(idle_timeout_seconds=300)
    attempt(rt, cast, card, PHONE)
    clock.advance(299)
    assert attempt(rt, cast, card, TABLET) == "too_many_devices"
    clock.advance(1)
    got = redeeming.redeem(rt, card.code, cast.guest(TABLET))

    assert got.remaining_seconds == 3 * HOUR - 300
    first = rt.read(lambda db: db.scalars(select(GuestSession).order_by(GuestSession.id)).first())
    assert first.terminate_cause == "Idle-Timeout"


def test_a_guest_moves_a_card_to_another_phone_once_a_day(rt, cast, clock):
    card = cast.make_voucher(duration_seconds=72 * HOUR)
    attempt(rt, cast, card, PHONE)

    assert attempt(rt, cast, card, TABLET, move=True) == "online"
    assert attempt(rt, cast, card, PHONE, move=True) == "too_many_devices"
    clock.advance(24 * HOUR)
    fake.box(cast.router.id).move_traffic(TABLET, 1000, 1000)
    rt.transact(lambda db: db.query(GuestSession).update({"active_at": clock.now()}))
    assert attempt(rt, cast, card, PHONE, move=True) == "online"


def test_a_card_for_two_devices_ever_refuses_the_third(rt, cast, clock):
    card = cast.make_voucher(devices_at_once=5, devices_ever=2)
    answers = [attempt(rt, cast, card, mac) for mac in phones(3)]

    assert answers == ["online", "online", "too_many_devices"]
    assert attempt(rt, cast, card, phones(1)[0]) == "resumed"


def test_a_silent_router_costs_the_guest_nothing(rt, cast, clock):
    card = cast.make_voucher()
    fake.box(cast.router.id).break_with("unreachable")
    got = redeeming.redeem(rt, card.code, cast.guest())

    assert (got.status, got.start_time, got.end_time) == ("opening", None, None)
    assert cast.row(Voucher, card.id).first_used_at is None
    job = rt.read(lambda db: db.scalars(select(RouterJob)).one())
    assert (job.state, job.kind, job.attempts) == ("open", "admit", 1)
    assert "unreachable" in job.last_error


def test_nothing_is_claimed_at_a_router_known_to_be_down(rt, cast):
    card = cast.make_voucher()
    rt.transact(lambda db: db.query(Router).update({"status": "down"}))

    assert attempt(rt, cast, card, PHONE) == "router_unreachable"
    assert cast.row(Voucher, card.id).status == "unused"


def test_a_spare_router_lets_the_guest_in(rt, cast, clock):
    rt.transact(lambda db: db.query(Router).update({"failover_group": "roof"}))
    spare = cast.make_router(cast.site.id, failover_group="roof")
    fake.box(spare.id, clock)
    fake.box(cast.router.id).break_with("unreachable")
    card = cast.make_voucher()
    got = redeeming.redeem(rt, card.code, cast.guest())

    assert got.status == "online"
    assert len(fake.box(spare.id).sessions) == 1


def test_each_refusal_has_its_own_word(rt, cast, clock):
    other = cast.make_site()
    elsewhere = cast.make_voucher(site_id=other.id)
    off = cast.make_voucher(card={"disabled_at": clock.now()})
    stale = cast.make_voucher(shelf_life_seconds=HOUR)
    spent = cast.make_voucher(kind="used_time", duration_seconds=HOUR, card={"used_seconds": HOUR, "status": "used"})
    clock.advance(HOUR)

    codes_of = {"wrong_site": elsewhere, "voucher_disabled": off, "voucher_expired": stale, "voucher_used": spent}
    for word, card in codes_of.items():
        assert attempt(rt, cast, card, PHONE) == word
    assert attempt(rt, cast, Card(stale_row(rt, stale), "123456789012"), PHONE) == "code_malformed"


def stale_row(rt: Runtime, card: Card) -> Voucher:
    return rt.read(lambda db: db.get_one(Voucher, card.id))


def test_shelf_life_does_not_shorten_a_card_in_use(rt, cast, clock):
    card = cast.make_voucher(duration_seconds=3 * HOUR, shelf_life_seconds=HOUR)
    clock.advance(HOUR - 10)

    assert redeeming.redeem(rt, card.code, cast.guest()).remaining_seconds == 3 * HOUR


def test_a_hotel_card_ends_at_check_out(rt, cast, clock):
    from datetime import timedelta

    card = cast.make_voucher(duration_seconds=10 * HOUR, card={"ends_at": clock.now() + timedelta(hours=2)})

    assert redeeming.redeem(rt, card.code, cast.guest()).remaining_seconds == 2 * HOUR


def test_wrong_codes_are_capped_by_device_and_typos_cost_nothing(rt, cast, clock):
    card = cast.make_voucher()
    unknown = [Card(stale_row(rt, card), code) for code in wrong_codes(7)]
    typo = Card(stale_row(rt, card), card.code[:-1] + str((int(card.code[-1]) + 1) % 10))

    assert [attempt(rt, cast, typo, PHONE) for _ in range(20)] == ["code_malformed"] * 20
    assert [attempt(rt, cast, wrong, PHONE) for wrong in unknown[:6]] == ["voucher_unknown"] * 5 + ["too_many_tries"]
    assert attempt(rt, cast, card, PHONE) == "too_many_tries"  # the right code is not even looked at
    clock.advance(61)
    assert attempt(rt, cast, card, PHONE) == "online"


def test_the_site_cap_holds_over_many_devices_but_not_for_known_ones(rt, cast, clock):
    known = cast.make_voucher(devices_at_once=5)
    assert attempt(rt, cast, known, PHONE) == "online"
    told = [
        attempt(rt, cast, Card(stale_row(rt, known), code), mac)
        for code, mac in zip(wrong_codes(70), phones(70), strict=True)
    ]

    assert told.count("voucher_unknown") == 60
    assert told[60:] == ["too_many_tries"] * 10
    assert attempt(rt, cast, known, TABLET) == "too_many_tries"
    assert attempt(rt, cast, cast.make_voucher(), PHONE) == "online"
    clock.advance(6)
    assert attempt(rt, cast, known, TABLET) == "online"


def wrong_codes(count_: int) -> list[str]:
    from random import Random

    from bawaba.vouchers import codes

    return codes.new_codes(Random(99), "digits", count_)


def test_a_device_that_takes_another_card_goes_on_with_that_one(rt, cast, clock):
    first = cast.make_voucher(kind="used_time", duration_seconds=10 * HOUR)
    attempt(rt, cast, first, PHONE)
    clock.advance(600)
    second = cast.make_voucher()
    assert attempt(rt, cast, second, PHONE) == "online"

    live = rt.read(lambda db: db.scalars(select(GuestSession).where(GuestSession.ended_at.is_(None))).all())
    assert [session.voucher_id for session in live] == [second.id]
    assert cast.row(Voucher, first.id).used_seconds == 600
    routers = rt.parts["routers"]
    routers.loop.submit(routers._deliver_due(cast.router.id)).result(10)
    assert [s.grant.key for s in fake.box(cast.router.id).sessions.values()] == [f"session:{live[0].id}"]
