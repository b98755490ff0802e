"""Cards that lie on a MikroTik: a thousand at once, again, over links that break, nobody else's touched."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bawaba.routers.driver import Grant, Limits, Reason, RouterUnreachable
from tests.cast import PHONE
from tests.routers.contract import HOUR
from tests.routers.routeros.far import FarEnd

USER = "/ip/hotspot/user"
MIB = 1 << 20


def cards(count: int, rev: int = 1, **limits):
    return [
        Grant(f"card:{n}", rev, f"{7000000 + n}", f"{7000000 + n}", Limits(**{"uptime_s": HOUR} | limits))
        for n in range(1, count + 1)
    ]


@pytest.fixture
def far_end(routeros):
    return FarEnd(routeros)


def ours(far_end):
    return [row for row in far_end.router.find(USER) if row.get("comment", "").startswith("bw1 install8")]


def test_a_thousand_cards_are_put_and_owned_and_dropped(far_end):
    thousand = cards(1000, bytes_total=MIB, rate_down_kbps=4000, rate_up_kbps=1000, devices=2)
    results = far_end.run(lambda driver: driver.put(thousand))
    assert [(r.key, r.ok, r.changed) for r in results] == [(card.key, True, True) for card in thousand]
    owned = far_end.run(lambda driver: driver.owned())
    assert {mine.key for mine in owned} == {card.key for card in thousand}
    assert (owned[0].limits.uptime_s, owned[0].limits.bytes_total) == (HOUR, MIB)
    far_end.run(lambda driver: driver.drop([card.key for card in thousand]))
    assert ours(far_end) == []


def test_the_same_cards_again_change_nothing_and_new_limits_are_written(far_end):
    far_end.run(lambda driver: driver.put(cards(20)))
    again = far_end.run(lambda driver: driver.put(cards(20)))
    assert [(r.ok, r.changed) for r in again] == [(True, False)] * 20
    longer = far_end.run(lambda driver: driver.put(cards(20, 2, uptime_s=2 * HOUR)))
    assert all(r.ok and r.changed for r in longer)
    assert {row["limit-uptime"] for row in ours(far_end)} == {"2h"} and len(ours(far_end)) == 20


def test_a_card_that_was_switched_off_by_hand_is_on_again(far_end):
    far_end.run(lambda driver: driver.put(cards(1)))
    far_end.router.table(USER).named("7000001")[0].values["disabled"] = "true"
    (result,) = far_end.run(lambda driver: driver.put(cards(1)))
    assert result.changed and ours(far_end)[0].get("disabled") != "true"


def test_a_name_that_somebody_else_has_is_left_alone(far_end):
    far_end.router.add(USER, name="7000002", password="x", comment="vc-sold by hand")
    results = far_end.run(lambda driver: driver.put(cards(3)))
    assert [r.ok for r in results] == [True, False, True]
    assert results[1].error.reason is Reason.DUPLICATE
    (kept,) = far_end.router.find(USER, name="7000002")
    assert kept["comment"] == "vc-sold by hand"


@pytest.mark.parametrize("login", ["", "AA:BB:CC:DD:EE:FF"])
def test_a_code_that_the_router_would_misread_is_refused(far_end, login):
    wrong = replace(cards(1)[0], login=login)
    (result, fine) = far_end.run(lambda driver: driver.put([wrong, cards(2)[1]]))
    assert not result.ok and result.error.reason is Reason.BAD_VALUE and fine.ok


def test_a_card_with_nothing_in_it_is_refused(far_end):
    (result,) = far_end.run(lambda driver: driver.put(cards(1, bytes_total=0)))
    assert not result.ok and ours(far_end) == []


@pytest.mark.parametrize("kind", ["cut-before", "cut-after", "half-reply", "fatal", "garbage"])
def test_where_the_link_breaks_what_was_taken_is_told_and_the_rest_goes_on_later(far_end, kind):
    far_end.router.fail(kind, f"{USER}/add", skip=60)
    first = far_end.run(lambda driver: driver.put(cards(200)))
    taken = [r for r in first if r.ok]
    assert 0 < len(taken) < 200 and all(r.error.retryable for r in first if not r.ok)
    second = far_end.run(lambda driver: driver.put(cards(200)))
    assert all(r.ok for r in second) and len(ours(far_end)) == 200


def test_a_router_that_takes_none_says_so(far_end):
    far_end.router.fail("cut-before", f"{USER}/add", times=None)
    with pytest.raises(RouterUnreachable):
        far_end.run(lambda driver: driver.put(cards(5)))


def test_a_disk_that_is_full_refuses_that_card_alone(far_end):
    far_end.router.fail("disk-full", f"{USER}/add", skip=2)
    results = far_end.run(lambda driver: driver.put(cards(4)))
    assert [r.ok for r in results] == [True, True, False, True]


def test_two_who_put_the_same_cards_at_once_make_each_once(far_end):
    async def both():
        first, second = far_end.driver(), far_end.driver()
        try:
            return await asyncio.gather(first.put(cards(100)), second.put(cards(100)))
        finally:
            await first.close()
            await second.close()

    answers = asyncio.run(both())
    assert all(result.ok for answer in answers for result in answer)
    assert len(ours(far_end)) == 100


def test_what_a_card_has_used_is_told(far_end):
    far_end.run(lambda driver: driver.put(cards(1, bytes_total=MIB)))
    hotspot = far_end.router.hotspot
    with hotspot.lock:
        host = hotspot.host_of(far_end.phones[PHONE])
        hotspot.login("7000001", lambda secret: secret == "7000001", host, "http-pap")
    far_end.move(PHONE, 1000, 50_000)
    (mine,) = far_end.run(lambda driver: driver.owned())
    assert (mine.up, mine.down, mine.limits.bytes_total) == (1000, 50_000, MIB)
