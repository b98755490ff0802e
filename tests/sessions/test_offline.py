"""Cards that lie on the routers: a guest is served while we are away, and what he used is ours to know when we are
back."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from bawaba.core import tracing
from bawaba.core.actor import SYSTEM
from bawaba.monitoring.polling import poll
from bawaba.routers.driver import Client, Reason, Result, RouterRejected
from bawaba.routers.drivers import fake
from bawaba.routers.reconcile import reconcile
from bawaba.sales.models import Sale
from bawaba.sessions import accounting, service
from bawaba.sessions import redeem as redeeming
from bawaba.sessions.events import CardUsedTwice
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import codes, making
from bawaba.vouchers.errors import VoucherUsed
from bawaba.vouchers.models import Voucher
from tests.cast import HOUR, MIB, PHONE, TABLET


class Shop:
    """A router-held site with two routers, and a way to let time pass without us."""

    def __init__(self, rt, cast) -> None:
        self.rt, self.cast = rt, cast
        self.site = cast.make_site(mode="router_held")
        self.front = cast.make_router(self.site.id, name="Front")
        self.back = cast.make_router(self.site.id, name="Back")
        self.boxes = {router.id: fake.box(router.id, rt.clock) for router in (self.front, self.back)}
        rt.clock.advance(120)
        for router in (self.front, self.back):
            self.run(router, reconcile)

    def run(self, router, *works) -> None:
        """Do these with a router, then what is promised to both."""
        routers = self.rt.parts["routers"]

        async def all_of_it() -> None:
            for work in works:
                await work(self.rt, router.id)
            for one in (self.front, self.back):
                await routers._deliver_due(one.id)

        routers.loop.submit(all_of_it()).result(20)

    def look(self, *routers) -> None:
        """A poll of each router."""
        for router in routers or (self.front, self.back):
            self.run(router, poll)
        self.run(self.front)

    def card(self, **terms):
        """A card that lies on both routers, and its code."""
        terms.setdefault("site_id", self.site.id)
        version = self.cast.make_plan(**terms)
        card, _version = making.make_card(self.rt, SYSTEM, making.CardOrder(version.plan_id, None))
        self.rt.clock.advance(10)
        self.run(self.front)
        assert all(f"card:{card.id}" in box.cards for box in self.boxes.values())
        return card, making.open_code(self.rt.keyring, card)

    def sign_in(self, router, code: str, mac: str = PHONE) -> bool:
        """A guest types the code into the router's own page."""
        return self.boxes[router.id].sign_in(codes.grouped(code), "", Client(mac, "10.77.0.9"))

    def move(self, router, up: int, down: int, mac: str = PHONE) -> None:
        self.boxes[router.id].move_traffic(mac, up, down)

    def sessions(self) -> list[GuestSession]:
        return list(self.rt.read(lambda db: db.scalars(select(GuestSession).order_by(GuestSession.id)).all()))

    def live(self) -> list[GuestSession]:
        return [session for session in self.sessions() if session.ended_at is None]


@pytest.fixture
def shop(rt, cast):
    return Shop(rt, cast)


@pytest.fixture
def told(rt):
    heard: list[CardUsedTwice] = []
    rt.events.subscribe(CardUsedTwice, heard.append)
    return heard


def test_a_guest_who_signed_in_at_the_router_is_a_guest_like_any_other(rt, shop, cast):
    card, code = shop.card(duration_seconds=3 * HOUR)
    assert shop.sign_in(shop.front, code)
    shop.move(shop.front, 1000, 20 * MIB)
    rt.clock.advance(25)
    shop.look()

    (session,) = shop.live()
    began = rt.clock.now().timestamp() - 25
    assert (session.voucher_id, session.client_mac, session.router_id) == (card.id, PHONE, shop.front.id)
    assert abs(session.start_time.timestamp() - began) <= 1
    assert (session.bytes_up, session.bytes_down) == (1000, 20 * MIB)
    row = cast.row(Voucher, card.id)
    assert row.status == "used" and abs(row.first_used_at.timestamp() - began) <= 1
    assert abs((row.over_at - row.first_used_at).total_seconds() - 3 * HOUR) < 1
    assert rt.read(lambda db: db.query(Sale).filter_by(voucher_id=card.id).count()) == 1


def test_the_other_routers_let_go_of_a_card_that_is_in_use(rt, shop):
    card, code = shop.card()
    shop.sign_in(shop.front, code)
    shop.look()
    rt.clock.advance(45)
    shop.look()
    assert f"card:{card.id}" in shop.boxes[shop.front.id].cards
    assert f"card:{card.id}" not in shop.boxes[shop.back.id].cards
    assert not shop.sign_in(shop.back, code, TABLET)


