"""Whoever calls in a gateway's name, and whatever a gateway or a guest sends: nobody gets in by it, nothing breaks."""

from __future__ import annotations

import base64

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bawaba.authmon import words
from bawaba.core.errors import Invalid
from bawaba.routers import nds
from tests.authmon.conftest import NAT
from tests.cast import HOUR, PHONE, TABLET

pytestmark = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
CALLS = ("clear", "view", "list", "deauthed", "custom")


def call(cafe, *, address: str = NAT, method: str = "GET", path: str = "/fas/", **said: str):
    """A call as anybody may make it."""
    facts = {"auth_get": "view", "gatewayhash": cafe.nds.hash, "payload": "bm9uZQ=="} | said
    how = {"query_string": facts} if method == "GET" else {"data": facts}
    return cafe.app.test_client().open(path, method=method, environ_base={"REMOTE_ADDR": address}, **how)


def with_a_guest_waiting(cafe, cast):
    card = cast.make_voucher()
    cafe.phone().type(card.code)
    return card


@pytest.mark.parametrize("verb", CALLS)
@pytest.mark.parametrize("name_hash", ["", "0" * 64, "x" * 5000])
def test_a_gateway_that_is_not_known_is_told_nothing(cafe, cast, verb, name_hash):
    with_a_guest_waiting(cafe, cast)
    for method in ("GET", "POST"):
        answer = call(cafe, method=method, auth_get=verb, gatewayhash=name_hash)
        assert (answer.status_code, answer.text) == (401, "ERROR: unauthenticated")


def test_two_routers_of_one_name_are_neither(cafe, make_cafe):
    assert call(cafe).status_code == 200
    make_cafe()
    cafe.clock.advance(3)
    assert call(cafe).status_code == 401


def test_a_call_from_where_the_gateway_is_not_is_refused(make_cafe):
    cafe = make_cafe(calls_from=["203.0.113.0/24", "127.0.0.0/8"])
    assert call(cafe, address="203.0.113.9").status_code == 200
    assert call(cafe, address="198.51.100.1").status_code == 401


def test_a_guest_whose_own_address_we_see_cannot_speak_for_the_gateway(make_cafe):
    cafe = make_cafe(lan4=["10.88.0.0/24"])
    assert call(cafe, address="10.88.0.21").status_code == 401
    assert call(cafe, address="172.30.0.1").status_code == 200


@pytest.mark.parametrize(
    "said",
    [{"auth_get": "shutdown"}, {"auth_get": ""}, {"payload": "%%%"}, {"payload": "A" * 9000},
     {"payload": base64.b64encode(b"\xff\xfe").decode()}, {"payload": base64.b64encode(b"* not-a-proof").decode()},
     {"auth_get": "deauthed", "payload": base64.b64encode(b"method=x").decode()}, {"auth_get": "deauthed"}],
)  # fmt: skip
def test_what_the_protocol_does_not_know_is_refused_and_changes_nothing(cafe, cast, said):
    with_a_guest_waiting(cafe, cast)
    answer = call(cafe, **said)
    assert (answer.status_code, answer.text) == (422, "ERROR: invalid")
    assert cafe.session().state == "opening"


def test_a_proof_that_is_no_ones_lets_nobody_in(cafe, cast):
    with_a_guest_waiting(cafe, cast)
    cafe.nds.call("view", "none")
    assert cafe.nds.call("view", f"* {'0' * 64} {'f' * 64}") == "ack"
    assert cafe.session().state == "opening"


def test_a_proof_that_was_never_offered_lets_nobody_in(cafe, cast):
    with_a_guest_waiting(cafe, cast)
    proof = words.rhid(cafe.nds.clients[PHONE].hid, cafe.nds.faskey)
    assert cafe.nds.call("view", f"* {proof}") == "ack"
    assert cafe.session().state == "opening"


def test_the_end_of_a_session_is_not_believed_without_the_clients_token(cafe, cast):
    card = cast.make_voucher(kind="used_time", duration_seconds=HOUR)
    cafe.come_in(card)
    seen = cafe.nds.clients[PHONE]
    forged = (
        f"method=client_deauth, clientmac={PHONE}, bytes_incoming=999, bytes_outgoing=9, session_start=1, "
        f"session_end=99999, token={{}}, custom={seen.custom}"
    )
    for token in ("", "00000000", seen.hid, "null"):
        assert cafe.nds.call("deauthed", forged.format(token)) == "ack"
    assert cafe.session().state == "online" and cafe.card(card).bytes_down == 0
    other = forged.format(seen.token).replace(seen.custom, "bw1_another8_session-1_1")
    assert cafe.nds.call("deauthed", other) == "ack" and cafe.session().state == "online"
    cafe.clock.advance(60)
    assert cafe.nds.call("deauthed", forged.format(seen.token)) == "ack"
    assert cafe.session().state == "ended" and cafe.card(card).used_seconds == 60  # not longer than since it came


def test_a_redirect_without_what_the_gateway_gives_is_no_device(cafe, cast):
    card = cast.make_voucher()
    client = cafe.app.test_client()
    asked = {"code": card.code, "router": str(cafe.router.id), "client_mac": PHONE, "client_ip": "10.88.0.21"}
    for token in ("", "hid=abc", f"hid={'g' * 64}", f"hid={'0' * 64}%3Breboot"):
        answer = client.post("/api/voucher/redeem", json=asked | {"token": token})
        assert answer.status_code in (400, 404, 409, 422) and cafe.card(card).status == "unused"


@pytest.mark.parametrize("mac", ["; reboot", "$(reboot)", "`reboot`", "02:00:5e:10:00:01'"])
def test_no_word_of_a_guest_reaches_the_gateways_shell(cafe, cast, mac):
    phone = cafe.phone(says_mac=mac)
    phone.type(cast.make_voucher().code)
    listed = cafe.nds.call("view", "none")
    assert listed == "*" or not set("`$;&|<>()'\"\\") & set(listed)
    cafe.nds.round()


def test_another_gateways_guests_and_ends_are_none_of_its_business(cafe, make_cafe, cast, rt):
    card = cast.make_voucher()
    cafe.phone().type(card.code)

    def rename(db):
        other = db.get_one(type(cafe.router), second.router.id)
        other.options = {**other.options, "gateway_name": "Garden-2"}

    second = make_cafe()
    rt.transact(rename)
    cafe.clock.advance(3)
    second.nds.hash = words.gateway_hash("Garden-2")
    assert second.nds.call("view", "none") == "*"
    proof = words.rhid(cafe.nds.clients[PHONE].hid, cafe.nds.faskey)
    assert second.nds.call("view", f"* {proof}") == "ack" and cafe.session().state == "opening"
    cafe.nds.round()
    assert second.nds.call("deauthed", cafe.nds.end(PHONE, "client")) == "ack"
    assert cafe.session().bytes_down == 0 and TABLET not in cafe.nds.online()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=300))
def test_any_payload_is_read_or_refused(migrated_url, text):
    for read in (words.decoded, words.acknowledged):
        try:
            read(text)
        except Invalid:
            continue
    nds.farewell(text)
