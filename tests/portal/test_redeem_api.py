"""Redeeming over HTTP: every row of the table in the order of the table, and what the answers look like."""

from __future__ import annotations

import html
import itertools
import time
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from bawaba.routers.drivers import fake
from bawaba.routers.models import Device, Router
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import codes
from bawaba.vouchers.models import Voucher
from tests.cast import HOUR, MIB, PHONE, TABLET, Card, phones

SESSION = {"id", "voucher_id", "start_time", "end_time", "remaining_seconds", "remaining_bytes", "resumed"}
REFUSAL = {"error", "message", "request_id", "details"}


class Door:
    """The address where codes are traded, as programs and forms knock on it."""

    def __init__(self, app: Flask) -> None:
        self._client = app.test_client(use_cookies=False)

    def ask(self, code: Any, mac: str = PHONE, **more: Any) -> TestResponse:
        """As a program."""
        sent = {"code": code, "client_mac": mac, "client_ip": "10.77.0.9", **more}
        return self._client.post("/api/voucher/redeem", json=sent)

    def send(self, data: dict[str, Any], **headers: str) -> TestResponse:
        """As a browser's form."""
        said = {"Accept": "text/html,*/*;q=0.8", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self._client.post("/api/voucher/redeem", data=data, headers=said)

    def post(self, data: bytes, content_type: str, **headers: str) -> TestResponse:
        """These bytes."""
        return self._client.post("/api/voucher/redeem", data=data, content_type=content_type, headers=headers)


@pytest.fixture
def door(app: Flask) -> Door:
    return Door(app)


def refused(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The refusal's details; it must be this one."""
    told: Any = answer.json
    assert (answer.status_code, told["error"]) == (status, code), told
    assert set(told) == REFUSAL and told["message"] and told["request_id"] == answer.headers["X-Request-ID"]
    details: dict[str, Any] = told["details"]
    return details


def granted(answer: TestResponse, status: str = "online") -> dict[str, Any]:
    """The session that was given."""
    told: Any = answer.json
    assert answer.status_code == 200, told
    assert set(told) == {"status", "session"} and set(told["session"]) == SESSION
    assert told["status"] == status
    session: dict[str, Any] = told["session"]
    return session


def unknown_codes(count: int) -> list[str]:
    """Codes that have the right shape, and that no card has."""
    return codes.new_codes(Random(99), "digits", count)


def typo(card: Card) -> str:
    return card.code[:-1] + str((int(card.code[-1]) + 1) % 10)


def set_router(rt: Any, **values: Any) -> None:
    rt.transact(lambda db: db.query(Router).update(values))


# --- the table, row by row -----------------------------------------------------------------------------------------


def test_a_device_over_its_cap_is_told_how_long_to_wait_whatever_it_types(door, cast, clock):
    card = cast.make_voucher()
    for code in unknown_codes(5):
        refused(door.ask(code), 404, "voucher_unknown")

    for typed in (card.code, typo(card), "", *unknown_codes(6)[5:]):
        answer = door.ask(typed or "-")
        assert refused(answer, 429, "too_many_tries") == {"retry_after_s": 60}
        assert answer.headers["Retry-After"] == "60"
    assert cast.row(Voucher, card.id).status == "unused"
    clock.advance(59.5)
    assert door.ask(card.code).headers["Retry-After"] == "1"
    clock.advance(0.5)
    granted(door.ask(card.code))


def test_a_site_over_its_cap_lets_only_devices_in_that_were_here_lately(door, cast, clock):
    granted(door.ask(cast.make_voucher().code, PHONE))
    for code, mac in zip(unknown_codes(60), phones(60), strict=True):
        refused(door.ask(code, mac), 404, "voucher_unknown")
    card = cast.make_voucher()

    answer = door.ask(card.code, TABLET)
    assert refused(answer, 429, "too_many_tries")["retry_after_s"] == int(answer.headers["Retry-After"]) == 6
    granted(door.ask(cast.make_voucher().code, PHONE))
    clock.advance(6)
    granted(door.ask(card.code, TABLET))


def test_a_device_that_was_here_31_days_ago_is_a_stranger_to_the_sites_cap(door, cast, clock):
    granted(door.ask(cast.make_voucher().code))
    clock.advance(31 * 24 * HOUR)
    for code, mac in zip(unknown_codes(60), phones(60), strict=True):
        door.ask(code, mac)

    refused(door.ask(cast.make_voucher().code), 429, "too_many_tries")


def test_what_cannot_be_a_code_is_said_to_be_malformed(door):
    for typed in ("123", "not a code", "1234-5678-9012-3456", "٠١٢٣", "💳", "0" * 200, "UUUUU-UUUUU"):
        refused(door.ask(typed), 422, "code_malformed")


def test_typing_errors_cost_no_try(door, cast):
    card = cast.make_voucher()
    for _ in range(20):
        refused(door.ask(typo(card)), 422, "code_malformed")

    granted(door.ask(card.code))


def test_a_code_that_no_card_has(door):
    assert refused(door.ask(unknown_codes(1)[0]), 404, "voucher_unknown") == {}


def test_each_refusal_comes_before_all_that_stand_below_it(door, rt, cast, clock):
    """One card after the other has one fault less; the first that fits is told."""
    other = cast.make_site()
    disabled = {"disabled_at": clock.now()}
    over = {"over_at": clock.now(), "first_used_at": clock.now() - timedelta(hours=3), "status": "used"}
    spent = {"bytes_down": MIB, "status": "used"}
    full = {"devices_seen": 1, "status": "used"}
    terms: dict[str, Any] = {"quota_bytes": MIB, "devices_ever": 1}
    set_router(rt, status="down")

    def refusal(site_id: int, **card: Any) -> tuple[int, str]:
        answer = door.ask(cast.make_voucher(site_id=site_id, card=card, **terms).code)
        told: Any = answer.json
        return answer.status_code, told["error"]

    home = cast.site.id
    assert refusal(other.id, **disabled | over | spent | full) == (403, "wrong_site")
    assert refusal(home, **disabled | over | spent | full) == (403, "voucher_disabled")
    assert refusal(home, **over | spent | full) == (410, "voucher_expired")
    assert refusal(home, **spent | full) == (409, "voucher_used")
    assert refusal(home, **full) == (409, "too_many_devices")
    assert refusal(home) == (503, "router_unreachable")
    set_router(rt, status="up")
    granted(door.ask(cast.make_voucher(**terms).code))


def test_expired_tells_when(door, cast, clock):
    card = cast.make_voucher(duration_seconds=HOUR)
    end = granted(door.ask(card.code))["end_time"]
    clock.advance(HOUR)

    told = refused(door.ask(card.code), 410, "voucher_expired")
    assert told["ended_at"].replace("+00:00", "Z") == end


def test_an_unused_card_expires_by_shelf_life_and_by_its_fixed_end(door, cast, clock):
    stale = cast.make_voucher(shelf_life_seconds=HOUR)
    checked_out = cast.make_voucher(card={"ends_at": clock.now() + timedelta(hours=1)})
    clock.advance(HOUR)

    for card in (stale, checked_out):
        refused(door.ask(card.code), 410, "voucher_expired")


def test_a_spent_card_is_used_up_even_for_the_phone_that_is_on_it(door, rt, cast):
    spent: list[tuple[dict[str, Any], dict[Any, Any]]] = [
        ({"quota_bytes": MIB}, {"bytes_down": MIB // 2, "bytes_up": MIB // 2}),
        ({"quota_up_bytes": MIB}, {"bytes_up": MIB}),
        ({"quota_down_bytes": MIB}, {"bytes_down": MIB + 5}),
        ({"kind": "used_time", "duration_seconds": HOUR}, {"used_seconds": HOUR}),
    ]
    for mac, (terms, used) in zip(phones(9), spent, strict=False):
        card = cast.make_voucher(**terms)
        granted(door.ask(card.code, mac))
        rt.transact(lambda db, card=card, used=used: db.query(Voucher).filter_by(id=card.id).update(used))
        refused(door.ask(card.code, mac), 409, "voucher_used")


def test_the_same_device_again_goes_on_with_the_same_session(door, rt, cast, clock):
    card = cast.make_voucher(devices_ever=1, quota_bytes=10 * MIB)
    first = granted(door.ask(card.code))
    clock.advance(600)
    set_router(rt, status="down")  # it is on already: nothing has to be opened

    again = granted(door.ask(card.code))
    assert first["resumed"] is False and again["resumed"] is True
    assert again["remaining_seconds"] == first["remaining_seconds"] - 600 == 3 * HOUR - 600
    same = ("id", "voucher_id", "start_time", "end_time", "remaining_bytes")
    assert [again[name] for name in same] == [first[name] for name in same]
    assert len(fake.box(cast.router.id).sessions) == 1


def test_so_many_different_devices_ever(door, cast):
    card = cast.make_voucher(devices_at_once=1, devices_ever=2, idle_timeout_seconds=300)
    first, second, third = phones(3)
    granted(door.ask(card.code, first))
    granted(door.ask(card.code, second, move=True))

    assert refused(door.ask(card.code, third), 409, "too_many_devices") == {"ever": 2, "may_move": False}
    granted(door.ask(card.code, second))


def test_so_many_devices_at_once(door, rt, cast, clock):
    card = cast.make_voucher(devices_at_once=2, idle_timeout_seconds=300)
    first, second, third = phones(3)
    began = granted(door.ask(card.code, first))["start_time"]
    clock.advance(299)
    granted(door.ask(card.code, second))
    set_router(rt, status="down")  # the row below: not looked at

    told = refused(door.ask(card.code, third), 409, "too_many_devices")
    assert told.pop("since").replace("+00:00", "Z") == began
    assert told == {"at_once": 2, "may_move": True}


def test_a_silent_device_gives_its_place_away(door, cast, clock):
    card = cast.make_voucher(kind="used_time", duration_seconds=3 * HOUR, idle_timeout_seconds=300)
    first = granted(door.ask(card.code, PHONE))
    clock.advance(300)

    second = granted(door.ask(card.code, TABLET))
    assert second["id"] != first["id"] and second["resumed"] is False
    assert second["remaining_seconds"] == 3 * HOUR  # the silent tail is given back
    assert cast.row(GuestSession, first["id"]).terminate_cause == "Idle-Timeout"


def test_a_card_moves_to_this_phone_once_a_day(door, cast, clock):
    card = cast.make_voucher(duration_seconds=72 * HOUR)
    first = granted(door.ask(card.code, PHONE))

    granted(door.ask(card.code, TABLET, move=True))
    assert cast.row(GuestSession, first["id"]).ended_at is not None
    assert refused(door.ask(card.code, PHONE, move=True), 409, "too_many_devices")["may_move"] is False


def test_nothing_is_claimed_at_a_router_that_is_down_and_has_no_spare(door, rt, cast):
    card = cast.make_voucher()
    set_router(rt, status="down", failover_group="roof")

    answer = door.ask(card.code)
    assert refused(answer, 503, "router_unreachable") == {}
    assert cast.row(Voucher, card.id).status == "unused"
    assert rt.read(lambda db: db.query(GuestSession).count()) == 0


def test_a_spare_that_is_up_lets_guests_of_a_router_in_that_is_down(door, rt, cast, clock):
    set_router(rt, status="down", failover_group="roof")
    spare = cast.make_router(cast.site.id, failover_group="roof", status="up")
    fake.box(spare.id, clock)
    fake.box(cast.router.id).break_with("unreachable")

    granted(door.ask(cast.make_voucher().code, router=str(cast.router.id)))
    assert len(fake.box(spare.id).sessions) == 1


def test_a_router_that_fails_now_is_replaced_by_its_spare(door, rt, cast, clock):
    set_router(rt, failover_group="roof")
    spare = cast.make_router(cast.site.id, failover_group="roof")
    fake.box(spare.id, clock)
    fake.box(cast.router.id).break_with("unreachable")

    session = granted(door.ask(cast.make_voucher().code, router=cast.router.name))
    assert cast.row(GuestSession, session["id"]).router_id == spare.id


# --- what is answered ----------------------------------------------------------------------------------------------


def test_online_tells_from_when_to_when_and_what_is_left(door, cast, clock):
    card = cast.make_voucher(duration_seconds=3 * HOUR, quota_bytes=10 * MIB)
    session = granted(door.ask(card.code))

    assert session["start_time"] == clock.now().isoformat().replace("+00:00", "Z")
    assert session["end_time"] == (clock.now() + timedelta(hours=3)).isoformat().replace("+00:00", "Z")
    assert (session["remaining_seconds"], session["remaining_bytes"]) == (3 * HOUR, 10 * MIB)
    assert session["voucher_id"] == card.id and session["resumed"] is False


def test_a_card_of_data_alone_has_no_end(door, cast):
    session = granted(door.ask(cast.make_voucher(duration_seconds=None, quota_bytes=10 * MIB).code))

    assert session["start_time"] is not None
    assert (session["end_time"], session["remaining_seconds"]) == (None, None)
    assert session["remaining_bytes"] == 10 * MIB


@pytest.mark.parametrize("how", ["unreachable", "slow", "refused", "lost_answer"])
def test_while_the_router_is_silent_no_time_runs(door, cast, how):
    card = cast.make_voucher(quota_bytes=10 * MIB)
    fake.box(cast.router.id).break_with(how)
    began = time.monotonic()
    session = granted(door.ask(card.code), "opening")

    assert time.monotonic() - began < 3
    assert (session["start_time"], session["end_time"], session["remaining_seconds"]) == (None, None, None)
    assert session["remaining_bytes"] == 10 * MIB
    assert cast.row(Voucher, card.id).first_used_at is None
    again = granted(door.ask(card.code), "opening")
    assert (again["id"], again["resumed"], again["start_time"]) == (session["id"], True, None)


def test_what_was_not_delivered_is_delivered_later_with_all_its_time(
    door, cast, clock, deliver: Callable[[Router], None]
):
    card = cast.make_voucher(duration_seconds=HOUR)
    fake.box(cast.router.id).break_with("unreachable")
    session = granted(door.ask(card.code), "opening")
    clock.advance(1800)
    fake.box(cast.router.id).mend()
    deliver(cast.router)

    again = granted(door.ask(card.code))
    assert (again["id"], again["remaining_seconds"]) == (session["id"], HOUR)
    assert again["start_time"] == clock.now().isoformat().replace("+00:00", "Z")


def test_a_message_is_in_the_callers_language(app):
    answer = app.test_client().post("/api/voucher/redeem", json={"code": "1"}, headers={"Accept-Language": "ar-YE"})
    told: Any = answer.json

    assert "راجع الكرت" in told["message"]


def test_codes_in_any_digits_and_with_any_separators(door, cast):
    code = cast.make_voucher().code
    for zero, between in itertools.product((0x30, 0x660, 0x6F0), ("", " ", "-", "\u200f - ")):
        digits = [chr(zero + int(digit)) for digit in code]
        typed = between.join("".join(digits[i : i + 4]) for i in (0, 4, 8))
        granted(door.ask(f" {typed} "))


# --- what is sent --------------------------------------------------------------------------------------------------


def test_bad_json(door):
    for sent in (b"{", b"code=1", b"[]", b'"code"', b"\xff\xfe", b"null", b'{"code": "1", }'):
        assert "body" in refused(door.post(sent, "application/json"), 422, "invalid")["fields"]


def test_a_missing_code_is_named(door):
    for sent in (b"", b"{}", *(b'{"code": %s}' % code for code in (b"null", b'""', b'"  "', b"[]", b"{}", b"true"))):
        answer = door.post(sent, "application/json")
        assert list(refused(answer, 422, "invalid")["fields"]) == ["code"], sent


def test_wrong_types_are_named_and_claim_nothing(door, cast):
    card = cast.make_voucher()
    wrong: list[tuple[str, Any]] = [
        ("client_mac", "not a mac"),
        ("client_mac", 7),
        ("client_mac", ["02:00:5e:10:00:01"]),
        ("client_ip", "not an address"),
        ("client_ip", "10.77.0.9\0"),
        ("client_ip", {}),
        ("router", []),
        ("router", "x" * 81),
        ("token", "x" * 513),
        ("move", "perhaps"),
        ("code", "1" * 201),
    ]
    for field, value in wrong:
        answer = door.ask(**{"code": card.code, field: value})
        assert list(refused(answer, 422, "invalid")["fields"]) == [field], value
    assert cast.row(Voucher, card.id).status == "unused"


def test_a_code_may_be_a_number(door, rt, cast):
    card = cast.make_voucher()
    while card.code.startswith("0"):
        card = cast.make_voucher()

    granted(door.ask(int(card.code)))


def test_unknown_fields_are_ignored_for_redirects_carry_all_sorts(door, cast):
    granted(door.ask(cast.make_voucher().code, ssid="Café", t=1700000000))


def test_a_huge_body_is_not_read(door):
    for content_type in ("application/json", "application/x-www-form-urlencoded"):
        refused(door.post(b"code=" + b"1" * (2 << 20), content_type), 413, "too_large")


def test_the_mac_may_be_written_in_any_way(door, cast):
    card = cast.make_voucher()
    first = granted(door.ask(card.code, PHONE))

    for written in (PHONE.upper(), PHONE.replace(":", "-"), PHONE.replace(":", "")):
        assert granted(door.ask(card.code, written))["id"] == first["id"]


def test_without_a_mac_the_source_address_is_the_device(app, cast):
    card = cast.make_voucher()

    def ask(address: str) -> Any:
        answer = app.test_client().post(
            "/api/voucher/redeem", json={"code": card.code}, environ_base={"REMOTE_ADDR": address}
        )
        return answer.json

    first = ask("192.0.2.7")
    assert ask("192.0.2.7")["session"]["id"] == first["session"]["id"]
    assert ask("192.0.2.8")["error"] == "too_many_devices"


def test_a_blocked_device(door, rt, cast, clock):
    blocked = Device(site_id=cast.site.id, mac=PHONE, standing="blocked", note="", created_at=clock.now())
    rt.transact(lambda db: db.add(blocked))

    refused(door.ask(cast.make_voucher().code), 403, "device_blocked")


# --- where ---------------------------------------------------------------------------------------------------------


def test_a_router_is_named_by_id_or_by_name(door, cast, clock):
    there = cast.make_router(cast.site.id, name="roof")
    fake.box(there.id, clock)

    for reference in (str(there.id), "roof"):
        session = granted(door.ask(cast.make_voucher().code, phones(9)[len(reference)], router=reference))
        assert cast.row(GuestSession, session["id"]).router_id == there.id


def test_a_router_that_is_not_there(door, cast):
    for reference in ("99999", "no such router", "0", "-1", "1 OR 1=1"):
        refused(door.ask(cast.make_voucher().code, router=reference), 404, "unknown_place")


def test_of_two_routers_one_must_be_named(door, cast):
    cast.make_router(cast.site.id)

    refused(door.ask(cast.make_voucher().code), 404, "unknown_place")


def test_the_network_that_a_request_comes_from_says_more_than_the_guest(app, rt, cast, clock):
    """Whoever sits in a router's network cannot act for a device of another router by naming that one."""
    set_router(rt, options={"lan4": "10.77.0.0/24"})
    elsewhere = cast.make_router(cast.site.id)
    fake.box(elsewhere.id, clock)

    def redeemed_at(address: str) -> int:
        sent = {"code": cast.make_voucher().code, "router": str(elsewhere.id)}
        answer = app.test_client().post("/api/voucher/redeem", json=sent, environ_base={"REMOTE_ADDR": address})
        return int(cast.row(GuestSession, granted(answer)["id"]).router_id)

    assert redeemed_at("10.77.0.9") == cast.router.id
    assert redeemed_at("192.0.2.9") == elsewhere.id


# --- forms ---------------------------------------------------------------------------------------------------------


def test_a_form_leads_to_the_status_page_with_what_it_carried(door, cast):
    sent = {"code": cast.make_voucher().code, "client_mac": PHONE, "router": cast.router.name, "token": "a b&c"}
    answer = door.send({**sent, "lang": "ar"})

    assert answer.status_code == 303
    where = answer.headers["Location"]
    assert where.startswith("/status?") and "lang=ar" in where and "token=a+b%26c" in where
    assert "client_mac=02%3A00" in where


def test_a_refused_form_comes_back_in_words(door):
    wrong = [({"code": code}, 422, "That is not quite right") for code in ("123", "")]
    wrong += [({}, 422, "That is not quite right"), ({"code": unknown_codes(1)[0]}, 404, "We don't know this code")]
    for sent, status, words in wrong:
        answer = door.send({"client_mac": PHONE, **sent}, Accept_Language="en")
        assert (answer.status_code, answer.mimetype) == (status, "text/html")
        assert words in html.unescape(answer.text) and 'action="/api/voucher/redeem"' in answer.text


def test_a_form_that_waits_is_told_how_long(door):
    for code in unknown_codes(5):
        door.send({"code": code, "client_mac": PHONE})
    answer = door.send({"code": unknown_codes(1)[0], "client_mac": PHONE}, Accept_Language="en")

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")
    assert "Wait 1 min" in answer.text


def test_a_form_whose_sender_asks_for_json_gets_json(door, cast):
    granted(door.send({"code": cast.make_voucher().code, "client_mac": PHONE}, Accept="application/json"))
    refused(door.send({"code": "1"}, Accept="application/json"), 422, "code_malformed")


def test_the_forms_address_opened_by_itself_leads_back_to_the_form(app):
    client = app.test_client()
    browser = client.get("/api/voucher/redeem?client_mac=x&lang=ar", headers={"Accept": "text/html"})
    program = client.get("/api/voucher/redeem", headers={"Accept": "application/json"})

    assert (browser.status_code, browser.headers["Location"]) == (303, "/?client_mac=x&lang=ar")
    assert (program.status_code, program.headers["Allow"]) == (405, "POST")
