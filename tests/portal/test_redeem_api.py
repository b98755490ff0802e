"""What `POST /api/voucher/redeem` answers: each row of the table, the first that fits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bawaba.routers.drivers import fake
from bawaba.routers.models import Router
from bawaba.vouchers import codes
from tests.cast import HOUR, PHONE, TABLET, phones


def ask(client, code: str, mac: str = PHONE, **more):
    """Status and body."""
    answer = client.post("/api/voucher/redeem", json={"code": code, "client_mac": mac, "client_ip": "10.0.0.9"} | more)
    return answer.status_code, answer.json


def unknown_codes(count: int) -> list[str]:
    from random import Random

    return codes.new_codes(Random(4711), "digits", count)


def test_online_with_the_whole_session(client, cast, clock):
    card = cast.make_voucher(duration_seconds=HOUR, quota_bytes=10**9)
    status, told = ask(client, card.code)

    assert (status, told["status"]) == (200, "online")
    assert told["session"] == {
        "id": told["session"]["id"],
        "voucher_id": card.id,
        "start_time": "2026-01-10T12:00:00Z",
        "end_time": "2026-01-10T13:00:00Z",
        "remaining_seconds": HOUR,
        "remaining_bytes": 10**9,
        "resumed": False,
    }


def test_the_same_device_again_goes_on_and_is_not_charged(client, cast, clock):
    card = cast.make_voucher(duration_seconds=HOUR)
    first = ask(client, card.code)[1]
    clock.advance(60)
    status, told = ask(client, card.code)

    assert (status, told["session"]["resumed"]) == (200, True)
    assert told["session"]["id"] == first["session"]["id"]
    assert told["session"]["remaining_seconds"] == HOUR - 60


@pytest.mark.parametrize("style", ["{}", "{0:.4}-{1}", " {} ", "arabic", "persian"])
def test_a_code_is_read_as_people_type_it(client, cast, style):
    card = cast.make_voucher()
    if style in ("arabic", "persian"):
        first = 0x0660 if style == "arabic" else 0x06F0
        typed = "".join(chr(first + int(digit)) for digit in card.code)
    else:
        typed = style.format(card.code, card.code[4:])
    assert ask(client, typed)[0] == 200


def test_refusals_by_row(client, cast, clock):
    elsewhere = cast.make_voucher(site_id=cast.make_site().id)
    off = cast.make_voucher(card={"disabled_at": clock.now()})
    stale = cast.make_voucher(shelf_life_seconds=60)
    checked_out = cast.make_voucher(card={"ends_at": clock.now() + timedelta(seconds=60)})
    spent = cast.make_voucher(quota_bytes=1000, card={"status": "used", "bytes_down": 1000})
    clock.advance(60)
    told = {
        "code_malformed": ask(client, "1234"),
        "voucher_unknown": ask(client, unknown_codes(1)[0]),
        "wrong_site": ask(client, elsewhere.code, router=cast.router.name),
        "voucher_disabled": ask(client, off.code),
        "voucher_used": ask(client, spent.code),
    }

    assert {word: status for word, (status, _) in told.items()} == {
        "code_malformed": 422,
        "voucher_unknown": 404,
        "wrong_site": 403,
        "voucher_disabled": 403,
        "voucher_used": 409,
    }
    assert {word: body["error"] for word, (_, body) in told.items()} == {word: word for word in told}
    for card in (stale, checked_out):
        status, body = ask(client, card.code)
        assert (status, body["error"]) == (410, "voucher_expired")
        assert body["message"] and body["request_id"]


def test_too_many_devices_at_once_and_ever(client, cast):
    one = cast.make_voucher()
    assert ask(client, one.code, PHONE)[0] == 200
    status, told = ask(client, one.code, TABLET)
    assert (status, told["error"], told["details"]["may_move"]) == (409, "too_many_devices", True)

    two_ever = cast.make_voucher(devices_at_once=9, devices_ever=2)
    assert [ask(client, two_ever.code, mac)[0] for mac in phones(3)] == [200, 200, 409]


def test_over_the_cap_nothing_is_looked_at_right_or_wrong(client, cast):
    card = cast.make_voucher()
    for code in unknown_codes(5):
        assert ask(client, code)[0] == 404
    for code in (card.code, "not even a code"):
        answer = client.post("/api/voucher/redeem", json={"code": code, "client_mac": PHONE})
        assert (answer.status_code, answer.json["error"]) == (429, "too_many_tries")
        assert int(answer.headers["Retry-After"]) > 0
    assert ask(client, card.code, TABLET)[0] == 200  # another device is another matter


def test_a_router_known_to_be_down_claims_nothing(client, cast, rt):
    card = cast.make_voucher()
    rt.transact(lambda db: db.query(Router).update({"status": "down"}))
    status, told = ask(client, card.code)
    assert (status, told["error"]) == (503, "router_unreachable")


def test_opening_while_the_router_is_silent(client, cast):
    fake.box(cast.router.id).break_with("unreachable")
    status, told = ask(client, cast.make_voucher().code)
    assert (status, told["status"]) == (200, "opening")
    assert (told["session"]["start_time"], told["session"]["end_time"]) == (None, None)


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "code"), ({"code": ""}, "code"), ({"code": ["x"]}, "code"), ({"code": "1", "move": "maybe"}, "move")],
)
def test_input_that_does_not_fit_names_its_field(client, cast, body, field):
    answer = client.post("/api/voucher/redeem", json=body)
    assert (answer.status_code, answer.json["error"]) == (422, "invalid")
    assert field in answer.json["details"]["fields"]


def test_neither_broken_json_nor_odd_macs_nor_strange_routers_are_a_crash(client, cast):
    broken = client.post("/api/voucher/redeem", data=b"{", content_type="application/json")
    assert broken.status_code == 422
    card = cast.make_voucher()
    assert ask(client, card.code, "not a mac")[0] == 422
    assert ask(client, card.code, router="no such router")[0] == 404


def test_without_a_mac_the_address_is_the_device(client, cast):
    card = cast.make_voucher()
    first = client.post("/api/voucher/redeem", json={"code": card.code})
    again = client.post("/api/voucher/redeem", json={"code": card.code})
    assert (first.json["session"]["resumed"], again.json["session"]["resumed"]) == (False, True)


def test_json_is_answered_where_it_is_asked_for_and_a_page_where_a_form_was_sent(client, cast):
    card = cast.make_voucher()
    form = {"code": card.code, "client_mac": PHONE}
    as_json = client.post("/api/voucher/redeem", data=form, headers={"Accept": "application/json"})
    as_page = client.post("/api/voucher/redeem", data=form, headers={"Accept": "text/html"})
    refused = client.post("/api/voucher/redeem", data=form | {"code": "123"}, headers={"Accept": "text/html"})

    assert as_json.json["status"] == "online"
    assert (as_page.status_code, as_page.location.partition("?")[0]) == (303, "/status")
    assert (refused.status_code, refused.mimetype) == (422, "text/html")


def test_a_guest_in_arabic_is_refused_in_arabic(client, cast):
    answer = client.post("/api/voucher/redeem", json={"code": "123"}, headers={"Accept-Language": "ar"})
    assert "كرت" in answer.json["message"]
