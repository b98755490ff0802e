"""A router and the database in step: whatever went wrong between them, one look finds it and the work that follows
mends it. What is not ours is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine, event, func, select, update

from bawaba.core.actor import SYSTEM
from bawaba.monitoring.polling import poll
from bawaba.routers import rules
from bawaba.routers.driver import Grant, Limits
from bawaba.routers.drivers import fake
from bawaba.routers.models import Router, RouterGrant
from bawaba.routers.reconcile import reconcile
from bawaba.sessions import care, service
from bawaba.sessions import redeem as redeeming
from bawaba.sessions.ending import end_session
from bawaba.sites.models import Site
from bawaba.vouchers import making
from tests.cast import HOUR, PHONE, person

INSTALL_OF_ANOTHER = "another8"


def look(rt, router_id: int):
    """One comparison, and the work that follows from it."""
    routers = rt.parts["routers"]

    async def once():
        drift = await reconcile(rt, router_id)
        await routers._deliver_due(router_id)
        return drift

    return routers.loop.submit(once()).result(20)


@pytest.fixture
def shop(rt, cast):
    """A router-held site with a router and three cards that lie on it."""
    site = cast.make_site(mode="router_held")
    router = cast.make_router(site.id, name="Held")
    box = fake.box(router.id, rt.clock)
    plan = cast.make_plan(site_id=site.id, quota_bytes=10**9)
    shop = type("Shop", (), {"site": site, "router": router, "box": box, "plan": plan})
    rt.clock.advance(120)
    look(rt, router.id)  # the first look: from now on the router is known to hold cards
    return shop


@pytest.fixture
def cards(rt, cast, shop):
    made = [make_card(rt, shop) for _ in range(3)]
    assert len(shop.box.cards) == 3
    return made


def make_card(rt, shop):
    card, _version = making.make_card(rt, SYSTEM, making.CardOrder(shop.plan.plan_id, None))
    routers = rt.parts["routers"]
    rt.clock.advance(10)
    routers.loop.submit(routers._deliver_due(shop.router.id)).result(10)
    return card


def key(card) -> str:
    return f"card:{card.id}"


def counts(drift) -> tuple[int, int, int, int]:
    return drift.missing, drift.differing, drift.extra, drift.unknown


def test_a_router_that_is_right_is_said_to_be(rt, shop, cards):
    drift = look(rt, shop.router.id)
    assert drift.in_step and counts(drift) == (0, 0, 0, 0)


def test_cards_that_are_missing_come_back(rt, shop, cards):
    for card in cards[:2]:
        del shop.box.cards[key(card)]
    assert counts(look(rt, shop.router.id)) == (2, 0, 0, 0)
    assert set(shop.box.cards) == {key(card) for card in cards}
    assert look(rt, shop.router.id).in_step


def test_limits_that_somebody_changed_on_the_router_are_put_right(rt, shop, cards):
    lying = shop.box.cards[key(cards[0])]
    lying.grant = replace(lying.grant, limits=replace(lying.grant.limits, bytes_total=10**15))
    assert counts(look(rt, shop.router.id)) == (0, 1, 0, 0)
    assert shop.box.cards[key(cards[0])].grant.limits.bytes_total == 10**9
    assert look(rt, shop.router.id).in_step


def test_a_card_that_should_be_gone_is_taken_away(rt, shop, cards):
    kept = shop.box.cards[key(cards[0])]
    rt.transact(
        lambda db: db.execute(
            update(RouterGrant).where(RouterGrant.key == cards[0].id).values(wanted=False, rev=2, synced_rev=2)
        )
    )
    assert key(cards[0]) in shop.box.cards and kept
    assert counts(look(rt, shop.router.id)) == (0, 0, 1, 0)
    assert key(cards[0]) not in shop.box.cards
    assert look(rt, shop.router.id).in_step


def test_in_the_routers_first_minute_nothing_is_taken_away(rt, shop, cards):
    rt.transact(
        lambda db: db.execute(
            update(RouterGrant).where(RouterGrant.key == cards[0].id).values(wanted=False, rev=2, synced_rev=2)
        )
    )
    shop.box.reboot()
    rt.clock.advance(30)
    drift = look(rt, shop.router.id)
    assert (drift.extra, drift.held_back) == (0, 1) and not drift.in_step
    assert key(cards[0]) in shop.box.cards
    rt.clock.advance(31)
    assert look(rt, shop.router.id).extra == 1
    assert key(cards[0]) not in shop.box.cards


@pytest.mark.parametrize(
    ("listed", "before", "uptime_s", "may"),
    [(10, 10, 3600, True), (10, 10, 59, False), (10, 10, None, True), (0, 10, 3600, False), (4, 10, 3600, False)],
)
def test_a_list_that_shrank_or_came_too_early_takes_nothing_away(listed, before, uptime_s, may):
    assert rules.may_remove(listed, before, uptime_s) is may


def test_what_is_not_ours_is_never_touched(rt, shop, cards):
    theirs = Grant("card:1", 1, "x", "x", Limits(uptime_s=HOUR), "plan")
    shop.box.put(replace(theirs, key="card:theirs"), INSTALL_OF_ANOTHER)
    ours_unknown = replace(theirs, key="card:999999")
    shop.box.put(ours_unknown, rt.keyring.fingerprint[:8])
    for _ in range(2):
        assert counts(look(rt, shop.router.id)) == (0, 0, 0, 1)
    assert {"card:theirs", "card:999999"} <= set(shop.box.cards)


def test_a_right_that_a_session_left_behind_is_cleared_away(rt, cast, clock):
    redemption = redeeming.redeem(rt, cast.make_voucher().code, cast.guest(PHONE))
    box = fake.box(cast.router.id)
    clock.advance(120)
    rt.transact(lambda db: end_session(db, redemption.session_id, "Admin-Reset", clock.now()))
    assert look(rt, cast.router.id).extra == 1
    assert box.sessions == {}
    assert look(rt, cast.router.id).in_step


def test_a_router_added_later_gets_the_sites_cards_and_a_site_that_changes_its_mind_takes_them_back(
    rt, cast, shop, cards
):
    later = cast.make_router(shop.site.id, name="Later")
    box = fake.box(later.id, rt.clock)
    rt.clock.advance(120)
    look(rt, later.id)
    assert set(box.cards) == {key(card) for card in cards}

    rt.transact(lambda db: db.execute(update(Site).where(Site.id == shop.site.id).values(mode="server_held")))
    look(rt, later.id)
    assert box.cards == {}
    rt.transact(lambda db: db.execute(update(Site).where(Site.id == shop.site.id).values(mode="router_held")))
    look(rt, later.id)
    assert set(box.cards) == {key(card) for card in cards}


def test_a_router_that_comes_to_hold_a_card_gives_what_the_card_was_given_beyond_its_plan(rt, cast, shop, cards):
    rt.transact(lambda db: db.execute(update(Site).where(Site.id == shop.site.id).values(mode="server_held")))
    look(rt, shop.router.id)
    care.extend(rt, SYSTEM, cards[0].id, HOUR, 10**6, "a gift")
    later = cast.make_router(shop.site.id, name="Later")
    rt.clock.advance(120)
    rt.transact(lambda db: db.execute(update(Site).where(Site.id == shop.site.id).values(mode="router_held")))
    for router in (shop.router, later):
        look(rt, router.id)
        limits = [fake.box(router.id, rt.clock).cards[key(card)].grant.limits for card in cards]
        assert [limit.uptime_s for limit in limits] == [4 * HOUR, 3 * HOUR, 3 * HOUR]
        assert [limit.bytes_total for limit in limits] == [10**9 + 10**6, 10**9, 10**9]


def test_a_card_that_ran_out_on_the_shelf_leaves_its_router(rt, cast, shop):
    shop.plan = cast.make_plan(site_id=shop.site.id, shelf_life_seconds=HOUR)
    card = make_card(rt, shop)
    rt.clock.advance(HOUR + 1)
    look(rt, shop.router.id)
    assert key(card) not in shop.box.cards


def test_a_card_that_ran_out_and_is_given_more_lies_on_its_router_again(rt, cast, shop):
    shop.plan = cast.make_plan(site_id=shop.site.id, shelf_life_seconds=HOUR)
    card = make_card(rt, shop)
    rt.clock.advance(HOUR + 1)
    look(rt, shop.router.id)
    care.extend(rt, SYSTEM, card.id, HOUR, 0, "sorry")
    look(rt, shop.router.id)
    assert key(card) in shop.box.cards


def test_a_card_that_is_switched_on_where_the_server_holds_it_by_now_lies_on_no_router(rt, shop, cards):
    rt.transact(lambda db: db.execute(update(Site).where(Site.id == shop.site.id).values(mode="server_held")))
    look(rt, shop.router.id)
    for disabled in (True, False):
        service.set_disabled(rt, SYSTEM, cards[0].id, disabled)
    care.freeze(rt, SYSTEM, cards[1].id)
    care.unfreeze(rt, SYSTEM, cards[1].id)
    look(rt, shop.router.id)
    assert shop.box.cards == {}


def test_a_card_that_ran_out_while_the_server_held_it_does_not_come_back(rt, cast, shop):
    def hold(mode: str) -> None:
        rt.transact(lambda db: db.execute(update(Site).where(Site.id == shop.site.id).values(mode=mode)))
        look(rt, shop.router.id)

    shop.plan = cast.make_plan(site_id=shop.site.id, shelf_life_seconds=HOUR)
    card = make_card(rt, shop)
    hold("server_held")
    rt.clock.advance(6 * HOUR)
    look(rt, shop.router.id)
    hold("router_held")
    assert key(card) not in shop.box.cards


def test_the_poll_compares_when_it_is_time_and_after_the_router_was_away(rt, shop, cards):
    def polled() -> list[str]:
        shop.box.calls.clear()
        rt.parts["routers"].loop.submit(poll(rt, shop.router.id)).result(10)
        return shop.box.calls

    assert "owned" not in polled()
    rt.clock.advance(3600)
    assert "owned" in polled()
    shop.box.break_with("unreachable")
    polled(), polled()
    shop.box.mend()
    assert "owned" in polled()


def test_what_the_last_look_found_is_kept_with_the_router(rt, cast, shop, cards):
    del shop.box.cards[key(cards[0])]
    look(rt, shop.router.id)
    drift = cast.row(Router, shop.router.id).drift
    assert (drift["missing"], drift["examples"], drift["mode"]) == (1, [key(cards[0])], "router_held")
    behind = select(func.count()).select_from(RouterGrant).where(RouterGrant.synced_rev < RouterGrant.rev)
    assert rt.read(lambda db: db.scalar(behind)) == 0


def test_the_owner_compares_by_hand_and_reads_what_came_of_it(rt, shop, cards, hana):
    del shop.box.cards[key(cards[0])]
    told = hana.post(f"/api/routers/{shop.router.id}/reconcile").json
    assert (told["ok"], told["drift"]["missing"]) == (True, 1)
    assert hana.get(f"/api/routers/{shop.router.id}").json["drift"]["examples"] == [key(cards[0])]
    shop.box.break_with("unreachable")
    assert hana.post(f"/api/routers/{shop.router.id}/reconcile").json["error"] == "unreachable"


def test_a_site_of_many_cards_is_brought_into_step_a_group_at_a_time(rt, cast, shop):
    """Whoever redeems meanwhile waits behind 500 rows, not behind all of them."""
    batch = making.order_batch(rt, person(), making.BatchOrder(shop.plan.plan_id, 1100))
    rt.parts["batch_maker"].make(batch.id)
    look(rt, shop.router.id)
    touched: list[int] = []

    def note(_connection, cursor, statement, *_rest):
        if "router_grant" in statement:
            touched.append(cursor.rowcount)

    event.listen(Engine, "after_cursor_execute", note)
    try:
        for mode, there in (("server_held", 0), ("router_held", 1100)):
            rt.transact(lambda db, mode=mode: db.execute(update(Site).values(mode=mode)))
            look(rt, shop.router.id)
            assert len(shop.box.cards) == there
        for lost in list(shop.box.cards)[:700]:
            del shop.box.cards[lost]
        assert counts(look(rt, shop.router.id)) == (700, 0, 0, 0)
    finally:
        event.remove(Engine, "after_cursor_execute", note)
    assert len(shop.box.cards) == 1100 and max(touched) <= 500


def test_who_ran_out_together_leaves_group_by_group(rt, cast, shop):
    shop.plan = cast.make_plan(site_id=shop.site.id, shelf_life_seconds=HOUR)
    batch = making.order_batch(rt, person(), making.BatchOrder(shop.plan.plan_id, 1100))
    rt.parts["batch_maker"].make(batch.id)
    look(rt, shop.router.id)
    assert len(shop.box.cards) == 1100
    rt.clock.advance(HOUR + 1)
    look(rt, shop.router.id)
    assert shop.box.cards == {}
