"""What the staff do to a card that was sold; and that nobody wins or loses time by it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from bawaba.accounts.models import AuditEntry
from bawaba.core.errors import Problem
from bawaba.routers.drivers import fake
from bawaba.routers.models import RouterGrant
from bawaba.sales import counter
from bawaba.sales.models import Sale
from bawaba.sessions import care, checking, service
from bawaba.sessions import redeem as redeeming
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import making
from bawaba.vouchers.models import Voucher
from bawaba.vouchers.queries import get_card
from tests.cast import HOUR, MIB, PHONE, TABLET, Card, Cast, person
from tests.pages.browser import Browser
from tests.staff import app, error_of, faults_of, hana, omar, vera  # noqa: F401

HANA = person()


def told(deed: Callable[[], Any]) -> str:
    """`done`, or the refusal's code."""
    try:
        deed()
    except Problem as refusal:
        return refusal.code
    return "done"


def left(rt, cast: Cast, card_id: int) -> Any:
    return rt.read(checking.look, HANA, card_id, cast.now).left


def use(rt, cast: Cast, card: Card, mac: str = PHONE) -> Any:
    return redeeming.redeem(rt, card.code, cast.guest(mac))


def count(rt, model: type) -> int:
    return rt.read(lambda db: db.scalar(select(func.count()).select_from(model)) or 0)


def live(rt, card_id: int) -> list[GuestSession]:
    mine = select(GuestSession).where(GuestSession.voucher_id == card_id, GuestSession.ended_at.is_(None))
    return rt.read(lambda db: list(db.scalars(mine)))


def test_a_guest_online_stays_so_for_longer_here_and_on_the_router(rt, cast, clock):
    card = cast.make_voucher(duration_seconds=HOUR, quota_bytes=100 * MIB)
    ends = use(rt, cast, card).end_time
    clock.advance(600)
    care.extend(rt, HANA, card.id, 2 * HOUR, 50 * MIB, "the network was down")

    assert (left(rt, cast, card.id).seconds, left(rt, cast, card.id).bytes_total) == (3 * HOUR - 600, 150 * MIB)
    assert live(rt, card.id)[0].end_time == ends + timedelta(hours=2)
    (there,) = fake.box(cast.router.id).sessions.values()
    assert (there.grant.limits.uptime_s, there.grant.limits.bytes_total) == (3 * HOUR - 600, 150 * MIB)
    (deed,) = rt.read(lambda db: db.scalars(select(AuditEntry).where(AuditEntry.action == "card.extended")).all())
    assert deed.facts["reason"] == "the network was down"


def test_a_card_that_is_over_goes_on_from_now(rt, cast, clock):
    over = cast.make_voucher(duration_seconds=HOUR)
    spent = cast.make_voucher(kind="used_time", duration_seconds=HOUR, card={"used_seconds": HOUR, "status": "used"})
    stale = cast.make_voucher(shelf_life_seconds=HOUR)
    use(rt, cast, over)
    clock.advance(5 * HOUR)
    for card in (over, spent, stale):
        care.extend(rt, HANA, card.id, HOUR, 0, "sorry")
    assert left(rt, cast, over.id).seconds == HOUR
    assert left(rt, cast, spent.id).seconds == HOUR
    assert use(rt, cast, stale, TABLET).status == "online"


def test_an_unused_card_with_a_fixed_end_is_good_until_the_later_one(rt, cast, clock):
    room = cast.make_voucher(duration_seconds=None, card={"ends_at": cast.now + timedelta(hours=2)})
    both = cast.make_voucher(shelf_life_seconds=3 * HOUR, card={"ends_at": cast.now + timedelta(hours=2)})
    for card in (room, both):
        care.extend(rt, HANA, card.id, 24 * HOUR, 0, "stays another night")
    assert cast.row(Voucher, both.id).over_at == cast.now + timedelta(hours=3)  # its shelf life stays
    clock.advance(5 * HOUR)
    assert use(rt, cast, room).status == "online"
    assert left(rt, cast, room.id).seconds == 21 * HOUR


def test_nothing_is_added_where_there_is_no_limit_or_no_card_to_add_to(rt, cast):
    endless = cast.make_voucher(duration_seconds=None, quota_bytes=MIB)
    timed = cast.make_voucher()
    off = cast.make_voucher(card={"disabled_at": cast.now})
    assert told(lambda: care.extend(rt, HANA, endless.id, HOUR, 0, "x")) == "invalid"
    assert told(lambda: care.extend(rt, HANA, timed.id, 0, MIB, "x")) == "invalid"
    assert told(lambda: care.extend(rt, HANA, off.id, HOUR, 0, "x")) == "card_switched_off"


