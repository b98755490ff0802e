"""The counter: a clerk sells cards, and sees nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from bawaba.accounts.models import AuditEntry
from bawaba.core.errors import Problem
from bawaba.reports import counting
from bawaba.sales import counter, sums
from bawaba.sales.models import Sale
from bawaba.sales.rules import period
from bawaba.sessions import care
from bawaba.sessions import redeem as redeeming
from bawaba.vouchers import making
from bawaba.vouchers.models import Voucher
from tests.cast import Cast, person
from tests.pages.browser import Browser
from tests.staff import app, error_of, let_in, signed_in  # noqa: F401


@pytest.fixture
def clerk(app, rt, cast) -> Browser:  # noqa: F811
    """Salma, at the café's counter."""
    let_in(rt, "salma", "clerk")
    return Browser(app, "salma")


def sold_rows(rt) -> list[Any]:
    return rt.read(lambda db: db.scalars(select(Sale).order_by(Sale.id)).all())


def cards(rt) -> int:
    return rt.read(lambda db: db.scalar(select(func.count()).select_from(Voucher)))


def deeds(rt, action: str) -> list[Any]:
    return rt.read(lambda db: db.scalars(select(AuditEntry).where(AuditEntry.action == action)).all())


def test_a_clerk_lands_at_the_counter_and_finds_nothing_else(app, rt, cast):  # noqa: F811
    let_in(rt, "salma", "clerk")
    client = app.test_client()
    for wanted in ("", "/dashboard", "/people"):
        sent = {"username": "salma", "password": "quiet-lantern-7", "next": wanted}
        assert client.post("/login", data=sent).headers["Location"] == "/counter"
    page = client.get("/counter").text
    assert "/dashboard" not in page and "/cards" not in page and "/notifications" not in page
    assert client.get("/dashboard", headers={"Accept": "text/html"}).status_code == 403


def test_one_tap_sells_one_card_and_keeps_who_sold_it_for_how_much(rt, cast, clerk):
    plan = cast.make_plan(name="Night", price_minor=350)
    sent = clerk.fields("/counter") | {"plan_id": str(plan.plan_id)}
    place = clerk.submit("/counter", sent)
    (sale,) = sold_rows(rt)
    card = cast.row(Voucher, sale.voucher_id)

    assert (sale.price_minor, sale.currency, sale.sold_by) == (350, "YER", card.created_by)
    assert making.open_code(rt.keyring, card)[:4] in clerk.read(place)
    assert card.serial in clerk.read("/counter") and "350 YER" in clerk.read("/counter")
    assert deeds(rt, "card.sold")[0].facts["price_minor"] == 350
    assert redeeming.redeem(rt, making.open_code(rt.keyring, card), cast.guest()).status == "online"
    assert len(sold_rows(rt)) == 1  # its first use is no second sale


def test_a_double_tap_makes_one_card(rt, cast, clerk):
    plans = [cast.make_plan().plan_id, cast.make_plan().plan_id]
    clerk.read("/counter")
    sent = clerk.fields("/counter")
    with ThreadPoolExecutor(8) as pool:
        taps = list(pool.map(lambda tap: clerk.post("/counter", sent | {"plan_id": str(plans[tap % 2])}), range(16)))

    places = {tap.headers["Location"].split("?")[0] for tap in taps}
    assert {tap.status_code for tap in taps} == {303}
    assert (len(places), cards(rt), len(sold_rows(rt))) == (1, 1, 1)
    again = clerk.submit("/counter", sent | {"plan_id": str(plans[0])})
    assert again.endswith("said=sold_before") and "pressed twice" in clerk.read(again)


def test_a_form_without_its_key_sells_nothing(rt, cast, clerk):
    plan = cast.make_plan()
    assert clerk.post("/counter", {"plan_id": str(plan.plan_id)}).status_code == 422
    assert cards(rt) == 0


def test_a_sale_is_taken_back_while_the_card_is_new(rt, cast, clerk, clock):
    plan = cast.make_plan()
    place = clerk.submit("/counter", clerk.fields("/counter") | {"plan_id": str(plan.plan_id)}).split("?")[0]
    card = cast.row(Voucher, sold_rows(rt)[0].voucher_id)
    assert "Take" in clerk.read(f"{place}/undo")
    clerk.submit(f"{place}/undo")

    assert sold_rows(rt) == []
    with pytest.raises(Problem) as refused:
        redeeming.redeem(rt, making.open_code(rt.keyring, card), cast.guest())
    assert refused.value.code == "voucher_disabled"
    assert deeds(rt, "sale.undone")[0].facts == {"serial": card.serial, "price_minor": 200, "currency": "YER"}
    assert clerk.post(f"{place}/undo").status_code == 404


def test_a_sale_stays_after_five_minutes_and_once_the_card_is_used(rt, cast, clock):
    salma = person("clerk", frozenset({cast.site.id}))
    late, used = (counter.sell(rt, salma, cast.make_plan().plan_id)[0] for _ in range(2))
    redeeming.redeem(rt, making.open_code(rt.keyring, used), cast.guest())
    with pytest.raises(Problem) as refused:
        counter.take_back(rt, salma, used.id)
    assert refused.value.code == "sold_card_in_use"
    clock.advance(301)
    with pytest.raises(Problem) as refused:
        counter.take_back(rt, salma, late.id)
    assert refused.value.code == "too_late_to_undo"
    assert len(sold_rows(rt)) == 2


