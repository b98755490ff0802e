"""A gateway that cannot be asked: whatever the guest opens, the page stays the guest's."""

from __future__ import annotations

import pytest

from bawaba.portal import guests
from bawaba.routers.driver import Client, RouterUnreachable
from tests.cast import PHONE
from tests.portal.phone import Phone


@pytest.fixture
def phone(rt, app, cast, monkeypatch):
    """A phone behind a linux gateway that does not answer."""
    cast.make_router(cast.site.id, driver="linux", options={"lan4": "10.77.0.0/24"})

    def ask(*_: object, **__: object) -> None:
        raise RouterUnreachable("gone")

    monkeypatch.setattr(rt.parts["routers"], "ask", ask)
    return Phone(app, PHONE)


def test_a_link_that_holds_no_code_is_refused_in_the_guests_words(phone):
    page = phone.open("/c/123456789012")
    assert page.status == 422 and "That is not quite right" in page.text
    assert "code" in page.inputs


def test_a_scanned_card_waits_in_its_field(phone, cast):
    page = phone.open(f"/c/{cast.make_voucher().code}")
    assert page.status == 200 and page.form("/api/voucher/redeem").fields["code"]


def test_all_else_says_that_the_router_does_not_answer(phone):
    for path in ("/", "/status", "/add"):
        page = phone.open(path)
        assert page.status == 503 and "One moment" in page.text and page.refresh, path


def test_a_spare_that_has_the_guest_before_it_stands_in(rt, app, cast, monkeypatch):
    home, spare, other = (
        cast.make_router(cast.site.id, driver="linux", failover_group=group, options={"lan4": lan})
        for group, lan in (("roof", "10.77.0.0/24"), ("roof", "10.78.0.0/24"), (None, "10.79.0.0/24"))
    )
    asked: list[int] = []

    def ask(router_id: int, *_: object, **__: object) -> Client:
        asked.append(router_id)
        if router_id == home.id:
            raise RouterUnreachable("gone")
        return Client(PHONE, "10.77.0.9")

    monkeypatch.setattr(rt.parts["routers"], "ask", ask)
    guest = guests.identify(rt, guests.Told("10.77.0.9"))
    assert (guest.router_id, guest.mac, asked) == (spare.id, PHONE, [home.id, spare.id])
    assert other.id not in asked
