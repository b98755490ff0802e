"""What people type into forms."""

from __future__ import annotations

from decimal import Decimal

import pytest
from flask import Flask

from bawaba.core.errors import Invalid
from bawaba.web.forms import amount, plain_number


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("1500", "1500"),
        (" 1 500 ", "1500"),
        ("1,500", "1500"),
        ("1,500.5", "1500.5"),
        ("1500,5", "1500.5"),
        ("1,5", "1.5"),
        ("١٬٥٠٠٫٥", "1500.5"),
        ("۲۰", "20"),
        ("\u200f٢٠\u200f", "20"),
        ("two", "two"),
    ],
)
def test_a_number_is_read_as_people_write_it(typed: str, plain: str):
    assert plain_number(typed) == plain


@pytest.mark.parametrize(
    ("typed", "per_unit", "is_worth"),
    [
        ("1.5", 3600, 5400),
        ("0.1", 1000, 100),
        ("3.50", 100, 350),
        ("", 60, None),
        ("0", 60, 0),
        ("2", Decimal("0.5"), 1),
    ],
)
def test_an_amount_is_whole_in_small_units(typed: str, per_unit: Decimal | int, is_worth: int | None):
    with Flask("pages").test_request_context(method="POST", data={"time": typed}):
        assert amount("time", per_unit) == is_worth


@pytest.mark.parametrize("typed", ["1.5", "-1", "nan", "inf", "1e30", "1_000", "x", "0x10"])
def test_what_is_no_amount_is_refused_at_its_field(typed: str):
    with Flask("pages").test_request_context(method="POST", data={"price": typed}), pytest.raises(Invalid) as refused:
        amount("price")
    assert list(refused.value.details["fields"]) == ["price"]


def test_an_amount_that_must_be_there_must_be_there():
    with Flask("pages").test_request_context(method="POST", data={}), pytest.raises(Invalid):
        amount("price", optional=False)


def test_making_cards_warns_when_no_phone_could_open_their_codes(rt, cast, hana, monkeypatch):
    cast.make_plan()
    assert "BAWABA_PUBLIC_URL" not in hana.read("/cards/new")
    monkeypatch.setattr(rt, "config", rt.config.model_copy(update={"public_url": "", "host": "0.0.0.0"}))
    assert "http://0.0.0.0:5000" in hana.read("/cards/new") and "BAWABA_PUBLIC_URL" in hana.read("/cards/new")
