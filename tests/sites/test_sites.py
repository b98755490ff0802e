"""Places, their clocks and their money, and which of them a request means."""

from typing import Any

import pytest

from bawaba.core.errors import Invalid, Problem
from bawaba.sites import rules
from bawaba.sites.schemas import SiteIn
from bawaba.sites.service import resolve_site
from bawaba.web.input import parse
from tests.cast import person as actor
from tests.staff import YEMEN, error_of, faults_of, signed_in


def test_a_site_needs_a_name_a_clock_and_money(hana):
    answer = hana.post("/api/sites", YEMEN)
    site = answer.json
    assert answer.status_code == 201
    assert site == {
        "id": site["id"],
        "name": "Café",
        "time_zone": "Asia/Aden",
        "currency": "YER",
        "currency_decimals": 0,
        "mode": "server_held",
        "language": "ar",
        "portal_host": "login.wifi",
        "wifi_name": "",
        "support": "",
        "device_moves_per_day": 1,
        "wrong_tries_per_minute": 10,
        "colour": "",
        "terms": "",
        "trial_minutes": None,
        "trial_rate_kbps": None,
        "created_at": "2026-01-10T12:00:00Z",
    }
    assert hana.get(f"/api/sites/{site['id']}").json == site
    assert hana.get("/api/sites").json == {"items": [site], "next": None}
    assert sorted(faults_of(hana.post("/api/sites", {}))) == ["currency", "name", "time_zone"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("time_zone", "Asia/Sanaa"), ("time_zone", "../etc/passwd"), ("time_zone", "UTC+3"), ("currency", "YE"),
     ("currency", "XTS"), ("currency", "DEM"), ("currency_decimals", 4), ("currency_decimals", -1), ("mode", "held"),
     ("name", " "), ("name", "x" * 121), ("language", "Arabic"), ("portal_host", "http://login.wifi"),
     ("portal_host", "a b"), ("device_moves_per_day", -1), ("wrong_tries_per_minute", 0), ("colour", "red"),
     ("currency", None)],
)  # fmt: skip
def test_what_does_not_fit_is_named(field, value):
    with pytest.raises(Invalid) as refused:
        parse(SiteIn, YEMEN | {field: value})
    assert list(refused.value.details["fields"]) == [field]


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [("YER", 0), ("SYP", 0), ("IQD", 0), ("USD", 2), ("SAR", 2), ("JOD", 3), ("KWD", 3), ("KES", 2), ("IDR", 2)],
)
def test_a_currency_has_the_decimals_that_people_write(currency, decimals):
    assert rules.usual_decimals(currency) == decimals


def test_the_usual_decimals_are_taken_unless_the_owner_says_otherwise(hana):
    assert hana.post("/api/sites", YEMEN | {"currency": "JOD"}).json["currency_decimals"] == 3
    chosen = hana.post("/api/sites", YEMEN | {"currency": "JOD", "currency_decimals": 2})
    assert chosen.json["currency_decimals"] == 2


def test_currencies_may_be_written_small(hana):
    assert hana.post("/api/sites", YEMEN | {"currency": "usd"}).json["currency"] == "USD"


def test_money_that_nobody_pays_with_any_more_is_not_offered():
    assert {"YER", "USD", "EUR", "IQD", "SYP", "SDG", "ILS"} <= rules.currencies()
    assert not {"DEM", "FRF", "XTS", "XXX"} & rules.currencies()


def test_an_amount_has_the_sites_decimals_in_its_own_money():
    assert rules.decimals_for("YER", "YER", 2) == 2
    assert rules.decimals_for("JOD", "YER", 2) == 3


def test_what_is_left_out_stays(hana):
    site = hana.post("/api/sites", YEMEN).json
    changed = hana.patch(f"/api/sites/{site['id']}", {"name": "Harbour", "mode": "router_held"})
    assert changed.json == site | {"name": "Harbour", "mode": "router_held"}
    assert hana.patch(f"/api/sites/{site['id']}", {}).json == changed.json
    assert list(faults_of(hana.patch(f"/api/sites/{site['id']}", {"name": None}))) == ["name"]
    assert list(faults_of(hana.patch(f"/api/sites/{site['id']}", {"time_zone": "Mars"}))) == ["time_zone"]