@pytest.mark.parametrize("terms", [{"kind": "elapsed"}, {"kind": "used_time", "valid_for_seconds": 48 * HOUR}])
def test_freezing_gives_and_takes_no_second(rt, cast, clock, terms):
    card = cast.make_voucher(duration_seconds=10 * HOUR, **terms)
    use(rt, cast, card)
    clock.advance(HOUR)
    for pause in (1, 600, 100 * HOUR):
        care.freeze(rt, HANA, card.id)
        assert fake.box(cast.router.id).sessions == {} and live(rt, card.id) == []
        assert told(lambda: use(rt, cast, card)) == "voucher_disabled"
        clock.advance(pause)
        assert left(rt, cast, card.id).seconds == 9 * HOUR
        care.unfreeze(rt, HANA, card.id)
        assert left(rt, cast, card.id).seconds == 9 * HOUR
    assert use(rt, cast, card).remaining_seconds == 9 * HOUR


def test_switching_a_frozen_card_on_thaws_it_and_a_fixed_end_stays(rt, cast, clock, app, hana):  # noqa: F811
    fixed = cast.make_voucher(duration_seconds=10 * HOUR, card={"ends_at": cast.now + timedelta(hours=6)})
    use(rt, cast, fixed)
    assert hana.post(f"/api/vouchers/{fixed.id}/freeze").json["frozen_at"] is not None
    clock.advance(2 * HOUR)
    hana.sign_in()
    assert hana.post(f"/api/vouchers/{fixed.id}/enable").json["frozen_at"] is None
    assert left(rt, cast, fixed.id).seconds == 4 * HOUR


def test_a_lost_cards_rest_goes_to_a_new_one_and_is_sold_once(rt, cast, clock):
    card = cast.make_voucher(kind="used_time", duration_seconds=10 * HOUR, quota_bytes=100 * MIB)
    use(rt, cast, card)
    clock.advance(HOUR)
    made, _version = care.replace(rt, HANA, card.id, "lost on the beach")
    new = Card(made, making.open_code(rt.keyring, made))

    assert told(lambda: use(rt, cast, card)) == "voucher_disabled"
    assert live(rt, card.id) == [] and fake.box(cast.router.id).sessions == {}
    assert left(rt, cast, new.id).seconds == 9 * HOUR
    assert use(rt, cast, new, TABLET).status == "online"
    assert (count(rt, Sale), made.price_minor, made.currency) == (1, 200, "YER")
    with pytest.raises(Problem) as again:
        care.replace(rt, HANA, card.id, "lost on the beach")
    assert (again.value.code, again.value.details["to"]) == ("card_moved", made.id)
    assert told(lambda: care.extend(rt, HANA, card.id, HOUR, 0, "x")) == "card_moved"


def test_an_unsold_lost_card_is_sold_at_its_first_use(rt, cast):
    card = cast.make_voucher()
    made, _version = care.replace(rt, HANA, card.id, "torn")
    use(rt, cast, Card(made, making.open_code(rt.keyring, made)))
    (sale,) = rt.read(lambda db: db.scalars(select(Sale)).all())
    assert (sale.voucher_id, sale.price_minor) == (made.id, 200)


def test_a_card_that_was_sold_and_lost_before_its_first_use_is_sold_once(rt, cast):
    sold, _version = counter.sell(rt, HANA, cast.make_plan().plan_id)
    made, _version = care.replace(rt, HANA, sold.id, "lost on the way")
    assert use(rt, cast, Card(made, making.open_code(rt.keyring, made))).status == "online"
    assert rt.read(lambda db: list(db.scalars(select(Sale.voucher_id)))) == [sold.id]


def test_a_second_card_is_added_and_used_up(rt, cast, clock):
    plan = cast.make_plan(duration_seconds=HOUR, quota_bytes=100 * MIB)
    first, second = (cast.make_voucher(version=plan) for _ in range(2))
    use(rt, cast, first)
    clock.advance(600)
    care.add_card(rt, HANA, first.id, second.id)

    assert (left(rt, cast, first.id).seconds, left(rt, cast, first.id).bytes_total) == (2 * HOUR - 600, 200 * MIB)
    assert told(lambda: use(rt, cast, second, TABLET)) == "voucher_used"
    assert left(rt, cast, second.id).seconds == 0
    assert count(rt, Sale) == 2
    assert told(lambda: care.add_card(rt, HANA, first.id, second.id)) == "card_moved"
    assert next(iter(fake.box(cast.router.id).sessions.values())).grant.limits.uptime_s == 2 * HOUR - 600


def test_what_is_not_of_a_sort_or_in_use_or_spent_is_not_added(rt, cast, clock):
    plan = cast.make_plan()
    first, busy = (cast.make_voucher(version=plan) for _ in range(2))
    other_sorts = [
        cast.make_voucher(kind="used_time"),
        cast.make_voucher(rate_down_kbps=512),
        cast.make_voucher(devices_at_once=3),
        cast.make_voucher(quota_bytes=MIB),
        first,
    ]
    use(rt, cast, busy)
    assert {told(partial(care.add_card, rt, HANA, first.id, card.id)) for card in other_sorts} == {"cards_differ"}
    assert told(lambda: care.add_card(rt, HANA, first.id, busy.id)) == "card_in_use"


