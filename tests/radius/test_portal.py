"""Guests of a NAS at our portal: the code goes on to the gateway's own login page, and nothing is redeemed before."""

from __future__ import annotations

import re

import pytest

from bawaba.app import create_app
from bawaba.radius.signing_in import chap_response
from bawaba.routers.models import Router
from bawaba.vouchers.codes import grouped
from bawaba.vouchers.models import Voucher

LOGIN = "http://10.5.50.1/login"
GUEST_IP = "10.77.0.9"


@pytest.fixture
def phone(rt, make_gateway):
    """A phone behind a NAS with these options; its pages in English."""

    def behind(**options):
        gateway = make_gateway(**{"lan4": ["10.77.0.0/24"], "login_url": LOGIN} | options)
        client = create_app(rt).test_client()

        def ask(path: str, code: str = ""):
            more = {
                "environ_base": {"REMOTE_ADDR": GUEST_IP},
                "headers": {"Host": "login.wifi", "Accept-Language": "en"},
            }
            return client.post(path, data={"code": code}, **more) if code else client.get(path, **more)

        return gateway, ask

    return behind


def inputs(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))


def test_a_guest_types_his_code_and_it_goes_to_the_gateways_login_page(phone, cast):
    gateway, ask = phone()
    card = cast.make_voucher()
    assert ask("/").status_code == 200
    answer = ask("/api/voucher/redeem", card.code)

    assert answer.status_code == 200 and f'action="{LOGIN}"' in answer.text
    assert inputs(answer.text)["username"] == grouped(card.code)
    assert "form-action 'self' http://10.5.50.1" in answer.headers["Content-Security-Policy"]
    assert cast.row(Voucher, card.id).status == "unused"
    assert gateway.ask(grouped(card.code)).accepted


def test_chilli_is_answered_by_its_challenge(phone, cast):
    _, ask = phone(nas="chilli", login_url="http://10.1.0.1:3990/logon")
    code = cast.make_voucher().code
    told = "uamip=10.1.0.1&uamport=3990&challenge=00ff&mac=AA-BB-CC-00-11-22&sessionid=5"
    fields = inputs(ask(f"/api/voucher/redeem?{told}", code).text)
    assert fields["response"] == chap_response(grouped(code), "00ff") and "password" not in fields


@pytest.mark.parametrize("evil", ["link-login-only=http://evil.example/login", "uamip=6.6.6.6&uamport=80&challenge=00"])
def test_a_code_goes_nowhere_but_to_the_owners_address(phone, cast, evil):
    _, ask = phone()
    text = ask(f"/api/voucher/redeem?{evil}", cast.make_voucher().code).text
    assert set(re.findall(r'action="([^"]*)"', text)) == {LOGIN}


def test_a_typo_is_said_before_the_gateway_is_bothered(phone):
    _, ask = phone()
    assert ask("/api/voucher/redeem", "1234").status_code == 422


def test_without_an_address_the_guest_is_told_where_to_type_it(phone, cast):
    _, ask = phone(login_url="")
    answer = ask("/api/voucher/redeem", cast.make_voucher().code)
    assert answer.status_code == 503 and "user name" in answer.text


def test_who_is_online_there_sees_how_he_stands_and_can_leave(rt, phone, cast):
    gateway, ask = phone()
    card = cast.make_voucher()
    gateway.tell("Start", verdict=gateway.ask(card.code))
    assert "3 h" in ask("/status").text
    assert ask("/logout", "x").status_code == 303
    assert gateway.session().terminate_cause == "User-Request"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://a b/", "http://x/?user=1", "//x/login", "http://x/\ny"])
def test_an_address_that_is_none_is_refused(url, cast, rt):
    from bawaba.core.actor import SYSTEM
    from bawaba.core.errors import Invalid
    from bawaba.routers.service import add_router

    facts = {"name": "x", "driver": "radius", "address": "10.0.0.1", "options": {"login_url": url}}
    with pytest.raises(Invalid):
        add_router(rt, SYSTEM, facts | {"site_id": cast.site.id})
    assert rt.read(lambda db: db.query(Router).filter(Router.name == "x").count()) == 0
