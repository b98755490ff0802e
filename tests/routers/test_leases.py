"""Routers are shared evenly among the processes that work, and nobody's lie about for long."""

from __future__ import annotations

import pytest

from bawaba.routers import leases

TEN_S, DEAD_S = 10, 31


@pytest.fixture
def take(rt, clock):
    """One process's beat: what it holds afterwards."""
    return lambda owner, fresh=False: rt.transact(leases.take, f"box:1:{owner}", clock.now(), fresh)


@pytest.fixture
def routers(cast):
    """Five of them, with the café's own."""
    return {cast.router.id, *(cast.make_router(cast.site.id).id for _ in range(4))}


def test_alone_it_holds_all(take, routers, clock):
    assert take("one", fresh=True) == routers
    clock.advance(TEN_S)
    assert take("one") == routers


def test_a_second_one_gets_its_share_of_them(take, routers, clock):
    take("one")
    assert take("two") == set()  # all of them are held
    clock.advance(TEN_S)
    one = take("one")
    two = take("two")
    assert (len(one), len(two)) == (3, 2)
    assert one | two == routers and not one & two


def test_the_routers_of_a_dead_one_are_taken_over_after_half_a_minute(take, routers, clock):
    take("one")
    clock.advance(TEN_S)
    assert take("two") == set()
    for _ in range(3):
        clock.advance(TEN_S)
        held = take("two")
    assert held == routers


def test_who_stops_in_good_order_leaves_them_at_once(take, routers, rt):
    take("one")
    take("two")
    rt.transact(leases.give_back, "box:1:one")
    assert take("two") == routers


def test_who_comes_back_under_the_same_name_has_its_own_again(take, routers, clock):
    take("one")
    clock.advance(5)
    assert take("one", fresh=True) == routers


def test_no_two_ever_hold_one_router(take, routers, clock, rt):
    held: dict[str, set[int]] = {}
    for beat in range(60):
        name = rt.rng.choice(["one", "two", "three"])
        held[name] = take(name)
        for other in held:
            if other != name:
                held[other] -= held[name]  # a lease that ran out was free to take
        clock.advance(rt.rng.choice([0, 1, TEN_S, DEAD_S if beat % 10 == 0 else 1]))
        everybody = [router for mine in held.values() for router in mine]
        assert len(everybody) == len(set(everybody))