@pytest.mark.parametrize("deed", ["replace", "add"])
def test_of_two_clerks_or_a_clerk_and_a_guest_one_is_first(rt, cast, deed):
    plan = cast.make_plan()
    for turn in range(6):
        card, onto = (cast.make_voucher(version=plan) for _ in range(2))
        deeds: dict[str, Callable[[], Any]] = {
            "replace": partial(care.replace, rt, HANA, card.id, "lost"),
            "add": partial(care.add_card, rt, HANA, onto.id, card.id),
        }
        rivals = [deeds[deed], deeds[deed] if turn % 2 else partial(use, rt, cast, card)]
        before = count(rt, Voucher)
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(told, rivals))
        changed = cast.row(Voucher, card.id).moved_to is not None
        if turn % 2:
            assert sorted(answers) == ["card_moved", "done"]
        elif deed == "add":  # added, and then no card for a guest; or the guest's, and then not added
            assert answers in (["done", "voucher_used"], ["card_in_use", "done"]), answers
        else:  # in either order it is replaced; whoever was online by it is not any more
            assert answers in (["done", "done"], ["done", "voucher_disabled"]), answers
            assert live(rt, card.id) == []
        assert count(rt, Voucher) - before == (1 if deed == "replace" and changed else 0)
    codes = rt.read(lambda db: db.execute(select(func.count(Sale.id), func.count(Sale.voucher_id.distinct()))).one())
    assert codes[0] == codes[1]


def test_a_card_that_is_replaced_meanwhile_is_not_switched_on_again(rt, cast, monkeypatch):
    site = cast.make_site(mode="router_held")
    fake.box(cast.make_router(site.id).id, rt.clock)
    made, _version = making.make_card(rt, HANA, making.CardOrder(cast.make_plan(site_id=site.id).plan_id))
    service.set_disabled(rt, HANA, made.id, True)
    seen, replaced = threading.Event(), threading.Event()
    first_look = get_card

    def look_slowly(*asked: Any) -> Any:
        found = first_look(*asked)
        seen.set()
        replaced.wait(1 if rt.database.is_sqlite else 10)  # whose one writer lets nobody in between
        return found

    monkeypatch.setattr(service, "get_card", look_slowly)
    with ThreadPoolExecutor(2) as pool:
        switched = pool.submit(told, partial(service.set_disabled, rt, HANA, made.id, False))
        assert seen.wait(10)
        pool.submit(care.replace, rt, HANA, made.id, "lost").result()
        replaced.set()
    assert (switched.result(), cast.row(Voucher, made.id).moved_to is not None) in [
        ("card_moved", True),
        ("done", True),
    ]
    wanted = select(RouterGrant.wanted).where(RouterGrant.key == made.id)
    assert rt.read(lambda db: db.scalars(wanted).all()) == [False]


def test_cards_on_routers_get_their_new_limits_and_lost_ones_go(rt, cast):
    site = cast.make_site(mode="router_held")
    router = cast.make_router(site.id)
    fake.box(router.id, rt.clock)
    plan = cast.make_plan(site_id=site.id, duration_seconds=HOUR, quota_bytes=MIB)
    made, _version = making.make_card(rt, HANA, making.CardOrder(plan.plan_id))
    care.extend(rt, HANA, made.id, HOUR, MIB, "x")

    def grant(card_id: int) -> RouterGrant:
        return rt.read(lambda db: db.scalars(select(RouterGrant).where(RouterGrant.key == card_id)).one())

    assert (grant(made.id).limits["uptime_s"], grant(made.id).limits["bytes_total"]) == (2 * HOUR, 2 * MIB)
    assert grant(made.id).rev > grant(made.id).synced_rev
    care.freeze(rt, HANA, made.id)
    assert grant(made.id).wanted is False
    care.unfreeze(rt, HANA, made.id)
    new, _version = care.replace(rt, HANA, made.id, "lost")
    assert (grant(made.id).wanted, grant(new.id).wanted) == (False, True)
    assert grant(new.id).limits["uptime_s"] == 2 * HOUR


