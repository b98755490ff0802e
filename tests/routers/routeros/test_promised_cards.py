"""A thousand cards for a MikroTik that is off, by the real protocol: all there when it is on again, each once."""

from __future__ import annotations

from typing import Any

import pytest

from bawaba.core.runtime import Runtime
from bawaba.routers import cards
from bawaba.routers.models import Router
from bawaba.routers.service import PASSWORD
from bawaba.vouchers import making
from tests.cast import Cast, person

USER = "/ip/hotspot/user"


@pytest.fixture
def mikrotik(rt: Runtime, cast: Cast, routeros: Any) -> Router:
    """The simulated router, in the database of a router-held site."""
    site = cast.make_site(mode="router_held")
    sealed = rt.keyring.encrypt(routeros.settings.password.encode(), PASSWORD)
    way = {"address": "127.0.0.1", "port": routeros.api_port, "username": routeros.settings.username}
    return cast.make_router(site.id, driver="routeros", options={"tls": False}, password_sealed=sealed, **way)


def deliver(rt: Runtime, router_id: int) -> None:
    routers = rt.parts["routers"]
    routers.loop.submit(routers._deliver_due(router_id)).result(120)


def ours(routeros: Any) -> list[str]:
    return [row["name"] for row in routeros.find(USER) if row.get("comment", "").startswith("bw1")]


def order(rt: Runtime, cast: Cast, router: Router, count: int) -> None:
    plan_id = cast.make_plan(site_id=router.site_id).plan_id
    batch = making.order_batch(rt, person(), making.BatchOrder(plan_id, count))
    rt.parts["batch_maker"].make(batch.id)


def test_a_thousand_cards_wait_for_a_router_that_is_off(rt, cast, clock, routeros, mikrotik):
    routeros.power_off()
    order(rt, cast, mikrotik, 1000)
    for _ in range(3):
        deliver(rt, mikrotik.id)
        clock.advance(30)
    assert rt.read(cards.progress, [mikrotik.id])[mikrotik.id] == cards.Progress(1000, 0, 1000, 0)
    assert ours(routeros) == []

    routeros.power_on()
    clock.advance(120)
    deliver(rt, mikrotik.id)
    assert len(ours(routeros)) == len(set(ours(routeros))) == 1000
    assert rt.read(cards.progress, [mikrotik.id])[mikrotik.id] == cards.Progress(1000, 1000, 0, 0)


def test_a_link_cut_in_the_middle_is_gone_on_with_and_no_card_lies_there_twice(rt, cast, clock, routeros, mikrotik):
    routeros.fail("cut-after", f"{USER}/add", skip=130)
    order(rt, cast, mikrotik, 300)
    for _ in range(3):
        deliver(rt, mikrotik.id)
        clock.advance(120)
    names = ours(routeros)
    assert len(names) == len(set(names)) == 300
    assert rt.read(cards.progress, [mikrotik.id])[mikrotik.id] == cards.Progress(300, 300, 0, 0)
