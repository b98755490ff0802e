"""What was sold, by day, plan and batch, on the site's clock; who may read it; and the file of it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest

from bawaba.sales import rules
from bawaba.sales.models import Sale
from bawaba.vouchers import making
from bawaba.vouchers.models import Batch, Voucher
from tests.cast import Cast, person
from tests.staff import app, faults_of, hana, omar, signed_in, vera  # noqa: F401

MARCH = "from=2026-03-01&to=2026-03-31"


def sell(cast: Cast, card: Voucher, at: datetime, price_minor: int, currency: str = "YER") -> None:
    facts = {"voucher_id": card.id, "site_id": card.site_id, "plan_version_id": card.plan_version_id}
    cast._add(Sale(**facts, price_minor=price_minor, currency=currency, sold_at=at))


@pytest.fixture
def shop(rt, cast: Cast) -> Cast:
    """Five cards of two plans: three of a batch, two made alone; Aden is three hours before UTC."""
    night, day = cast.make_plan(name="Night"), cast.make_plan(name="Day")
    ordered = making.order_batch(rt, person(), making.BatchOrder(night.plan_id, 3))
    rt.parts["batch_maker"].make(ordered.id)
    of_batch = rt.read(lambda db: db.query(Voucher).order_by(Voucher.number).all())
    alone = [cast.row(Voucher, cast.make_voucher(version=day).id) for _ in range(2)]
    sell(cast, of_batch[0], datetime(2026, 3, 1, 20, 59, tzinfo=UTC), 200)  # 23:59 in Aden
    sell(cast, of_batch[1], datetime(2026, 3, 1, 21, 0, tzinfo=UTC), 200)  # the next day in Aden
    sell(cast, of_batch[2], datetime(2026, 3, 2, 9, 0, tzinfo=UTC), 150)
    sell(cast, alone[0], datetime(2026, 3, 2, 9, 0, tzinfo=UTC), 350, "USD")
    sell(cast, alone[1], datetime(2026, 4, 1, 9, 0, tzinfo=UTC), 500)
    return cast


def items(answer) -> list[tuple]:
    by = answer.json["by"]
    return [(line[by], line["cards"], line["total_minor"], line["currency"]) for line in answer.json["items"]]


def test_sales_are_counted_by_the_days_of_the_place(hana, shop):  # noqa: F811
    answer = hana.get(f"/api/sales?{MARCH}&site_id={shop.site.id}")

    assert items(answer) == [
        ("2026-03-02", 2, 350, "YER"),
        ("2026-03-02", 1, 350, "USD"),
        ("2026-03-01", 1, 200, "YER"),
    ]
    assert answer.json["totals"] == [
        {"currency": "YER", "cards": 3, "total_minor": 550},
        {"currency": "USD", "cards": 1, "total_minor": 350},
    ]


def test_sales_are_counted_by_plan_and_by_batch(hana, shop):  # noqa: F811
    by_plan = items(hana.get(f"/api/sales?{MARCH}&by=plan"))
    by_batch = items(hana.get("/api/sales?from=2026-03-01&to=2026-04-30&by=batch"))

    assert by_plan == [("Night", 3, 550, "YER"), ("Day", 1, 350, "USD")]
    assert by_batch == [("B001", 3, 550, "YER"), ("", 1, 350, "USD"), ("", 1, 500, "YER")]


def test_a_sold_batch_is_still_there_under_its_number(rt, hana, shop):  # noqa: F811
    (line, *_) = hana.get(f"/api/sales?{MARCH}&by=batch").json["items"]

    assert line["id"] == rt.read(lambda db: db.query(Batch).one()).id


def test_without_days_it_is_the_week_up_to_today(rt, clock, hana, shop):  # noqa: F811
    answer = hana.get("/api/sales")
    today = clock.now().astimezone(UTC).date()

    assert answer.json["to"] == today.isoformat() and answer.json["items"] == []
    assert (today - datetime.fromisoformat(answer.json["from"]).date()).days == 6


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("from=2026-03-02&to=2026-03-01", "to"),
        ("from=2024-01-01&to=2026-03-01", "from"),
        ("from=0001-01-01", "from"),
        ("by=colour", "by"),
    ],
)
def test_what_is_no_period_is_a_fault_of_its_field_on_the_page_too(query, field, hana, shop):  # noqa: F811
    assert field in faults_of(hana.get(f"/api/sales?{query}"))
    assert hana.get(f"/api/sales.csv?{query}").status_code == 422


def test_a_day_on_which_clocks_are_changed_is_a_whole_day():
    spring = rules.period("2026-03-29", "2026-03-29", "Europe/Berlin", datetime(2026, 5, 1, tzinfo=UTC))

    assert (spring.end.astimezone(UTC) - spring.start.astimezone(UTC)).total_seconds() == 23 * 3600


def test_the_file_says_money_in_whole_units_and_runs_no_formula(rt, hana, shop):  # noqa: F811
    evil = shop.make_voucher(version=shop.make_plan(name="=1+1"))
    sell(shop, shop.row(Voucher, evil.id), datetime(2026, 3, 5, tzinfo=UTC), 5)
    answer = hana.get(f"/api/sales.csv?{MARCH}&by=plan")
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"), newline="")))

    assert answer.data.startswith(b"\xef\xbb\xbf") and answer.mimetype == "text/csv"
    assert [(row["plan"], row["cards"], row["total"], row["currency"]) for row in rows] == [
        ("Night", "3", "550", "YER"),
        ("Day", "1", "3.50", "USD"),
        ("'=1+1", "1", "5", "YER"),
    ]


def test_every_role_reads_sales_of_their_own_places_only(rt, app, hana, vera, shop):  # noqa: F811
    own = shop.make_site()
    stranger = signed_in(app, rt, "stranger", "operator", [own.id])

    assert stranger.get(f"/api/sales?site_id={shop.site.id}").status_code == 404
    assert items(stranger.get(f"/api/sales?{MARCH}")) == []
    assert "site_id" in faults_of(hana.get("/api/sales"))
    assert app.test_client().get("/api/sales").status_code == 401