def test_a_used_card_that_is_switched_on_again_does_not_begin_anew_on_a_router(rt, cast, clock):
    site = cast.make_site(mode="router_held")
    router = cast.make_router(site.id)
    fake.box(router.id, rt.clock)
    plan = cast.make_plan(site_id=site.id, kind="used_time", duration_seconds=3 * HOUR)
    made, _version = making.make_card(rt, HANA, making.CardOrder(plan.plan_id))
    code = making.open_code(rt.keyring, made)
    redeeming.redeem(rt, code, cast.guest(router=router))
    clock.advance(2 * HOUR)
    care.freeze(rt, HANA, made.id)
    care.unfreeze(rt, HANA, made.id)
    for disabled in (True, False):
        service.set_disabled(rt, HANA, made.id, disabled)
    held = select(RouterGrant.wanted).where(RouterGrant.key == made.id)
    assert rt.read(lambda db: db.scalars(held).all()) == [False]
    assert redeeming.redeem(rt, code, cast.guest(router=router)).status == "online"
    assert left(rt, cast, made.id).seconds == HOUR


def test_a_router_gives_a_replaced_card_only_what_was_left_and_what_was_added(rt, cast, clock):
    site = cast.make_site(mode="router_held")
    router = cast.make_router(site.id)
    fake.box(router.id, rt.clock)
    plan = cast.make_plan(site_id=site.id, kind="used_time", duration_seconds=HOUR, quota_bytes=10 * MIB)
    facts = {"status": "used", "used_seconds": 1800, "bytes_down": 6 * MIB}
    lost = cast.make_voucher(version=plan, site_id=site.id, card=facts)
    new, _version = care.replace(rt, HANA, lost.id, "lost")
    care.extend(rt, HANA, new.id, 600, MIB, "sorry")

    assert (left(rt, cast, new.id).seconds, left(rt, cast, new.id).bytes_total) == (2400, 5 * MIB)
    held = rt.read(lambda db: db.scalars(select(RouterGrant.limits).where(RouterGrant.key == new.id)).one())
    assert (held["uptime_s"], held["bytes_total"]) == (2400, 5 * MIB)


def test_the_form_that_is_sent_twice_gives_once(cast, app, hana):  # noqa: F811
    card = cast.make_voucher()
    browser = Browser(app, "hana")
    place = f"/cards/{card.id}/extend"
    sent = browser.fields(place) | {"time": "2", "time_unit": "hours", "reason": "sorry"}
    with ThreadPoolExecutor(2) as pool:
        taps = list(pool.map(lambda _tap: browser.post(place, sent), range(2)))
    assert [tap.status_code for tap in taps] == [303, 303]
    assert cast.row(Voucher, card.id).extra_seconds == 2 * HOUR

    more = {"seconds": 60, "reason": "x"}
    answers = [hana.post(f"/api/vouchers/{card.id}/extend", more, Idempotency_Key="tap-1") for _ in range(2)]
    assert [answer.json["extra_seconds"] for answer in answers] == [2 * HOUR + 60] * 2
    assert answers[1].headers["Idempotent-Replayed"] == "true"


def test_over_the_api_each_with_its_refusals(cast, app, hana, vera):  # noqa: F811
    plan = cast.make_plan(quota_bytes=MIB)
    card, other = (cast.make_voucher(version=plan) for _ in range(2))
    place = f"/api/vouchers/{card.id}"
    more = {"seconds": 60, "bytes": 5, "reason": "x"}
    assert hana.post(f"{place}/extend", more).json["extra_seconds"] == 60
    assert list(faults_of(hana.post(f"{place}/extend", {"seconds": 60}))) == ["reason"]
    assert hana.post(f"{place}/add", {"card": other.serial}).json["extra_seconds"] == 60 + 3 * HOUR
    assert error_of(hana.post(f"{place}/add", {"card": "S999999"})) == "card_not_found"
    assert hana.post(f"{place}/freeze").json["status"] == "disabled"
    assert error_of(hana.post(f"{place}/extend", more)) == "card_switched_off"
    assert hana.post(f"{place}/unfreeze").json["status"] == "unused"
    made = hana.post(f"{place}/replace", {"reason": "lost"})
    assert (made.status_code, made.json["extra_seconds"]) == (201, 60 + 3 * HOUR)
    assert error_of(hana.post(f"{place}/replace", {"reason": "lost"})) == "card_moved"
    assert vera.post(f"{place}/extend", more).status_code == 403


def test_a_card_is_checked_by_code_serial_or_scan_and_guessing_is_capped(rt, cast, clock):
    card = cast.make_voucher()
    for typed in (
        card.code,
        card.serial.lower(),
        f"http://login.wifi/c/{card.code}",
        f" {card.code[:4]} {card.code[4:]}",
    ):
        assert checking.check(rt, HANA, typed) == card.id
    unknown = [cast.make_voucher(site_id=cast.make_site().id).code for _ in range(6)]
    salma = person("clerk", frozenset({cast.site.id}), 7)
    answers = [told(partial(checking.check, rt, salma, code)) for code in unknown]
    assert answers == ["voucher_unknown"] * 5 + ["too_many_tries"]
    assert checking.check(rt, HANA, card.code) == card.id
    clock.advance(61)
    assert checking.check(rt, salma, card.code) == card.id
