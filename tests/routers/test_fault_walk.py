"""The link to a router is cut at each call in turn of all that a site does with a card. Once it is back the outbox
delivers, one look mends what is left, and a second look finds database and router in step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from bawaba.core.actor import SYSTEM
from bawaba.core.errors import Problem
from bawaba.routers.reconcile import Drift
from bawaba.sessions import service
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import making, switching
from bawaba.vouchers.models import Voucher
from tests.cast import MIB
from tests.routers.houses import House, Memory, MikroTik, Unifi

BATCH = 3
WAYS = (("before", 1), ("after", 1), ("before", None))  # None: the link stays down until it is mended
RESEND_S = 70.0  # the longest wait between two tries, spread included


def nothing(house: House) -> None:
    """As it comes."""


def a_card(house: House) -> Voucher:
    card = house.make_card()
    house.deliver()
    return card


def a_card_that_is_off(house: House) -> Voucher:
    card = a_card(house)
    service.set_disabled(house.rt, SYSTEM, card.id, True)
    house.deliver()
    return card


def a_batch(house: House) -> Any:
    batch = making.order_batch(house.rt, SYSTEM, making.BatchOrder(house.plan.plan_id, BATCH))
    house.rt.parts["batch_maker"].make(batch.id)
    house.deliver()
    return batch


def a_guest(house: House) -> Voucher:
    """Online by the portal, with some data used that nobody has read."""
    card = a_card(house)
    assert house.redeem(card).status == "online"
    house.deliver()
    house.far.move(1000, MIB)
    return card


def a_guest_of_the_router(house: House) -> Voucher:
    """Online by the router's own page, known to us, with some data used that nobody has read."""
    card = a_card(house)
    assert house.far.sign_in(house.code(card))
    house.poll()
    house.far.move(1000, MIB)
    return card


def session_of(house: House, card: Voucher) -> GuestSession:
    mine = select(GuestSession).where(GuestSession.voucher_id == card.id)
    return house.rt.read(lambda db: db.scalars(mine).one())


def booked(house: House, card: Voucher) -> tuple[int, int]:
    row = house.cast.row(Voucher, card.id)
    return row.bytes_up, row.bytes_down


def switch(disabled: bool) -> Callable[[House, Voucher], Any]:
    return lambda house, card: service.set_disabled(house.rt, SYSTEM, card.id, disabled)


def end(house: House, card: Voucher) -> None:
    service.terminate(house.rt, SYSTEM, session_of(house, card).id)


def switch_batch(house: House, batch: Any) -> None:
    switching.set_batch_disabled(house.rt, SYSTEM, batch.id, True)


def lies_there(house: House, _: Any) -> None:
    assert len(house.owned()) == 1


def all_lie_there(house: House, _: Any) -> None:
    assert len(house.owned()) == BATCH


def is_empty(house: House, _: Any) -> None:
    assert house.owned() == [] and house.on_line() == []


def is_in(house: House, card: Voucher) -> None:
    session = session_of(house, card)
    assert (session.state, house.on_line()) == ("online", [f"session:{session.id}"]) and house.far.is_online()


def is_out(house: House, card: Voucher) -> None:
    session = session_of(house, card)
    assert (session.state, session.terminate_cause) == ("ended", "Admin-Reset")
    assert not house.far.is_online() and house.on_line() == []


def is_out_and_booked(house: House, card: Voucher) -> None:
    is_out(house, card)
    assert booked(house, card) == (1000, MIB)


def is_out_and_booked_at_most_once(house: House, card: Voucher) -> None:
    """The router's count goes with the right that it is of, which may be gone before its guest's end is asked for
    again: then what was moved since the last poll is nobody's."""
    is_out(house, card)
    assert booked(house, card) in ((0, 0), (1000, MIB))


Before = Callable[[House], Any]
Deed = Callable[[House, Any], Any]
WALKS: dict[str, tuple[Before, Deed, Deed]] = {
    "create": (nothing, lambda house, _: house.make_card(), lies_there),
    "create a batch": (nothing, lambda house, _: a_batch(house), all_lie_there),
    "switch on": (a_card_that_is_off, switch(False), lies_there),
    "switch off": (a_card, switch(True), is_empty),
    "switch a batch off": (a_batch, switch_batch, is_empty),
    "admit": (a_card, House.redeem, is_in),
    "kick": (a_guest, end, is_out_and_booked),
    "revoke": (a_guest, switch(True), is_out_and_booked),
    "revoke at the router": (a_guest_of_the_router, switch(True), is_out_and_booked_at_most_once),
}


@pytest.fixture
def make_far(request: pytest.FixtureRequest, rt) -> Callable[[], Any]:
    """Makes a router's far end: in memory, or a simulated MikroTik or UniFi controller."""
    if request.param == "memory":
        return Memory
    if request.param == "unifi":
        controllers = request.getfixturevalue("controllers")
        return lambda: Unifi(controllers, rt.clock)
    make_routeros = request.getfixturevalue("make_routeros")
    return lambda: MikroTik(make_routeros, clock=rt.clock)


@pytest.mark.parametrize(
    ("migrated_url", "make_far"),
    [("sqlite", "memory"), ("sqlite", "mikrotik"), ("postgresql", "mikrotik")],
    indirect=True,
)
@pytest.mark.parametrize("walk", WALKS)
def test_cut_at_any_call_it_is_delivered_and_one_look_brings_the_router_in_step(rt, cast, make_far, walk):
    walk_through(rt, cast, make_far, walk)


@pytest.mark.parametrize(("migrated_url", "make_far"), [("sqlite", "unifi")], indirect=True)
@pytest.mark.parametrize("walk", ["admit", "kick", "revoke"])
def test_of_a_make_that_holds_no_cards_whatever_it_can_do_is_walked(rt, cast, make_far, walk):
    walk_through(rt, cast, make_far, walk)


def walk_through(rt: Any, cast: Any, make_far: Callable[[], Any], walk: str) -> None:
    """Cut the link at each call in turn, in each way, and see what comes of it."""
    before, deed, is_right = WALKS[walk]
    number, reached = 0, True
    while reached:
        reached = False
        for how, times in WAYS:
            house = House(rt, cast, make_far())
            subject = before(house)
            house.far.begin_counting()
            house.far.cut(how, number, times)
            with contextlib.suppress(Problem):
                deed(house, subject)
            house.deliver()
            reached = reached or house.far.calls() > number
            house.far.heal()
            comes_into_step(house, f"cut {how} call {number}, {times or 'all'} times")
            is_right(house, subject)
        number += 1
    assert number > 1


def comes_into_step(house: House, when: str) -> None:
    """The link is back: the outbox, one look, and nothing is left to do."""
    house.clock.advance(RESEND_S)
    house.deliver()
    house.look()
    house.deliver()  # what waited for a router that had been given up for a while, where a try more was lost
    house.poll()
    assert house.open_work() == [], when
    assert replace(house.look(), examples=[]) == Drift(), when
    assert house.wanted() == [key for key in house.owned() if key.startswith("card:")], when
    assert house.live() == house.on_line(), when
