"""How a router counts is found out by looking; until then nobody is charged too much."""

from __future__ import annotations

from bawaba.routers.drivers.routeros.counting import Counting
from bawaba.routers.drivers.routeros.words import Used


def row(seconds, up, down, **more):
    return {".id": "*A", "uptime": f"{seconds}s", "bytes-in": str(up), "bytes-out": str(down)} | more


def test_a_user_that_lags_behind_its_session_is_counted_at_log_out_only():
    counting = Counting()
    assert counting.used(row(0, 0, 0), [row(60, 1000, 90_000)]) == Used(60, 1000, 90_000)
    assert counting.live is False
    assert counting.used(row(500, 10, 700_000), [row(60, 1000, 90_000)]) == Used(560, 1010, 790_000)


def test_a_user_that_grows_with_its_session_is_counted_live():
    counting = Counting()
    assert counting.used(row(60, 1000, 90_000), [row(60, 1000, 90_000)]) == Used(60, 1000, 90_000)
    assert counting.live is None
    assert counting.used(row(90, 2000, 190_000), [row(90, 2000, 190_000)]) == Used(90, 2000, 190_000)
    assert counting.live is True
    assert counting.used(row(900, 9000, 990_000), [row(90, 2000, 190_000)]) == Used(900, 9000, 990_000)


def test_while_it_is_not_known_the_larger_counts_and_not_the_sum():
    counting = Counting()
    assert counting.used(row(500, 10, 700_000), [row(60, 1000, 90_000)]) == Used(500, 1000, 700_000)
    assert counting.live is None
    assert counting.used(row(500, 10, 700_000), [row(90, 2000, 290_000)]) == Used(590, 2010, 990_000)
    assert counting.live is False


def test_it_is_learned_anew_after_a_reconnection():
    counting = Counting()
    counting.used(row(0, 0, 0), [row(60, 1000, 90_000)])
    counting.begin()
    assert counting.live is None


def test_the_sessions_of_one_card_are_added_up():
    assert Counting().used(row(0, 0, 0), [row(5, 1, 2), row(7, 10, 20)]) == Used(12, 11, 22)
