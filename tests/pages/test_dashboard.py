"""The dashboard's figures."""

from __future__ import annotations

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

from bawaba.core.clock import ManualClock
from bawaba.core.runtime import Runtime
from bawaba.monitoring.figures import Dashboard, dashboard
from bawaba.plans.words import plan_title
from bawaba.routers.models import RouterJob
from bawaba.sales.models import Sale
from bawaba.sales.service import record_sale
from bawaba.sessions.models import GuessMeter
from bawaba.sessions.redeem import redeem
from bawaba.vouchers import queries
from bawaba.vouchers.models import Batch
from tests.cast import Cast, phones
from tests.cast import person as somebody
from tests.pages.browser import Browser, words


def board(rt: Runtime) -> Dashboard:
    return rt.read(dashboard, somebody("admin"), rt.clock.now())


def sell(cast: Cast, price_minor: int, hours_ago: float) -> None:
    """A sale some hours before now."""
    card = cast.make_voucher(price_minor=price_minor)
    plan = cast.make_plan()
    when = cast.now - timedelta(hours=hours_ago)
    facts = {"voucher_id": card.id, "site_id": cast.site.id, "plan_version_id": plan.id, "sold_at": when}
    cast._add(Sale(**facts, price_minor=price_minor, currency="YER"))


def test_today_begins_at_midnight_on_the_sites_clock(rt: Runtime, cast: Cast, clock: ManualClock):
    here = clock.now().astimezone(ZoneInfo("Asia/Aden"))
    clock.advance((24 - here.hour + 1) * 3600 - here.minute * 60 - here.second)  # one at night; in UTC still yesterday
    sell(cast, 200, hours_ago=0.9)
    sell(cast, 300, hours_ago=1.1)

    today, days = board(rt).today, board(rt).days

    assert [(money.cards, money.total_minor) for money in today] == [(1, 200)]
    assert [day.total_minor for day in days] == [0, 0, 0, 0, 0, 300, 200]


def test_a_card_that_is_redeemed_is_online_sold_and_no_longer_left(rt: Runtime, cast: Cast, working: Runtime):
    version = cast.make_plan()
    cards = [cast.make_voucher(version=version) for _ in range(3)]
    assert board(rt).stock[0].left == 3

    redeem(rt, cards[0].code, cast.guest())

    now = board(rt)
    assert (now.online, now.stock[0].left, now.today[0].total_minor) == (1, 2, 200)
    assert now.live[0].serial == cards[0].serial


def test_cards_that_cannot_be_sold_are_not_left(rt: Runtime, cast: Cast, clock: ManualClock):
    version = cast.make_plan(shelf_life_seconds=3600)
    cast.make_voucher(version=version)
    cast.make_voucher(version=version, card={"disabled_at": cast.now})
    facts = {"plan_version_id": version.id, "quantity": 1, "code_style": "digits", "price_minor": 1, "currency": "YER"}
    batch = cast._add(Batch(site_id=cast.site.id, number=1, state="making", created_at=cast.now, **facts))
    cast.make_voucher(version=version, card={"batch_id": batch.id})
    assert board(rt).stock[0].left == 1

    clock.advance(3601)
    assert board(rt).stock[0].left == 0


def test_a_card_sold_at_the_counter_is_not_left_before_it_is_used(rt: Runtime, cast: Cast):
    version = cast.make_plan()
    sold, _left = (cast.make_voucher(version=version) for _ in range(2))
    rt.transact(record_sale, sold.id, cast.now)

    assert board(rt).stock[0].left == 1


def test_cards_stay_made_once_all_are_used(rt: Runtime, cast: Cast):
    cast.make_voucher(card={"status": "used"})

    assert board(rt).steps.cards


def test_a_stock_is_counted_up_to_a_cap(rt: Runtime, cast: Cast, monkeypatch, hana: Browser):
    version = cast.make_plan()
    for _ in range(4):
        cast.make_voucher(version=version)
    monkeypatch.setattr(queries, "STOCK_MOST", 3)

    assert board(rt).stock[0].left == 3


def test_what_needs_a_person_stands_on_top(rt: Runtime, cast: Cast, hana: Browser):
    job = {"router_id": cast.router.id, "kind": "kick", "next_try_at": cast.now, "created_at": cast.now}
    cast._add(RouterJob(**job, state="failed", last_error="gave up"))
    cast._add(RouterJob(**job, state="open", last_error="no answer"))
    cast._add(RouterJob(**job, state="open"))
    until = cast.now + timedelta(minutes=1)
    cast._add(GuessMeter(site_id=cast.site.id, device="", tries=60, counted_at=cast.now, blocked_until=until))

    page = hana.read("/dashboard")

    assert "1 thing needs your decision." in page and "1 thing is being tried again." in page
    assert f"Somebody is guessing codes at {cast.site.name}." in page


def test_a_plan_whose_cards_run_out_is_said_so_with_the_way_to_more(cast: Cast, hana: Browser):
    version = cast.make_plan(name="Evening")
    for _ in range(2):
        cast.make_voucher(version=version)

    page = hana.get("/dashboard").text

    assert "Only 2 cards of Evening are left." in words(page).replace("\u2068", "").replace("\u2069", "")
    assert f'href="/cards/new?plan_id={version.plan_id}"' in page


def test_a_name_that_says_what_a_plan_buys_is_not_said_twice(cast: Cast):
    version = cast.make_plan(name="1 GB", duration_seconds=None, quota_bytes=1024**3, rate_down_kbps=None)

    assert plan_title(version).count("1 GB") == 1


def test_an_empty_hotspot_is_shown_its_next_step(rt: Runtime, cast: Cast, hana: Browser):
    page = hana.get("/dashboard").text

    assert "Before your first guest" in words(page)
    assert re.search(r'href="/plans/new">Add it', page) and not re.search(r'href="/routers/new">Add it', page)


def test_nobody_sees_another_sites_figures(rt: Runtime, cast: Cast, working: Runtime):
    for phone in phones(2):
        redeem(rt, cast.make_voucher().code, cast.guest(phone))
    elsewhere = cast.make_site()
    stranger = somebody("operator", frozenset({elsewhere.id}))

    seen = rt.read(dashboard, stranger, rt.clock.now())

    assert (seen.online, seen.today, seen.stock, seen.routers, seen.live) == (0, [], [], [], [])


def test_to_htmx_the_dashboard_is_a_piece_without_its_frame(hana: Browser):
    piece = hana.get("/dashboard", **{"HX-Request": "true"})

    assert "<html" not in piece.text and 'id="online-now"' in piece.text and "HX-Request" in piece.headers["Vary"]


def test_the_page_of_the_cache_shows_how_much_came_from_it(hana, rt):
    for _ in range(3):
        hana.read("/dashboard")

    assert "Hit rate" in hana.read("/cache")
    count = rt.cache.counts()["sites"]
    assert count.hits >= 3 and count.misses >= 1
