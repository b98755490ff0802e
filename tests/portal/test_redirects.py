"""Each gateway's own words come to the same few of ours, and nothing that a redirect says is a place to go to."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from bawaba.portal.redirects import site_ref, translated
from tests.cast import PHONE
from tests.portal.phone import Phone, query_of

FAS = (
    f"hid=abc123, clientip=10.77.0.9, clientmac={PHONE}, client_type=cpd_can, "
    "gatewayname=Roof%20caf%c3%a9%20Node%3a0a1b2c3d4e5f%20, gatewayurl=http%3a%2f%2fevil.test, version=9.10.0, "
    "gatewayaddress=10.77.0.1:2050, originurl=http%3a%2f%2fevil.test%2f, clientif=lan, themespec=(null)"
)


def fas(text: str, padded: bool = True) -> dict[str, str]:
    packed = base64.b64encode(text.encode()).decode()
    return {"fas": packed if padded else packed.rstrip("=")}


@pytest.mark.parametrize("padded", [True, False])
def test_opennds(padded):
    words = translated(fas(FAS, padded))
    assert words == {
        "at": "Roof café", "client_mac": PHONE, "client_ip": "10.77.0.9",
        "token": "hid=abc123&gatewayaddress=10.77.0.1%3A2050",
    }  # fmt: skip
    assert site_ref(words["token"]) == {"hid": "abc123", "gatewayaddress": "10.77.0.1:2050"}


def test_a_fas_word_that_makes_no_sense_says_nothing():
    for fas_word in ("!!!", "aGVsbG8", "=", "/w=="):
        assert translated({"fas": fas_word}) == {}


def test_routeros():
    said = {
        "mac": PHONE.upper(), "ip": "10.5.50.7", "link-login-only": "http://wifi.lan/login", "identity": "roof",
        "link-orig": "http://evil.test/", "chap-id": r"\371", "chap-challenge": r"\021\307", "server-name": "hs1",
    }  # fmt: skip
    words = translated(said)
    assert (words["at"], words["client_mac"], words["client_ip"]) == ("roof", PHONE.upper(), "10.5.50.7")
    ref = {"link-login-only": "http://wifi.lan/login", "chap-id": r"\371", "chap-challenge": r"\021\307"}
    assert site_ref(words["token"]) == ref


def test_chilli():
    said = {
        "res": "notyet", "uamip": "10.1.0.1", "uamport": "3990", "challenge": "0f", "called": "00-11", "mac": PHONE,
        "ip": "10.1.0.5", "nasid": "roof", "sessionid": "5", "userurl": "http://evil.test/",
    }  # fmt: skip
    words = translated(said)
    assert (words["at"], words["client_mac"], words["client_ip"]) == ("roof", PHONE, "10.1.0.5")
    assert site_ref(words["token"]) == {"uamip": "10.1.0.1", "uamport": "3990", "challenge": "0f", "sessionid": "5"}


def test_unifi_names_its_site_in_the_path(app, cast):
    cast.make_router(cast.site.id, name="default")
    phone = Phone(app)
    there = f"/guest/s/default/?ap=00:11:22:33:44:55&id={PHONE}&t=1700000000&url={quote('http://evil.test')}&ssid=Café"
    answer = phone.ask("GET", there)
    assert answer.status_code == 302 and "evil" not in answer.headers["Location"]
    carried = query_of(answer.headers["Location"])
    assert (carried["at"], carried["client_mac"]) == ("default", PHONE)
    assert site_ref(carried["token"]) == {"ap": "00:11:22:33:44:55", "ssid": "Café"}
    phone.go(answer.headers["Location"])
    assert "You are online" in phone.type(cast.make_voucher().code).text


def test_our_own_words_win_and_what_is_odd_is_left_out():
    said = {"router": "3", "mac": "x" * 201, "client_ip": "10.0.0.1", "clientip": "10.0.0.2", "tok": "a\nb"}
    assert translated(said) == {"router": "3", "client_ip": "10.0.0.1"}


def test_a_gateways_name_that_no_router_has_leaves_the_only_router(app, cast):
    phone = Phone(app, PHONE)
    phone.open(gatewayname="somebody else")
    assert "You are online" in phone.type(cast.make_voucher().code).text