def test_looking_again_counts_nothing_twice(rt, shop):
    _card, code = shop.card()
    shop.sign_in(shop.front, code)
    for _ in range(4):
        shop.move(shop.front, 10, MIB)
        rt.clock.advance(30)
        shop.look()
    rt.clock.advance(3600)
    shop.run(shop.front, reconcile, poll)
    (session,) = shop.sessions()
    assert (session.bytes_up, session.bytes_down) == (40, 4 * MIB)


def test_time_over_ends_it_at_the_router_for_good(rt, shop):
    card, code = shop.card(duration_seconds=HOUR)
    shop.sign_in(shop.front, code)
    shop.look()
    rt.clock.advance(HOUR + 5)
    shop.look()
    assert shop.live() == []
    assert f"card:{card.id}" not in shop.boxes[shop.front.id].cards
    assert not shop.sign_in(shop.front, code)


def test_a_guest_who_left_by_the_routers_page_is_not_put_back_online(rt, shop):
    _card, code = shop.card(kind="used_time", duration_seconds=3 * HOUR)
    shop.sign_in(shop.front, code)
    rt.clock.advance(30)
    shop.look()
    rt.clock.advance(30)
    shop.look()
    box = shop.boxes[shop.front.id]
    for number in list(box.sessions):
        box.remove(number)
    rt.clock.advance(30)
    shop.look()
    assert shop.live() == [] and box.sessions == {}
    (session,) = shop.sessions()
    assert session.used_seconds <= 90

    assert shop.sign_in(shop.front, code)  # and comes back later
    shop.look()
    assert len(shop.live()) == 1


def test_who_was_online_by_the_routers_page_when_it_lost_its_power_is_closed_with_that_cause(rt, shop):
    _card, code = shop.card()
    shop.sign_in(shop.front, code)
    shop.look()
    rt.clock.advance(30)
    shop.boxes[shop.front.id].reboot()
    rt.clock.advance(30)
    shop.look()
    assert [session.terminate_cause for session in shop.sessions()] == ["NAS-Reboot"]
    assert shop.sign_in(shop.front, code)  # the card goes on


def test_what_was_used_while_nobody_looked_is_booked_once(rt, shop, cast):
    card, code = shop.card(kind="used_time", duration_seconds=3 * HOUR, quota_bytes=500 * MIB)
    shop.sign_in(shop.front, code)
    shop.move(shop.front, 0, 100 * MIB)
    rt.clock.advance(1800)  # we are away; the guest comes, uses half an hour and leaves
    box = shop.boxes[shop.front.id]
    box.look(False)
    for number in list(box.sessions):
        box.remove(number)
    rt.clock.advance(7200)
    for _ in range(3):
        shop.run(shop.front, reconcile)

    row = cast.row(Voucher, card.id)
    assert row.status == "used"
    assert row.bytes_down == 100 * MIB
    assert abs(row.used_seconds - 1800) <= 1
    (session,) = shop.sessions()
    assert session.terminate_cause == "Lost-Carrier" and session.ended_at is not None


def test_what_a_guest_moves_between_a_poll_and_a_comparison_counts_once(rt, shop, cast):
    card, code = shop.card(quota_bytes=500 * MIB)
    shop.sign_in(shop.front, code)
    shop.look()
    shop.move(shop.front, 0, 20 * MIB)
    rt.clock.advance(25)
    shop.run(shop.front, reconcile)
    shop.look()
    assert cast.row(Voucher, card.id).bytes_down == 20 * MIB
    (session,) = shop.sessions()
    assert session.bytes_down == 20 * MIB

    shop.move(shop.front, 0, 10 * MIB)  # and what nobody saw before he left is booked all the same
    box = shop.boxes[shop.front.id]
    for number in list(box.sessions):
        box.remove(number)
    rt.clock.advance(30)
    shop.look()
    shop.run(shop.front, reconcile)
    assert cast.row(Voucher, card.id).bytes_down == 30 * MIB


