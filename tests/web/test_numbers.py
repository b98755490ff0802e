"""Numbers that no database can hold, or that are none, are the caller's fault and never ours."""

from __future__ import annotations

import pytest

from tests.staff import app, error_of, faults_of, hana

__all__ = ["app", "hana"]

HUGE, SQUARED = "9" * 30, "%C2%B2"  # "²" is a digit to Python, and no number


@pytest.mark.parametrize("number", [HUGE, SQUARED, "-1", "1.0"])
@pytest.mark.parametrize(
    "path",
    [
        "/api/router-jobs?router_id=",
        "/api/sessions?voucher_id=",
        "/api/vouchers?batch_id=",
        "/api/vouchers/odds?site_id=",
        "/api/devices?site_id=",
        "/api/plans?site_id=",
    ],
)
def test_an_id_in_a_query_is_a_number_or_refused(rt, cast, hana, path, number):
    assert faults_of(hana.get(path + number))


def test_a_device_is_forgotten_at_a_site_that_there_is(rt, cast, hana):
    path = "/api/devices/02:00:5e:10:00:01?site_id="
    assert hana.delete(path + HUGE).status_code == 422
    assert hana.delete(path + "999").status_code == 404
    assert hana.delete(path + str(cast.site.id)).status_code == 204


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/api/routers", {"name": ""}), ("PUT", "/api/devices", {"mac": "x"}), ("POST", "/api/plans", {})],
)
def test_a_site_that_is_not_there_is_said_before_anything_else(rt, cast, hana, method, path, body):
    assert hana.ask(method, path, {"site_id": 999, **body}).status_code == 404


def test_an_id_in_a_body_is_one_that_a_database_can_hold(rt, cast, hana):
    answer = hana.post("/api/plans", {"site_id": 2**63, "name": "x", "duration_seconds": 60, "price_minor": 1})

    assert error_of(answer) == "invalid"


@pytest.mark.parametrize("limit", ["501", "00000000019999999", HUGE])
def test_a_page_is_never_longer_than_500(rt, cast, hana, limit):
    assert "limit" in faults_of(hana.get(f"/api/vouchers?limit={limit}"))
