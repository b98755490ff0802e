"""What a report says over the API, on the page, in the file and on paper; and what is left to sell."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pypdfium2
import pytest

from bawaba.core.runtime import Runtime
from bawaba.reports import rules, summary
from bawaba.reports.stock import CACHED as STOCK
from bawaba.sales.models import Sale
from bawaba.sales.service import record_sale
from bawaba.sessions.models import GuestSession
from bawaba.vouchers.models import Voucher
from tests.cast import Cast
from tests.pages.browser import Browser
from tests.staff import app, hana, let_in, omar, signed_in, vera  # noqa: F401

MARCH = "from=2026-03-01&to=2026-03-31"
NIGHT = datetime(2026, 3, 1, 21, 30, tzinfo=UTC)  # half past midnight of 2 March in Aden, a Monday
GIB = 1024**3


@pytest.fixture
def shop(rt: Runtime, cast: Cast) -> Cast:
    """Three cards of two plans sold and used, one of them by Hana at the counter and in dollars; one in February."""
    night, day = cast.make_plan(name="=Night"), cast.make_plan(name="Day")
    sell(cast, night, NIGHT, 200)
    sell(cast, night, NIGHT + timedelta(days=3), 200)
    sell(cast, day, NIGHT + timedelta(days=3), 350, currency="USD", sold_by=1)
    sell(cast, day, datetime(2026, 2, 20, tzinfo=UTC), 100)
    return cast


def sell(cast: Cast, version, at: datetime, price: int, currency: str = "YER", sold_by: int | None = None) -> None:
    card = cast.row(Voucher, cast.make_voucher(version=version, card={"status": "used"}).id)
    facts = {"voucher_id": card.id, "site_id": card.site_id, "plan_version_id": card.plan_version_id}
    cast._add(Sale(**facts, price_minor=price, currency=currency, sold_at=at, sold_by=sold_by))
    cast._add(
        GuestSession(
            site_id=card.site_id, voucher_id=card.id, router_id=cast.router.id, client_mac="02:00:5e:10:00:01",
            state="ended", start_time=at, ended_at=at + timedelta(hours=1), used_seconds=3600, bytes_down=GIB,
            created_at=at,
        )
    )  # fmt: skip


def asked(person, by: str) -> dict:
    answer = person.get(f"/api/reports?{MARCH}&by={by}")
    assert answer.status_code == 200, answer.text
    return answer.json


def lines(body: dict) -> list[tuple]:
    return [(line[body["by"]], line["cards"], money(line["income"]), line["sessions"]) for line in body["items"]]


def money(income: list[dict]) -> str:
    return " ".join(f"{one['total_minor']} {one['currency']}" for one in income)


def test_days_and_months_are_the_site_s(hana, shop):  # noqa: F811
    assert lines(asked(hana, "day")) == [("2026-03-05", 2, "200 YER 350 USD", 2), ("2026-03-02", 1, "200 YER", 1)]
    assert lines(asked(hana, "month")) == [("2026-03", 3, "400 YER 350 USD", 3)]
    totals = asked(hana, "day")["totals"]
    assert (totals["cards"], totals["sessions"], totals["seconds"], totals["bytes_down"]) == (3, 3, 10800, 3 * GIB)


def test_plans_routers_sellers_and_batches(rt, hana, shop):  # noqa: F811
    assert lines(asked(hana, "plan")) == [("=Night", 2, "400 YER", 2), ("Day", 1, "350 USD", 1)]
    assert lines(asked(hana, "batch")) == [("", 3, "400 YER 350 USD", 3)]
    assert lines(asked(hana, "router")) == [(shop.router.name, 3, "400 YER 350 USD", 3)]
    sellers = lines(asked(hana, "seller"))
    assert [(cards, income) for _name, cards, income, _ in sellers] == [(2, "400 YER"), (1, "350 USD")]


def test_the_busiest_hours_are_by_weekday_and_hour_on_the_site_s_clock(hana, shop):  # noqa: F811
    body = asked(hana, "hour")
    heat = body["sessions_by_weekday_and_hour"]
    assert (heat[0][0], heat[3][0], sum(map(sum, heat))) == (1, 2, 3)  # Monday and Thursday, after midnight
    assert len(body["items"]) == 24


def test_the_days_before_are_as_many(hana, shop):  # noqa: F811
    assert asked(hana, "day")["before"]["cards"] == 1  # 29 January to 28 February
    assert rules.percent_more(3, 2) == 50 and rules.percent_more(1, 2) == -50 and rules.percent_more(3, 0) is None


def test_a_report_is_read_once_until_something_is_sold(rt, hana, shop):  # noqa: F811
    asked(hana, "plan"), asked(hana, "plan")
    count = rt.cache.counts()["reports"]
    assert (count.hits, count.misses) == (1, 1)
    sell(shop, shop.make_plan(name="New"), NIGHT, 1)
    assert ("New", 1, "1 YER", 1) in lines(asked(hana, "plan"))


def test_the_file_runs_no_formula_and_counts_use_once(hana, shop):  # noqa: F811
    answer = hana.get(f"/api/reports.csv?{MARCH}&by=day")
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"), newline="")))
    assert answer.data.startswith(b"\xef\xbb\xbf") and answer.mimetype == "text/csv"
    assert [(row["day"], row["total"], row["currency"], row["sessions"]) for row in rows] == [
        ("2026-03-05", "200", "YER", "2"),
        ("2026-03-05", "3.50", "USD", ""),
        ("2026-03-02", "200", "YER", "1"),
    ]
    assert "'=Night" in hana.get(f"/api/reports.csv?{MARCH}&by=plan").data.decode()


@pytest.mark.parametrize("language", ["en", "ar"])
def test_on_paper_it_says_the_same_in_both_languages(rt, hana, shop, language):  # noqa: F811
    answer = hana.get(f"/api/reports.pdf?{MARCH}&by=plan&lang={language}", Accept_Language=language)
    assert answer.status_code == 200, answer.text
    with open(answer.headers["X-Bawaba-File"], "rb") as file:
        pdf = pypdfium2.PdfDocument(file.read())
    text = pdf[0].get_textpage().get_text_range()
    assert "=Night" in text and "400" in text and ("Income" in text) == (language == "en")


def test_who_sees_what(hana, omar, vera, shop, rt):  # noqa: F811
    other = shop.make_site()
    for person in (omar, vera):
        assert person.get(f"/api/reports?{MARCH}&site_id={other.id}").status_code == 404
    assert hana.get("/api/reports?by=colour").status_code == 422


def test_stock_says_what_is_left_and_what_is_over_soon(rt, hana, cast):  # noqa: F811
    now, plan = cast.now, cast.make_plan(name="Day")
    for over_at in (None, now + timedelta(days=3), now + timedelta(days=20), now + timedelta(days=90), now):
        cast.make_voucher(version=plan, card={"over_at": over_at})
    cast.make_voucher(version=plan, card={"status": "used"})
    cast.make_voucher(version=plan, card={"disabled_at": now})
    rt.transact(record_sale, cast.make_voucher(version=plan).id, now)

    (item,) = hana.get("/api/reports/stock").json["items"]
    assert (item["name"], item["left"], item["over_in_7_days"], item["over_in_30_days"]) == ("Day", 4, 1, 2)
    cast.make_voucher(version=plan)
    assert hana.get("/api/reports/stock").json["items"][0]["left"] == 5
    assert rt.cache.counts()[STOCK.name].misses == 2


def test_every_page_of_reports_is_read_in_both_languages(rt, app, shop):  # noqa: F811
    let_in(rt, "reem", "admin")
    reem = Browser(app, "reem")
    for by in (*rules.WAYS, "stock"):
        assert "Reports" in reem.read(f"/reports?{MARCH}&by={by}")
        assert "التقارير" in reem.read(f"/reports?{MARCH}&by={by}&lang=ar")
    page = reem.read(f"/reports?{MARCH}&by=day&lang=en")
    assert "200 % more than the days before" in page
    assert "Nothing in these days" in reem.read("/reports?from=2020-01-01&to=2020-01-02&lang=en")
    assert reem.get("/reports?from=2020-01-05&to=2020-01-02").status_code == 422


def test_regions_of_reports_are_named(rt):
    assert {summary.CACHED.name, STOCK.name} <= set(rt.cache.counts())