def test_found_on_two_routers_the_later_one_is_cut_and_that_is_said(rt, shop, told):
    card, code = shop.card(devices_at_once=1)
    assert shop.sign_in(shop.front, code, PHONE)
    rt.clock.advance(600)
    assert shop.sign_in(shop.back, code, TABLET)  # while we were away
    rt.clock.advance(60)
    shop.look(shop.back)  # whatever order we look in
    shop.look(shop.front)
    shop.look()

    (session,) = shop.live()
    assert (session.client_mac, session.router_id) == (PHONE, shop.front.id)
    assert [event.serial for event in told] == [card.serial]
    rt.clock.advance(45)
    shop.look()
    assert f"card:{card.id}" in shop.boxes[shop.front.id].cards
    assert shop.boxes[shop.back.id].sessions == {}
    assert not shop.sign_in(shop.back, code, TABLET)


def test_a_card_that_is_redeemed_at_the_portal_is_no_longer_good_at_any_routers_own_page(rt, shop):
    card, code = shop.card()
    redeeming.redeem(rt, code, shop.cast.guest(PHONE, shop.front))
    rt.clock.advance(10)
    shop.look()
    for router in (shop.front, shop.back):
        assert f"card:{card.id}" not in shop.boxes[router.id].cards
        assert not shop.sign_in(router, code, TABLET)
    assert len(shop.live()) == 1


def test_a_phone_that_is_online_by_the_routers_page_goes_on_at_the_portal(rt, shop):
    _card, code = shop.card()
    shop.sign_in(shop.front, code)
    shop.look()
    redemption = redeeming.redeem(rt, code, shop.cast.guest(PHONE, shop.front))
    assert redemption.resumed and redemption.status == "online"
    assert len(shop.live()) == 1


def test_a_phone_that_walks_to_the_other_router_takes_its_session_along(rt, shop):
    card, code = shop.card()
    shop.sign_in(shop.front, code)
    shop.look()
    redeeming.redeem(rt, code, shop.cast.guest(PHONE, shop.back))
    rt.clock.advance(10)
    shop.look()
    (session,) = shop.live()
    assert session.router_id == shop.back.id
    assert shop.boxes[shop.front.id].sessions == {}
    assert f"card:{card.id}" not in shop.boxes[shop.front.id].cards


@pytest.mark.parametrize("stays", [True, False])
def test_what_was_used_before_a_phone_walked_away_from_a_silent_router_counts_once(rt, shop, cast, stays):
    card, code = shop.card(kind="used_time", duration_seconds=3 * HOUR, quota_bytes=500 * MIB)
    shop.sign_in(shop.front, code)
    shop.move(shop.front, 0, 20 * MIB)
    rt.clock.advance(1200)
    shop.look()
    box = shop.boxes[shop.front.id]
    box.break_with("unreachable")
    redeeming.redeem(rt, code, cast.guest(PHONE, shop.back))
    rt.clock.advance(60)
    if not stays:
        (session,) = shop.live()
        service.terminate(rt, SYSTEM, session.id)
    box.mend()
    shop.run(shop.front, reconcile)

    row = cast.row(Voucher, card.id)
    assert (row.bytes_down, len(shop.sessions())) == (20 * MIB, 1)
    assert row.used_seconds == (0 if stays else 1260)


def test_the_time_that_a_phone_was_silent_stays_given_back(rt, shop, cast):
    card, code = shop.card(kind="used_time", duration_seconds=3 * HOUR, idle_timeout_seconds=300)
    shop.sign_in(shop.front, code)
    rt.clock.advance(600)
    shop.move(shop.front, 0, MIB)
    shop.look()
    rt.clock.advance(320)
    shop.look()
    (session,) = shop.sessions()
    assert (session.terminate_cause, session.used_seconds) == ("Idle-Timeout", 600)
    shop.run(shop.front, reconcile)
    assert cast.row(Voucher, card.id).used_seconds == 600 and len(shop.sessions()) == 1


def test_a_person_can_end_it_like_any_other_session(rt, shop):
    _card, code = shop.card()
    shop.sign_in(shop.front, code)
    shop.look()
    (session,) = shop.live()
    service.terminate(rt, SYSTEM, session.id)
    assert shop.boxes[shop.front.id].sessions == {}


def test_a_card_spent_at_the_router_is_spent_at_the_portal(rt, shop):
    _card, code = shop.card(kind="used_time", duration_seconds=HOUR)
    shop.sign_in(shop.front, code)
    rt.clock.advance(HOUR + 100)
    box = shop.boxes[shop.front.id]
    box.look(False)
    shop.run(shop.front, reconcile)
    shop.look()
    with pytest.raises(VoucherUsed):
        redeeming.redeem(rt, codes.grouped(code), shop.cast.guest(TABLET, shop.back))


