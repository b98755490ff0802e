"""What the API refuses when cards are ordered, and in which order."""

from __future__ import annotations

import pytest

from tests.staff import app, error_of, faults_of, hana, omar, vera  # noqa: F401

PATHS = ("/api/vouchers", "/api/vouchers/bulk")


@pytest.mark.parametrize("path", PATHS)
def test_a_plan_that_is_not_there_is_said_before_other_faults(path, hana, omar, vera, cast):  # noqa: F811
    wrong = {"plan_id": 4711, "quantity": 0, "note": "x" * 300, "nonsense": 1}

    assert (vera.post(path, wrong).status_code, omar.post(path, wrong).status_code) == (403, 404)
    assert error_of(hana.post(path, wrong)) == "not_found"
    assert set(faults_of(hana.post(path, wrong | {"plan_id": cast.make_plan().plan_id}))) >= {"note", "nonsense"}


@pytest.mark.parametrize("path", PATHS)
def test_a_plan_of_another_site_is_not_there(path, omar, cast):  # noqa: F811
    foreign = cast.make_plan(site_id=cast.make_site().id)

    assert omar.post(path, {"plan_id": foreign.plan_id, "quantity": "many"}).status_code == 404


@pytest.mark.parametrize("plan_id", [None, 0, -1, "seven", 1.5, [1], 2**63])
@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_plans_id_is_a_fault_of_that_field(path, plan_id, hana, cast):  # noqa: F811
    assert "plan_id" in faults_of(hana.post(path, {"plan_id": plan_id, "quantity": 1}))


def test_one_card_takes_the_price_and_the_prefix_that_a_batch_takes(hana, cast):  # noqa: F811
    order = {"plan_id": cast.make_plan().plan_id, "price_minor": 150, "prefix": "ab", "code_style": "digits"}
    made = hana.post("/api/vouchers", order)

    assert made.status_code == 201 and made.json["price_minor"] == 150 and made.json["code"].startswith("AB")
    assert "price_minor" in faults_of(hana.post("/api/vouchers", order | {"price_minor": -1}))
    assert "prefix" in faults_of(hana.post("/api/vouchers", order | {"prefix": "7"}))