def test_a_sale_stays_once_another_card_was_put_onto_its_card(rt, cast):
    salma = person("clerk", frozenset({cast.site.id}))
    plan = cast.make_plan()
    first, second = (counter.sell(rt, salma, plan.plan_id)[0] for _ in range(2))
    care.add_card(rt, person(), second.id, first.id)
    with pytest.raises(Problem) as refused:
        counter.take_back(rt, salma, second.id)
    assert refused.value.code == "sold_card_in_use"
    assert not rt.read(counter.own_sale, salma, second.id).may_be_undone(cast.now)
    assert redeeming.redeem(rt, making.open_code(rt.keyring, second), cast.guest()).status == "online"


def test_a_sale_taken_back_is_in_no_sum(rt, cast):
    salma = person("clerk", frozenset({cast.site.id}))
    plan = cast.make_plan()
    kept, undone = (counter.sell(rt, salma, plan.plan_id)[0] for _ in range(2))
    assert rt.transact(sums.tell, cast.site.id, "Asia/Aden") == 2
    counter.take_back(rt, salma, undone.id)

    today = period("", "", "Asia/Aden", cast.now)
    for facet, ref in (("all", 0), ("plan", plan.plan_id), ("seller", salma.user_id)):
        (found,) = rt.read(sums.sums_of, cast.site.id, today, facet)
        assert (found.ref, found.cards, found.total_minor) == (ref, 1, kept.price_minor)


def test_a_sale_taken_back_while_the_sums_are_made_anew_is_in_none(rt, cast):
    salma = person("clerk", frozenset({cast.site.id}))
    (undone, _version), today = counter.sell(rt, salma, cast.make_plan().plan_id), period("", "", "Asia/Aden", cast.now)
    counting.count_all(rt)
    rt.transact(counting.begin_anew, cast.site.id)
    counter.take_back(rt, salma, undone.id)
    counting.count_all(rt)
    assert rt.read(sums.sums_of, cast.site.id, today, "all") == []


def test_of_a_guest_and_a_clerk_in_the_same_moment_one_is_first(rt, cast):
    salma = person("clerk", frozenset({cast.site.id}))
    plan = cast.make_plan()
    for _ in range(8):
        card, _version = counter.sell(rt, salma, plan.plan_id)
        code = making.open_code(rt.keyring, card)

        def use(code: str = code) -> str:
            return told(lambda: redeeming.redeem(rt, code, cast.guest()).status)

        def undo(card_id: int = card.id) -> str:
            def deed() -> str:
                counter.take_back(rt, salma, card_id)
                return "undone"

            return told(deed)

        with ThreadPoolExecutor(2) as pool:
            guest, clerk = (one.result() for one in [pool.submit(use), pool.submit(undo)])
        sale = rt.read(lambda db, card_id=card.id: db.scalar(select(Sale.id).where(Sale.voucher_id == card_id)))
        outcome = (guest in ("online", "opening"), clerk, sale is not None)
        assert outcome in [(True, "sold_card_in_use", True), (False, "undone", False)], (guest, clerk)


def told(deed: Any) -> str:
    try:
        return str(deed())
    except Problem as refusal:
        return refusal.code


def test_nobody_sees_or_undoes_anothers_sale(app, rt, cast):  # noqa: F811
    plan = cast.make_plan()
    salma, nadia = (signed_in(app, rt, name, "clerk") for name in ("salma", "nadia"))
    sold = salma.post("/api/counter/sales", {"plan_id": plan.plan_id}, Idempotency_Key="tap-1")
    again = salma.post("/api/counter/sales", {"plan_id": plan.plan_id}, Idempotency_Key="tap-1")
    first: Any = sold.json
    card = first["voucher"]
    mine: Any = salma.get("/api/counter/sales").json
    hers: Any = nadia.get("/api/counter/sales").json

    assert (sold.status_code, again.headers["Idempotent-Replayed"], again.json) == (201, "true", first)
    assert card["code"].isdigit() and first["may_be_undone"] is True
    assert [row["voucher"]["id"] for row in mine["items"]] == [card["id"]]
    assert mine["items"][0]["voucher"]["code"].startswith("•")
    assert hers["items"] == []
    assert error_of(nadia.post(f"/api/counter/sales/{card['id']}/undo")) == "sale_not_found"
    assert nadia.get(f"/counter/{card['id']}").status_code == 404
    assert salma.get("/api/vouchers").status_code == 403
    assert salma.post(f"/api/counter/sales/{card['id']}/undo").status_code == 204


def test_the_slip_and_the_picture_are_noted_and_real(rt, cast, clerk):
    plan = cast.make_plan()
    place = clerk.submit("/counter", clerk.fields("/counter") | {"plan_id": str(plan.plan_id)}).split("?")[0]

    assert clerk.get(f"{place}/print?layout=roll-58").mimetype == "application/pdf"
    assert clerk._client.get(f"{place}/card.png").data[:4] == b"\x89PNG"
    assert b"<svg" in clerk.get(f"{place}/qr.svg").data
    assert [entry.facts["layout"] for entry in deeds(rt, "card.printed")] == ["roll-58"]
    assert clerk.get(f"{place}/print").status_code == 200


def test_today_is_the_places_day(rt, cast: Cast, clock):
    salma = person("clerk", frozenset({cast.site.id}))
    counter.sell(rt, salma, cast.make_plan().plan_id)
    seen = rt.read(counter.own_sales_today, salma, cast.site, clock.now())
    assert len(seen) == 1
    clock.advance(24 * 3600)
    assert rt.read(counter.own_sales_today, salma, cast.site, clock.now()) == []
