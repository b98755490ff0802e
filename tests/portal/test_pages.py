"""The guest's pages: every moment of a visit, in two languages, with nothing but links and forms."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from sqlalchemy.orm import Session

from bawaba.core.database import DatabaseAway
from bawaba.routers.drivers import fake
from tests.cast import HOUR, PHONE, TABLET
from tests.portal.conftest import Phone


def test_from_the_first_page_to_logging_out_and_coming_back(phone, cast, clock):
    card = cast.make_voucher(kind="used_time", duration_seconds=2 * HOUR)
    assert "Type the code that is on your card." in phone.open_portal()
    page = phone.type_code(card.code)
    assert "You are online" in page and "2 h" in page
    clock.advance(600)
    assert "1 h 50 min" in phone.open_portal("/status")
    assert "You are logged out" in phone.submit("/logout")
    clock.advance(HOUR)
    page = phone.open_portal()
    assert "Welcome back" in page and "1 h 50 min" in page
    assert "You are online" in phone.submit("/resume")


def test_a_scanned_card_is_filled_in_but_never_used_by_looking(phone, cast):
    card = cast.make_voucher()
    for path in (f"/c/{card.code}", f"/C/{card.code}"):
        page = phone.open_portal(path)
        assert "Use this card?" in page and f"{card.code[:4]}-{card.code[4:8]}" in page
    assert fake.box(cast.router.id).sessions == {}
    assert "You are online" in phone.submit("/api/voucher/redeem", code=card.code)


def test_opening_refreshes_itself_and_time_has_not_begun(phone, cast):
    fake.box(cast.router.id).break_with("unreachable")
    phone.open_portal()
    page = phone.type_code(cast.make_voucher().code)
    assert "Your time has not begun yet" in page
    assert re.search(r'http-equiv="refresh" content="2;url=/status\?client_mac=', page)


def test_a_card_in_use_is_moved_to_this_phone(client, phone, cast):
    card = cast.make_voucher()
    phone.open_portal()
    phone.type_code(card.code)
    other = Phone(client, TABLET)
    other.open_portal()
    assert "In use on another phone" in other.type_code(card.code)
    move = re.search(r'<form method="post" action="/api/voucher/redeem">(.*?)</form>', other.answer.text, re.DOTALL)
    assert move is not None and "Move the card to this phone" in move[1]
    sent = dict(re.findall(r'name="(\w+)" value="([^"]*)"', move[1]))
    answer = client.post("/api/voucher/redeem", data=sent, headers={"Accept": "text/html"})
    assert answer.status_code == 303
    assert "You are not online" in phone.open_portal("/status") or "Welcome back" in phone.answer.text


def test_what_the_redirect_brought_and_the_language_are_carried_on(phone, cast):
    page = phone.open_portal(router=str(cast.router.id), client_ip="10.0.0.7", token="abc", lang="ar")
    assert '<html lang="ar" dir="rtl">' in page
    for name, value in (("router", cast.router.id), ("client_ip", "10.0.0.7"), ("token", "abc"), ("lang", "ar")):
        assert f'<input type="hidden" name="{name}" value="{value}">' in page
    page = phone.type_code(cast.make_voucher().code)
    assert "أنت متصل بالإنترنت" in page
    assert phone.answer.request.args["token"] == "abc"


def test_other_gateways_words_are_understood(phone, cast):
    page = phone.get(f"/?nasid={cast.router.name}&clientmac=02:00:5E:10:00:01&clientip=10.0.0.7")
    assert '<input type="hidden" name="client_mac" value="02:00:5E:10:00:01">' in page
    assert f'<input type="hidden" name="router" value="{cast.router.name}">' in page


@pytest.mark.parametrize(("accepted", "spoken"), [("ar-YE,ar;q=0.9", "ar"), ("en-GB", "en"), ("fr", "ar"), ("", "ar")])
def test_the_phone_is_answered_in_its_language_else_in_the_places(client, cast, accepted, spoken):
    assert f'<html lang="{spoken}"' in Phone(client, language=accepted).open_portal()


def test_pages_are_small_alone_and_strict(phone, cast):
    card = cast.make_voucher()
    pages = [phone.open_portal()]
    headers = phone.answer.headers
    pages += [phone.open_portal(f"/c/{card.code}"), phone.type_code("1234")]
    pages += [phone.type_code(card.code)]
    for page in pages:
        assert len(page.encode()) <= 14 * 1024
        assert "<script" not in page
        assert not re.search(r'(src|href)="(https?:)?//', page)
        assert "Set-Cookie" not in phone.answer.headers
    style = re.search("<style>(.*?)</style>", pages[0], re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("where", ["code", "router", "token", "client_ip"])
def test_nothing_that_is_sent_becomes_markup(phone, cast, where):
    attack = '"><script>alert(1)</script>'
    answer = phone.client.post(
        "/api/voucher/redeem", data={"code": "123", where: attack}, headers={"Accept": "text/html"}
    )
    assert "<script>alert" not in answer.text
    assert "<script>alert" not in phone.get(f"/?{where}={attack}")
    assert "<script>alert" not in phone.get(f"/c/{attack.replace('/', '')}")


def test_without_the_database_the_page_is_polite_and_tries_again(phone, cast, rt, monkeypatch):
    def away(*_: object, **__: object) -> None:
        raise DatabaseAway()

    monkeypatch.setattr(rt.database, "read", away)
    monkeypatch.setattr(rt.database, "transact", away)
    for attempt in (lambda: phone.open_portal(), lambda: phone.open_portal("/status")):
        page = attempt()
        assert phone.answer.status_code == 503
        assert "Your card is safe" in page and 'http-equiv="refresh"' in page
    posted = phone.client.post("/api/voucher/redeem", data={"code": "1"}, headers={"Accept": "text/html"})
    assert posted.status_code == 503


def test_where_we_cannot_tell_the_place_we_say_so(phone, cast):
    cast.make_router(cast.site.id)
    phone.open_portal()
    page = phone.type_code(cast.make_voucher().code)
    assert phone.answer.status_code == 404
    assert "Join the WiFi again" in page


def test_a_page_of_somebody_else_logs_nobody_out(phone, cast):
    phone.open_portal()
    phone.type_code(cast.make_voucher().code)
    answer = phone.client.post("/logout", data={"client_mac": PHONE}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert "You are online" in phone.open_portal("/status")


def test_the_place_its_help_and_its_address_are_shown(phone, cast, rt):
    def furnish(db: Session) -> None:
        from bawaba.sites.models import Site

        site = db.get_one(Site, cast.site.id)
        site.name, site.wifi_name, site.support, site.portal_host = "Café <Aden>", "Aden 5G", "+967 1", "wifi.aden"

    rt.transact(furnish)
    page = phone.open_portal()
    for words in ("Café &lt;Aden&gt;", "Aden 5G", "+967 1", "wifi.aden"):
        assert words in page
