"""The guest's pages: every moment of a visit, in two languages, with nothing but links and forms.

`Phone` holds each page it opens to what all of them promise: small, alone, no script, a policy that fits the style.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from flask import Flask

from bawaba.core.database import DatabaseAway
from bawaba.portal.places import TTL_S
from bawaba.portal.words import HEADINGS, OTHERWISE
from bawaba.routers.driver import RouterUnreachable
from bawaba.routers.drivers import fake
from bawaba.routers.models import Device, Router
from bawaba.sessions.models import GuestSession
from bawaba.sites.models import Site
from bawaba.vouchers import codes
from bawaba.vouchers.models import Batch, Voucher
from bawaba.web.language import CATALOGUES, catalogue, span
from tests.cast import HOUR, MIB, PHONE, TABLET, phones
from tests.portal.phone import Phone, in_script, query_of, read

DAY = 24 * HOUR
ATTACK = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{1789*1917}}"


def furnish(rt: Any, **values: Any) -> None:
    """Set the site up, and let the time pass after which guests see it."""
    rt.transact(lambda db: db.query(Site).update(values))
    rt.clock.advance(TTL_S)


# --- the journey ---------------------------------------------------------------------------------------------------


def test_a_guests_whole_day_without_scripts_or_cookies(app, phone, cast, clock):
    first = cast.make_voucher(name="2 hours", kind="used_time", duration_seconds=2 * HOUR, quota_bytes=100 * MIB)

    page = phone.open()
    assert page.status == 200 and "Type the code that is on your card." in page.text
    page = phone.type(first.code)
    assert "You are online 2 hours" in page.text
    assert "Time left 2 h " in page.text and "Data left 100 MB" in page.text
    assert page.refresh_to() == (30, phone.url)

    clock.advance(600)
    assert "Time left 1 h 50 min" in phone.go(phone.url).text
    page = phone.send("/logout")
    assert "You are logged out. What is left on the card stays on it." in page.text

    clock.advance(HOUR)  # he comes back
    page = phone.open()
    assert "Welcome back" in page.text and "Your card still has \u20681 h 50 min\u2069." in page.text
    assert "You are online" in phone.send("/resume").text

    page = phone.follow("Use another card")
    assert "What is left on the card you use now stays on it." in page.text
    second = cast.make_voucher(name="Night")
    assert "You are online Night" in phone.type(second.code).text

    tablet = Phone(app, TABLET)
    tablet.open()
    page = tablet.type(second.code)
    assert page.status == 409 and "In use on another phone" in page.text
    move = next(form for form in page.forms if "move" in form.fields)
    assert "Move the card to this phone" in move.text
    answer = tablet.ask("POST", move.action, data=move.fields)
    assert "You are online Night" in tablet.go(answer.headers["Location"]).text
    assert "Your card was moved to another phone." in phone.open().text


def test_a_scanned_card_is_filled_in_but_never_used_by_looking(phone, cast):
    card = cast.make_voucher()
    shown = f"{card.code[:4]}-{card.code[4:8]}-{card.code[8:]}"
    for path in (f"/c/{card.code}", f"/C/{card.code}", f"/c/{shown}"):
        page = phone.open(path)
        assert page.status == 200 and "Use this card?" in page.text and page.code == shown
    assert fake.box(cast.router.id).sessions == {}

    assert "You are online" in phone.send().text


def test_a_link_that_holds_no_code_says_so(phone, cast):
    page = phone.open("/c/1234")

    assert page.status == 422 and "That is not quite right" in page.text and page.code == ""


def test_a_code_is_typed_in_the_keyboards_own_digits(phone, cast):
    for zero in (0x660, 0x6F0):  # ٠١٢ and ۰۱۲
        code = cast.make_voucher().code
        phone.open("/add")
        assert "You are online" in phone.type(in_script(f"{code[:4]} {code[4:8]} {code[8:]}", zero)).text
        assert phone.open(f"/c/{in_script(code, zero)}").code == f"{code[:4]}-{code[4:8]}-{code[8:]}"


def test_opening_looks_again_by_itself_until_the_router_has_let_the_guest_in(
    phone, cast, clock, deliver: Callable[[Router], None]
):
    card = cast.make_voucher(duration_seconds=HOUR)
    fake.box(cast.router.id).break_with("unreachable")
    phone.open()
    page = phone.type(card.code)
    assert "Opening the way…" in page.text and "Your time has not begun yet" in page.text
    seconds, address = page.refresh_to()
    assert seconds == 2 and address.startswith("/status?client_mac=")
    assert "longer than it should" not in page.text

    clock.advance(30)
    page = phone.go(address)
    assert "longer than it should" in page.text and page.refresh_to() == (5, address)
    fake.box(cast.router.id).mend()
    deliver(cast.router)
    page = phone.go(address)
    assert "You are online" in page.text and "Time left 1 h" in page.text


def test_whose_spare_let_them_in_can_log_out(rt, phone, cast, clock):
    rt.transact(lambda db: db.query(Router).update({"failover_group": "roof"}))
    spare = cast.make_router(cast.site.id, failover_group="roof")
    fake.box(spare.id, clock)
    fake.box(cast.router.id).break_with("unreachable")
    phone.told["router"] = str(cast.router.id)
    phone.open()
    assert "You are online" in phone.type(cast.make_voucher(kind="used_time").code).text

    assert "You are logged out." in phone.send("/logout").text
    assert "You are not online." in phone.open("/status").text


# --- how one stands ------------------------------------------------------------------------------------------------


def test_the_status_page_tells_what_is_left_and_until_when(app, cast):
    told: list[tuple[dict[str, Any], str, str]] = [
        ({"duration_seconds": 3 * HOUR}, "Time left 3 h Data used 0 B Until 18:00", "Data left"),
        ({"duration_seconds": 2 * DAY}, "Time left 2 days Data used 0 B Until 12 Jan 2026, 15:00", "Data left"),
        ({"duration_seconds": None, "quota_bytes": 1024 * MIB}, "Data left 1 GB Data used 0 B", "Until"),
        (
            {"kind": "used_time", "duration_seconds": 3 * HOUR, "valid_for_seconds": 7 * DAY},
            "Until 18:00 Card valid until 17 Jan 2026, 15:00",
            "Data left",
        ),
        ({"duration_seconds": None, "quota_down_bytes": 500 * MIB, "quota_up_bytes": 50 * MIB}, "left 50 MB", "Until"),
    ]
    for mac, (terms, facts, no_fact) in zip(phones(9), told, strict=False):
        phone = Phone(app, mac)
        phone.open()
        text = phone.type(cast.make_voucher(**terms).code).text
        assert facts in text and no_fact not in text


def test_what_was_bought_what_of_it_is_used_and_the_serial_are_told(rt, phone, cast):
    card = cast.make_voucher(quota_bytes=10 * MIB, card={"bytes_up": MIB, "bytes_down": MIB, "status": "used"})
    phone.open()
    page = phone.type(card.code)

    assert "Data left 8 MB" in page.text and "Data used 2 MB" in page.text
    assert f"Card \u2066{card.serial}\u2069 · \u20683 hours from first use\u2069 · \u206810 MB\u2069" in page.text


def test_logging_out_tells_when_time_runs_on_by_the_clock(phone, cast):
    phone.open()
    phone.type(cast.make_voucher(duration_seconds=3 * HOUR).code)

    page = phone.send("/logout")
    assert "You are logged out. The time of the card runs on until 18:00." in page.text
    assert "Welcome back" in page.text


def test_a_second_card_by_the_clock_warns_that_the_first_runs_on(phone, cast):
    phone.open()
    phone.type(cast.make_voucher().code)

    assert "The time of the card you use now goes on running." in phone.follow("Use another card").text
    assert "You are online" in phone.follow("Back").text


def test_whose_card_has_ended_is_told_how(rt, phone, cast, clock):
    card = cast.make_voucher(duration_seconds=HOUR)
    phone.open()
    phone.type(card.code)
    clock.advance(HOUR)
    rt.transact(lambda db: db.query(GuestSession).update({"state": "ended", "ended_at": clock.now()}))

    page = phone.open()
    assert "The time of your card ended on 10 Jan 2026, 16:00. You need a new one." in page.text
    assert page.actions == {"/api/voucher/redeem"}
    clock.advance(DAY + 1)
    assert "ended" not in phone.open().text


def test_whose_data_is_used_up_is_told_so(rt, phone, cast, clock):
    card = cast.make_voucher(duration_seconds=None, quota_bytes=MIB)
    phone.open()
    phone.type(card.code)
    rt.transact(lambda db: db.query(GuestSession).update({"state": "ended", "ended_at": clock.now()}))
    rt.transact(lambda db: db.query(Voucher).update({"bytes_down": MIB}))

    assert "Everything on this card has been used." in phone.open("/status").text


def test_who_was_sent_away_may_go_on(rt, phone, cast, clock):
    phone.open()
    phone.type(cast.make_voucher(duration_seconds=None, quota_bytes=3 * MIB).code)
    ended = {"state": "ended", "ended_at": clock.now(), "terminate_cause": "Admin-Reset"}
    rt.transact(lambda db: db.query(GuestSession).update(ended))

    page = phone.open()
    assert "Welcome back" in page.text and "Your card still has \u20663 MB\u2069." in page.text
    assert "You are online" in phone.send("/resume").text


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ("Admin-Reset", "You were disconnected by the staff. Go on with your card, or ask them."),
        ("Idle-Timeout", "Your phone was away for a while, so you were logged out. Go on with your card."),
        ("NAS-Reboot", "The router was restarted. Go on with your card."),
    ],
)
def test_the_status_page_tells_by_itself_that_and_why_it_is_over(cause, said, rt, phone, cast, clock):
    phone.open()
    wait_s, address = phone.type(cast.make_voucher().code).refresh_to()
    assert 0 < wait_s <= 60
    rt.transact(
        lambda db: db.query(GuestSession).update({"state": "ended", "ended_at": clock.now(), "terminate_cause": cause})
    )

    page = phone.go(address)
    assert said in page.text and "You are online" not in page.text
    assert {"/resume", "/api/voucher/redeem"} <= page.actions


def test_a_status_page_looks_again_when_the_time_is_over_and_says_so_at_once(phone, cast, clock):
    phone.open()
    page = phone.type(cast.make_voucher(duration_seconds=HOUR).code)
    clock.advance(HOUR - 12)
    wait_s, address = phone.go(page.refresh_to()[1]).refresh_to()
    assert 12 <= wait_s <= 14

    clock.advance(wait_s)  # and nobody has looked at the router since
    page = phone.go(address)
    assert "The time of your card ended on 10 Jan 2026, 16:00. You need a new one." in page.text
    assert page.actions == {"/api/voucher/redeem"}


def test_a_status_page_says_at_once_that_the_data_is_used_up(rt, phone, cast):
    phone.open()
    address = phone.type(cast.make_voucher(duration_seconds=None, quota_bytes=MIB).code).refresh_to()[1]
    rt.transact(lambda db: db.query(Voucher).update({"bytes_down": MIB}))

    page = phone.go(address)
    assert "Everything on this card has been used." in page.text and page.actions == {"/api/voucher/redeem"}


def test_going_on_while_another_phone_has_the_card_offers_to_move_it(app, rt, phone, cast, clock):
    card = cast.make_voucher(kind="used_time")
    phone.open()
    phone.type(card.code)
    phone.send("/logout")
    tablet = Phone(app, TABLET)
    tablet.open()
    tablet.type(card.code)

    phone.open()
    page = phone.send("/resume")
    assert page.status == 409 and "Another phone is online with this card since 15:00." in page.text
    assert "You are online" in phone.send("/resume").text
    assert "Your card was moved to another phone." in tablet.open().text


def test_a_trusted_device_needs_no_card(app, rt, phone, cast, clock):
    phone.open()
    phone.type(cast.make_voucher().code)
    phone.send("/logout")
    for mac in (PHONE, TABLET):  # one that was here with a card, one that never was
        trusted = Device(site_id=cast.site.id, mac=mac, standing="trusted", note="", created_at=clock.now())
        rt.transact(lambda db, trusted=trusted: db.add(trusted))
        for path in ("/", "/status"):
            assert "You need no card" in Phone(app, mac).open(path).text


def test_a_status_page_of_nobody_asks_for_a_code(phone, cast):
    page = phone.open("/status")

    assert page.status == 200 and "You are not online." in page.text and page.actions == {"/api/voucher/redeem"}


# --- refusals ------------------------------------------------------------------------------------------------------


def refused_cards(cast: Any, clock: Any) -> dict[str, tuple[int, str, str]]:
    """For each code a guest may type: the status, the heading, and what to do."""
    elsewhere = cast.make_voucher(site_id=cast.make_site().id)
    off = cast.make_voucher(card={"disabled_at": clock.now()})
    stale = cast.make_voucher(shelf_life_seconds=HOUR)
    spent = cast.make_voucher(quota_bytes=MIB, card={"status": "used", "bytes_down": MIB})
    full = cast.make_voucher(devices_ever=2, card={"status": "used", "devices_seen": 2})
    single = cast.make_voucher(devices_ever=1, card={"status": "used", "devices_seen": 1})
    unknown = codes.new_codes(Random(5), "digits", 1)[0]
    clock.advance(HOUR)
    return {
        "123": (422, "That is not quite right", "Look at the card and type it again."),
        unknown: (404, "We don't know this code", "Look at the card and type it again."),
        elsewhere.code: (403, "Not for this place", "Ask where you bought it."),
        off.code: (403, "This card is switched off", "Ask where you bought it."),
        stale.code: (410, "This card's time is over", "It ended on 10 Jan 2026, 16:00. You need a new one."),
        spent.code: (409, "This card is used up", "You need a new one."),
        full.code: (409, "This card is full", "This card works on 2 devices only. Use one that it was used on"),
        single.code: (409, "This card is full", "This card works on 1 device only."),
    }


def test_each_refusal_has_its_own_words_and_says_what_to_do(phone, cast, clock):
    told = refused_cards(cast, clock)
    phone.open()
    for code, (status, heading, words) in told.items():
        page = phone.type(code)
        assert (page.status, heading in page.text, words in page.text) == (status, True, True), page.text
        assert page.inputs["code"]["aria-invalid"] == "true"


def test_what_can_be_mended_stays_in_the_field_and_a_dead_card_goes(phone, cast, clock):
    kept = {404, 422}
    phone.open()
    for code, (status, _, _) in refused_cards(cast, clock).items():
        page = phone.type(code)
        shown = f"{code[:4]}-{code[4:8]}-{code[8:]}" if len(code) == 12 else code
        full = "This card is full" in page.text
        assert page.code == (shown if status in kept or full else ""), page.text
        assert shown in page.html


def test_too_many_tries_says_how_long_and_comes_back_by_itself(phone, cast):
    card = cast.make_voucher()
    phone.open()
    for code in codes.new_codes(Random(5), "digits", 5):
        phone.type(code)

    page = phone.type(card.code)
    assert page.status == 429 and page.headers["Retry-After"] == "60"
    assert "A short break" in page.text and "Wait 1 min" in page.text
    seconds, address = page.refresh_to()
    assert seconds == 60 and address.startswith(f"/c/{card.code[:4]}-")
    assert phone.go(address).code == page.code


def test_moving_is_offered_only_while_it_is_allowed(app, rt, phone, cast):
    card = cast.make_voucher(duration_seconds=9 * HOUR)
    phone.open()
    phone.type(card.code)
    tablet = Phone(app, TABLET)
    tablet.open()
    page = tablet.type(card.code)
    assert "since 15:00. Log out there, or move the card to this phone." in page.text
    assert "The other phone goes offline. A card can be moved once a day." in page.text
    move = next(form for form in page.forms if "move" in form.fields)
    tablet.ask("POST", move.action, data=move.fields)

    phone.open()
    page = phone.type(card.code)
    assert "It has been moved to another phone today already." in page.text
    assert all("move" not in form.fields for form in page.forms)
    furnish(rt, device_moves_per_day=0)
    page = phone.type(card.code)
    assert "Log out there first" in page.text and "moved" not in page.text


def test_of_several_phones_the_first_has_to_go(app, rt, phone, cast):
    card = cast.make_voucher(devices_at_once=2)
    furnish(rt, device_moves_per_day=3)
    for mac in phones(2):
        other = Phone(app, mac)
        other.open()
        other.type(card.code)

    phone.open()
    page = phone.type(card.code)
    assert "The phone that has been online longest goes offline. A card can be moved 3 times a day." in page.text


def test_a_blocked_device_is_not_asked_for_more_codes(rt, phone, cast, clock):
    blocked = Device(site_id=cast.site.id, mac=PHONE, standing="blocked", note="", created_at=clock.now())
    rt.transact(lambda db: db.add(blocked))
    phone.open()

    page = phone.type(cast.make_voucher().code)
    assert page.status == 403 and "Not on this network" in page.text and page.forms == []


def test_a_router_that_is_down_leaves_the_code_in_the_field(rt, phone, cast):
    rt.transact(lambda db: db.query(Router).update({"status": "down"}))
    card = cast.make_voucher()
    phone.open()
    page = phone.type(card.code)

    assert page.status == 503 and "The router does not answer at the moment." in page.text
    assert page.code.replace("-", "") == card.code and page.refresh == ""
    rt.transact(lambda db: db.query(Router).update({"status": "up"}))
    assert "You are online" in phone.send().text


def test_a_router_that_cannot_say_who_asks_is_no_reason_to_say_offline(rt, app, cast, monkeypatch):
    """Without the router we do not know the phone: it may well be online."""
    cast.make_router(cast.site.id, driver="linux", options={"lan4": "10.77.0.0/24"})

    def silent(*_: object, **__: object) -> None:
        raise RouterUnreachable("gone")

    monkeypatch.setattr(rt.parts["routers"], "ask", silent)
    for path in ("/", "/status"):
        page = Phone(app).open(path)
        assert page.status == 503 and page.refresh_to() == (10, "")
        assert "One moment" in page.text and "not online" not in page.text


def test_where_we_cannot_tell_the_place_we_say_so_at_once(rt, phone, cast, clock):
    furnish(rt, wifi_name="Aden 5G")
    cast.make_router(cast.site.id)
    for path in ("/", "/status"):
        page = phone.open(path)
        assert page.status == 404 and "Where are you?" in page.text
        assert "Join the WiFi again" in page.text and "WiFi: Aden 5G" in page.text
        assert page.forms == [] and page.links["Try again"].startswith("/?client_mac=")
    answer = phone.ask("POST", "/api/voucher/redeem", data={"code": cast.make_voucher().code, "client_mac": PHONE})
    assert "Where are you?" in read(answer).text
    assert "Type the code" in phone.open(router=str(cast.router.id)).text

    other = cast.make_site(name="Elsewhere")
    cast.make_router(other.id)
    clock.advance(3)  # the directory is read again
    page = phone.open()
    assert "Elsewhere" not in page.text and "Aden 5G" not in page.text


def test_without_the_database_the_page_is_polite_and_tries_again(rt, phone, cast, clock, monkeypatch):
    card = cast.make_voucher()
    phone.open(lang="ar")
    clock.advance(TTL_S)

    def away(*_: object, **__: object) -> None:
        raise DatabaseAway()

    for name in ("read", "transact"):
        monkeypatch.setattr(rt.database, name, away)
    for path in ("/", "/status", f"/c/{card.code}", "/add"):
        page = phone.open(path)
        assert page.status == 503 and page.headers["Retry-After"] == "10"
        assert "Your card is safe." in page.text and page.refresh_to() == (10, "")
    answer = phone.ask("POST", "/api/voucher/redeem", data={"code": card.code, "client_mac": PHONE, "lang": "ar"})
    page = read(answer)
    assert page.status == 503 and "كرتك محفوظ" in page.text
    seconds, address = page.refresh_to()
    assert seconds == 10 and address.startswith(f"/c/{card.code[:4]}-") and query_of(address)["lang"] == "ar"

    monkeypatch.undo()
    phone.go(address)
    assert "أنت متصل بالإنترنت" in phone.send().text


def test_a_page_of_somebody_else_logs_nobody_out(phone, cast):
    phone.open()
    phone.type(cast.make_voucher().code)
    for action in ("/logout", "/resume"):
        sent = {"client_mac": PHONE}
        assert phone.ask("POST", action, data=sent, headers={"Origin": "http://evil.example"}).status_code == 403
    assert "You are online" in phone.open("/status").text
    for origin in ("null", "http://login.wifi"):
        answer = phone.ask("POST", "/logout", data={"client_mac": PHONE}, headers={"Origin": origin})
        assert answer.status_code == 303


# --- what is carried -----------------------------------------------------------------------------------------------


def test_what_the_redirect_brought_is_carried_in_every_link_and_form(app, cast):
    phone = Phone(app, PHONE, router=cast.router.name)
    told = {"router": cast.router.name, "client_mac": PHONE, "client_ip": "10.0.0.7", "token": "a b&c=d"}
    card = cast.make_voucher(kind="used_time", duration_seconds=HOUR)

    def carried(page: Any) -> None:
        for form in page.forms:
            assert told.items() <= form.fields.items(), form
        for address in [*page.links.values(), page.refresh.partition("url=")[2]]:
            assert not address or told.items() <= query_of(address).items(), address

    carried(phone.open(client_ip="10.0.0.7", token="a b&c=d"))
    carried(phone.type("123"))
    carried(phone.type(card.code))
    carried(phone.follow("Use another card"))
    carried(phone.follow("Back"))
    carried(phone.send("/logout"))
    carried(phone.send("/resume"))


def test_the_chosen_language_is_kept_in_every_link_and_form(phone, cast):
    page = phone.open()
    assert page.attributes == {"lang": "en", "dir": "ltr"}
    page = phone.follow("العربية")
    assert page.attributes == {"lang": "ar", "dir": "rtl"} and "lang=ar" in phone.url
    assert all(form.fields["lang"] == "ar" for form in page.forms)
    assert phone.type("1").attributes["lang"] == "ar"
    page = phone.type(cast.make_voucher(kind="used_time").code)
    assert page.attributes["lang"] == "ar" and "lang=ar" in page.refresh
    assert phone.follow("استخدم كرتًا آخر").attributes["lang"] == "ar"
    phone.follow("رجوع")
    assert phone.send("/logout").attributes["lang"] == "ar"
    page = phone.follow("English")
    assert page.attributes["lang"] == "en" and "You are logged out" in page.text


def test_changing_the_language_of_a_refusal_keeps_the_code(phone, cast):
    card = cast.make_voucher(card={"status": "used", "devices_seen": 1}, devices_ever=1)
    phone.open()
    page = phone.type(card.code)

    assert phone.follow("العربية").code == page.code


def test_the_phone_is_answered_in_its_language_else_in_the_places(app, cast):
    accepted = {"ar-YE,ar;q=0.9": "ar", "en-GB": "en", "fr,en;q=0.5": "en", "fr": "ar", "": "ar"}
    for header, spoken in accepted.items():
        phone = Phone(app, language=header)
        assert phone.open().attributes["lang"] == spoken, header
        assert phone.open(lang="en").attributes["lang"] == "en"
        assert phone.open(lang="xx").attributes["lang"] == spoken


def test_other_gateways_words_are_understood(app, cast):
    cast.make_router(cast.site.id)
    redirects = {
        "nasid={name}&mac=02:00:5E:10:00:01&ip=10.0.0.7&tok=t": "t",
        "gatewayname={name}&clientmac=02-00-5E-10-00-01&clientip=10.0.0.7&hid=t": "hid=t",
        "router={id}&id=02005E100001&client_ip=10.0.0.7&token=t": "t",
    }
    for brought, token in redirects.items():
        phone = Phone(app)
        phone.go("/c/1?" + brought.format(name=cast.router.name.replace(" ", "+"), id=cast.router.id))
        assert "You are online" in phone.type(cast.make_voucher().code).text
        assert query_of(phone.url)["token"] == token

    sessions = cast.rt.read(lambda db: db.query(GuestSession).all())
    assert {(s.client_mac, s.client_ip, s.router_id) for s in sessions} == {(PHONE, "10.0.0.7", cast.router.id)}


def test_the_place_its_network_its_help_and_its_address_are_shown(rt, phone, cast):
    furnish(rt, name="Café <Aden>", wifi_name="Aden 5G", support="+967 777 000 111", portal_host="wifi.aden")
    page = phone.open()

    assert "Café <Aden>" in page.text and "WiFi: Aden 5G" in page.text
    assert "Need help? +967 777 000 111" in page.text and '<bdi dir="ltr">+967' in page.html
    assert "To come back to this page, open wifi.aden" in page.text


def test_a_keypad_of_digits_where_all_codes_are_digits(rt, phone, cast, clock):
    page = phone.open()
    assert page.inputs["code"]["inputmode"] == "numeric"
    page = phone.follow("My code has letters in it")
    assert page.inputs["code"]["inputmode"] == "text" and "My code has letters in it" not in page.links
    assert phone.type("123").inputs["code"]["inputmode"] == "text"
    assert phone.open("/c/5Z3KQ-9TH2M").inputs["code"]["inputmode"] == "text"

    version = cast.make_plan()
    batch = {"site_id": cast.site.id, "number": 1, "plan_version_id": version.id, "quantity": 1, "state": "ready"}
    more = {"code_style": "letters", "price_minor": 1, "currency": "YER", "created_at": clock.now()}
    rt.transact(lambda db: db.add(Batch(**batch, **more)))
    clock.advance(TTL_S)
    assert phone.open().inputs["code"]["inputmode"] == "text"


# --- attacks -------------------------------------------------------------------------------------------------------


def test_nothing_that_is_sent_becomes_markup(phone, cast):
    """`read` refuses scripts, images and handlers on every page."""
    for name in ("code", "router", "token", "client_mac", "client_ip", "lang", "keys", "out"):
        phone.open(**{name: ATTACK})
        assert "<script" not in phone.page.html and "3429513" not in phone.page.text
        answer = phone.ask("POST", "/api/voucher/redeem", data={"code": "123", name: ATTACK})
        assert "<script" not in read(answer).html
    for path in (f"/c/{ATTACK.replace('/', '')}", "/c/%22%3E%3Cscript%3E", "/c/javascript:alert(1)"):
        page = phone.open(path)
        assert "<script" not in page.html
        assert all(address.startswith("/") and not address.startswith("//") for address in page.links.values())


def test_names_that_people_gave_become_no_markup(rt, phone, cast):
    furnish(rt, name=ATTACK[:120], wifi_name=ATTACK[:64], support=ATTACK)
    phone.open()
    page = phone.type(cast.make_voucher(name=ATTACK[:60]).code)

    assert page.status == 200 and "<script" not in page.html and "<script>" in page.text


def test_odd_values_are_dropped_or_cut(phone, cast):
    page = phone.open(token="x" * 513, router="a\nb")
    assert "token" not in page.forms[0].fields and "router" not in page.forms[0].fields
    assert len(phone.type("9" * 150).code) == 40
    assert phone.type("1\0 2").status == 422


# --- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ثانية"),
        (1, "ثانية"),
        (2, "ثانيتان"),
        (5, "5 ثوانٍ"),
        (59, "59 ثانية"),
        (HOUR, "ساعة"),
        (2 * HOUR, "ساعتان"),
        (3 * HOUR, "3 ساعات"),
        (10 * HOUR + 60, "10 ساعات ودقيقة"),
        (11 * HOUR + 120, "11 ساعة ودقيقتان"),
        (DAY + 3 * HOUR, "يوم واحد و3 ساعات"),
        (2 * DAY, "يومان"),
        (7 * DAY - 1, "6 أيام و23 ساعة"),
        (30 * DAY, "30 يومًا"),
        (100 * DAY, "100 يوم"),
        (103 * DAY, "103 أيام"),
    ],
)
def test_spans_in_all_six_of_the_arabic_plurals(seconds, words):
    assert span(seconds, "ar") == words


def test_every_refusal_has_a_heading_in_every_language():
    for language in (path.name for path in CATALOGUES.iterdir()):
        known = catalogue(language)._catalog  # type: ignore[attr-defined]
        assert [text for text in [*HEADINGS.values(), OTHERWISE] if text not in known] == []


def test_a_guest_reads_no_english_in_arabic(rt, app, cast, clock):
    """Only names, units and codes are in Latin letters."""
    furnish(rt, name="مقهى", wifi_name="مقهى", portal_host="1.1.1.1", support="777")
    phone = Phone(app, PHONE, language="ar")
    pages = [phone.open(), phone.open("/status")]
    told = refused_cards(cast, clock)
    for code in told:
        pages.append(phone.type(code))
    pages.append(phone.type(cast.make_voucher(name="يوم", quota_bytes=1024 * MIB).code))
    pages += [phone.follow("استخدم كرتًا آخر"), phone.follow("رجوع"), phone.send("/logout")]

    for page in pages:
        text = re.sub(r"English|\b[GMk]?B\b|\u2066S\d+\u2069", "", page.text)
        assert not re.search("[A-Za-z]{2,}", text), text


def test_the_journey_ends_at_check_out(phone, cast, clock):
    card = cast.make_voucher(duration_seconds=90 * HOUR, card={"ends_at": clock.now() + timedelta(hours=26)})
    phone.open()

    assert "Until 11 Jan 2026, 17:00" in phone.type(card.code).text


def test_a_phone_without_a_mac_is_known_by_its_address(app: Flask, cast):
    card = cast.make_voucher()
    here, there = Phone(app, address="192.0.2.1"), Phone(app, address="192.0.2.2")
    here.open()
    here.type(card.code)

    assert "You are online" in here.open().text
    assert "Go online" in there.open().text
