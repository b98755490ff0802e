"""The link is cut at each call of each verb in turn; asked again, everything is as it should be, and nothing twice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from bawaba.routers.driver import GatewayError, RouterSession
from bawaba.routers.drivers.routeros import Driver
from tests.cast import PHONE
from tests.routers.contract import KIB, grant
from tests.routers.routeros.far import PHONE_CLIENT, TABLET_CLIENT, FarEnd
from tests.routers.routeros.test_bulk import cards

USER = "/ip/hotspot/user"
KINDS = ("cut-before", "cut-after", "half-reply", "fatal")


def our_users(far_end: FarEnd) -> list[str]:
    return sorted(row["name"] for row in far_end.router.find(USER) if row.get("comment", "").startswith("bw1 install8"))


def nothing_before(far_end: FarEnd) -> None:
    """As it comes."""


def with_the_phone_on(far_end: FarEnd) -> None:
    far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
    far_end.move(PHONE, 0, 100 * KIB)


def with_the_phone_on_another_card(far_end: FarEnd) -> None:
    far_end.run(lambda driver: driver.admit(grant(7), PHONE_CLIENT))


def with_cards(far_end: FarEnd) -> None:
    far_end.run(lambda driver: driver.put(cards(3)))
    with_the_phone_on(far_end)


def is_in(far_end: FarEnd) -> None:
    assert far_end.phones[PHONE].user == "bw.install8.session:1x"
    assert our_users(far_end).count("bw.install8.session:1x") == 1


def is_out(far_end: FarEnd) -> None:
    far_end.phones[PHONE].come_back()
    assert not far_end.phones[PHONE].online and our_users(far_end) == []
    assert far_end.run(lambda driver: driver.sessions()) == []


def has_cards(far_end: FarEnd) -> None:
    assert our_users(far_end) == [card.login for card in cards(3)]


def has_new_limits(far_end: FarEnd) -> None:
    assert {row["limit-uptime"] for row in far_end.router.find(USER) if row["name"] in our_users(far_end)} == {"2h"}
    assert len(our_users(far_end)) == 3


def has_none(far_end: FarEnd) -> None:
    assert our_users(far_end) == ["bw.install8.session:1x"] and far_end.phones[PHONE].online


def is_blocked(far_end: FarEnd) -> None:
    assert len(far_end.router.find("/ip/hotspot/ip-binding")) == 1 and not far_end.phones[PHONE].online


Verb = Callable[[Driver], Any]
WALKS: dict[str, tuple[Callable[[FarEnd], object], Verb, Callable[[FarEnd], None]]] = {
    "admit": (nothing_before, lambda driver: driver.admit(grant(1), PHONE_CLIENT), is_in),
    "admit again": (with_the_phone_on, lambda d: d.admit(grant(1, 2, bytes_total=9000), PHONE_CLIENT), is_in),
    "admit beside another": (with_the_phone_on_another_card, lambda d: d.admit(grant(1), PHONE_CLIENT), is_in),
    "kick": (with_the_phone_on, lambda driver: driver.kick(_session()), is_out),
    "put": (nothing_before, lambda driver: driver.put(cards(3)), has_cards),
    "put changed": (lambda far_end: far_end.run(lambda d: d.put(cards(3))), lambda d: d.put(cards(3, 2, uptime_s=7200)),
                    has_new_limits),
    "drop": (with_cards, lambda driver: driver.drop([f"card:{n}" for n in (1, 2, 3)]), has_none),
    "drop a session": (with_the_phone_on, lambda driver: driver.drop(["session:1"]), is_out),
    "devices": (with_the_phone_on, lambda driver: driver.set_devices([], [PHONE]), is_blocked),
}  # fmt: skip


def _session() -> RouterSession:
    return RouterSession("session:1", "session:1", None, PHONE_CLIENT, None, 0, 0, 0)


@pytest.mark.parametrize("walk", WALKS)
def test_cut_anywhere_and_asked_again_it_is_as_it_should_be(make_routeros, walk):
    before, verb, is_right = WALKS[walk]
    for kind in KINDS:
        number = 0
        while True:
            far_end = FarEnd(make_routeros(password="secret"))
            before(far_end)
            calls = far_end.router.record()
            far_end.router.fail(kind, "*", skip=number)
            with contextlib.suppress(GatewayError):
                far_end.run(verb)
            reached = len([call for call in calls if call.command != "/login"]) > number
            far_end.router.heal()
            far_end.run(verb)
            is_right(far_end)
            if not reached:
                break
            number += 1
        assert number >= 3


def test_bytes_of_a_kick_that_was_cut_are_told_by_the_next(make_routeros):
    number = 0
    while True:
        far_end = FarEnd(make_routeros(password="secret"))
        with_the_phone_on(far_end)
        calls = far_end.router.record()
        far_end.router.fail("cut-after", "*", skip=number)
        told = []
        for _ in range(2):
            with contextlib.suppress(GatewayError):
                told.append(far_end.run(lambda driver: driver.kick(_session())))
        if len([call for call in calls if call.command != "/login"]) <= number:
            break
        last = [session.down for session in told if session is not None]
        assert set(last) == {100 * KIB}
        number += 1


def test_the_other_guest_notices_nothing(make_routeros):
    far_end = FarEnd(make_routeros(password="secret"))
    far_end.run(lambda driver: driver.admit(grant(2), TABLET_CLIENT))
    with_the_phone_on(far_end)
    far_end.run(lambda driver: driver.kick(_session()))
    assert [s.key for s in far_end.run(lambda driver: driver.sessions())] == ["session:2"]