def test_other_money_brings_its_own_decimals(hana):
    site = hana.post("/api/sites", YEMEN).json["id"]
    assert hana.patch(f"/api/sites/{site}", {"currency": "USD"}).json["currency_decimals"] == 2
    both = hana.patch(f"/api/sites/{site}", {"currency": "IQD", "currency_decimals": 3}).json
    assert (both["currency"], both["currency_decimals"]) == ("IQD", 3)


@pytest.mark.parametrize("change", [{"currency": "USD"}, {"currency_decimals": 2}])
def test_money_stays_once_there_are_prices(hana, change):
    """100 would be 100 rials before the change and 1.00 after it."""
    site = hana.post("/api/sites", YEMEN).json["id"]
    hana.post("/api/plans", {"name": "Hour", "duration_seconds": 3600, "price_minor": 100})
    answer = hana.patch(f"/api/sites/{site}", change)
    assert (answer.status_code, error_of(answer)) == (409, "currency_in_use")
    assert hana.patch(f"/api/sites/{site}", {"name": "Harbour", "currency": "YER"}).status_code == 200


def test_a_site_that_is_not_there(hana):
    for answer in (
        hana.get("/api/sites/7"),
        hana.patch("/api/sites/7", {"nonsense": 1}),
        hana.get(f"/api/sites/{2**64}"),
    ):
        assert (answer.status_code, error_of(answer)) == (404, "not_found")


def test_sites_come_in_pages(hana):
    ids = [hana.post("/api/sites", YEMEN | {"name": f"Café {number}"}).json["id"] for number in range(3)]
    first = hana.get("/api/sites?limit=2").json
    rest = hana.get(f"/api/sites?limit=2&cursor={first['next']}").json
    assert [site["id"] for site in first["items"] + rest["items"]] == ids[::-1] and rest["next"] is None


def test_only_an_admin_adds_sites(omar, vera):
    assert {person.post("/api/sites", YEMEN).status_code for person in (omar, vera)} == {403}


# Which site is meant


def test_with_one_site_it_need_not_be_named(cast, rt):
    for who in (actor("admin"), actor("operator", frozenset({cast.site.id}))):
        assert rt.read(resolve_site, who, None).id == cast.site.id
        assert rt.read(resolve_site, who, cast.site.id).id == cast.site.id


def test_with_several_it_must_be_named(cast, rt):
    other = cast.make_site()
    with pytest.raises(Problem) as refused:
        rt.read(resolve_site, actor("admin"), None)
    assert (refused.value.code, list(refused.value.details["fields"])) == ("invalid", ["site_id"])
    assert rt.read(resolve_site, actor("operator", frozenset({other.id})), None).id == other.id


def test_another_ones_site_is_not_there(cast, rt):
    other = cast.make_site()
    for site_id in (cast.site.id, other.id + 1, 0, -1):
        with pytest.raises(Problem) as refused:
            rt.read(resolve_site, actor("operator", frozenset({other.id})), site_id)
        assert refused.value.code == "not_found"


def test_without_a_site_one_has_to_be_made_first(hana, omar):
    plan = {"name": "Hour", "duration_seconds": 3600, "price_minor": 100}
    answer = hana.post("/api/plans", plan)
    assert (answer.status_code, error_of(answer)) == (409, "no_site")


def test_an_operator_sees_plans_of_their_own_sites_only(hana, app, rt):
    first, second = (hana.post("/api/sites", YEMEN).json["id"] for _ in range(2))
    ali: Any = signed_in(app, rt, "ali", "operator", [second])
    for site in (first, second):
        hana.post("/api/plans", {"name": f"of {site}", "duration_seconds": 60, "price_minor": 1, "site_id": site})
    assert [plan["name"] for plan in ali.get("/api/plans").json["items"]] == [f"of {second}"]
    assert ali.get(f"/api/plans?site_id={first}").status_code == 404
