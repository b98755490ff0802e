"""The API's own description, and its page."""

from __future__ import annotations

import pytest

from bawaba.app import create_app


@pytest.fixture
def client(rt, cast):
    return create_app(rt).test_client()


def test_the_description_is_openapi_3_1_and_names_the_calls(client):
    told = client.get("/api/openapi.json").json
    assert told["openapi"] == "3.1.0"
    for path, method in (
        ("/api/vouchers", "post"),
        ("/api/vouchers/bulk", "post"),
        ("/api/vouchers/{voucher_id}/disable", "post"),
        ("/api/voucher/redeem", "post"),
        ("/api/auth/login", "post"),
        ("/api/sessions/{session_id}/terminate", "post"),
    ):
        assert method in told["paths"][path]


def test_the_page_says_what_each_call_needs_and_loads_nothing_from_elsewhere(client):
    page = client.get("/api/docs").text
    assert "/api/vouchers/bulk" in page and "vouchers:create" in page and "quantity" in page
    assert "<script" not in page and "//cdn" not in page