def test_what_a_router_lets_go_of_after_an_outage_is_asked_of_it_in_two_calls(rt, shop, told):
    """Each of 64 guests used a card at one router; the other is to let go of them all, and guests wait meanwhile."""
    made = [shop.card() for _ in range(12)]
    for number, (_card, code) in enumerate(made):
        shop.sign_in(shop.front, code, f"02:00:5e:30:00:{number:02x}")
    back = shop.boxes[shop.back.id]
    assert shop.sign_in(shop.back, made[3][1], TABLET)  # and one card there too
    rt.clock.advance(60)
    asked = len(back.calls)
    shop.run(shop.front, poll)

    assert back.calls[asked:].count("sessions") <= 2 and back.calls[asked:].count("drop") <= 2
    assert [event.serial for event in told] == [made[3][0].serial]
    shop.look()
    assert [key for key in back.cards if key.startswith("card:")] == [] and back.sessions == {}
    assert len(shop.live()) == 12


def test_a_card_that_a_router_refuses_to_drop_keeps_no_other_from_going(rt, shop, monkeypatch):
    made = [shop.card() for _ in range(3)]
    for number, (_card, code) in enumerate(made):
        shop.sign_in(shop.front, code, f"02:00:5e:30:00:{number:02x}")
    plain = fake.Driver.drop

    async def stubborn(driver, keys):
        results = await plain(driver, [key for key in keys if key != f"card:{made[1][0].id}"])
        refused = Result(f"card:{made[1][0].id}", ok=False, error=RouterRejected("busy", Reason.BUSY))
        rest = iter(results)
        return [refused if key == refused.key else next(rest) for key in keys]

    monkeypatch.setattr(fake.Driver, "drop", stubborn)
    shop.run(shop.front, poll)
    assert set(shop.boxes[shop.back.id].cards) == {f"card:{made[1][0].id}"}
    monkeypatch.undo()
    rt.clock.advance(30)
    shop.run(shop.front)
    assert set(shop.boxes[shop.back.id].cards) == set()


def test_one_device_more_than_a_card_may_ever_have_is_cut_and_that_is_said(rt, shop, told):
    card, code = shop.card(devices_at_once=1, devices_ever=1)
    shop.sign_in(shop.front, code, PHONE)
    shop.look()
    box = shop.boxes[shop.front.id]
    for number in list(box.sessions):
        box.remove(number)
    rt.clock.advance(30)
    shop.look()  # he has left by the router's page
    assert shop.sign_in(shop.front, code, TABLET)
    shop.look()

    assert shop.live() == [] and box.sessions == {}
    assert [event.serial for event in told] == [card.serial]


def test_a_look_costs_the_same_statements_however_many_go_on_by_cards_at_the_router(rt, shop):
    batch = making.order_batch(rt, SYSTEM, making.BatchOrder(shop.cast.make_plan(site_id=shop.site.id).plan_id, 50))
    rt.parts["batch_maker"].make(batch.id)
    rt.clock.advance(10)
    shop.run(shop.front)
    found = select(Voucher).where(Voucher.batch_id == batch.id).order_by(Voucher.id)
    cards = rt.read(lambda db: db.scalars(found).all())

    def statements_with(first: int, last: int) -> int:
        for number in range(first, last):
            assert shop.sign_in(shop.front, making.open_code(rt.keyring, cards[number]), f"02:00:5e:50:00:{number:02x}")
        shop.run(shop.front, poll)
        assert len(shop.live()) == last
        rt.clock.advance(30)
        for number in range(last):
            shop.move(shop.front, 1000, MIB, f"02:00:5e:50:00:{number:02x}")
        return look_of(rt, shop.front)

    assert statements_with(0, 5) == statements_with(5, 50)
    assert {(session.bytes_up, session.bytes_down) for session in shop.live()} >= {(1000, MIB), (2000, 2 * MIB)}


def look_of(rt, router) -> int:
    """Book what a router tells now; how many statements that took."""
    routers = rt.parts["routers"]
    seen = routers.loop.submit(routers.links.ask(router.id, "sessions")).result(20)
    trace = tracing.Trace("look", "GET", "/", {}, tracing.clock())
    token = tracing.CURRENT.set(trace)
    try:
        rt.transact(accounting.settle, router.id, seen, rt.clock.now(), rt.clock.now())
    finally:
        tracing.CURRENT.reset(token)
    assert trace.dropped == 0
    return sum(span.kind == tracing.DATABASE_QUERY for span in trace.spans)
