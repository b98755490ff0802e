"""Our pages on a MikroTik that holds its cards: a guest gets in by a form, with no script and no manager."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import httpx
import pytest

from bawaba.core.actor import SYSTEM
from bawaba.monitoring.polling import poll
from bawaba.routers.simulators.routeros.router import Router as Simulated
from bawaba.routers.simulators.routeros.running import Simulators
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import codes, making
from tests.cast import HOUR, MIB, PHONE

PHONE_IP = "10.5.50.11"


@pytest.fixture
def mikrotik(clock) -> Iterator[Simulated]:
    with Simulators() as simulators:
        yield simulators.start(username="bawaba", password="a password", clock=clock, ports={"web_port": 0})


@pytest.fixture
def router(rt, cast, mikrotik):
    site = cast.make_site(mode="router_held")
    return cast.make_router(
        site.id, name="Roof", driver="routeros", address="127.0.0.1", port=mikrotik.api_port, username="bawaba",
        password_sealed=rt.keyring.encrypt(b"a password", b"router password"), options={"tls": False},
    )  # fmt: skip


def put_pages_on(mikrotik: Simulated, client, router) -> None:
    """What the setup script's `/tool fetch` does."""
    folder = mikrotik.hotspot.server_profile().get("html-directory", "hotspot")
    for name in ("login.html", "rlogin.html", "alogin.html", "status.html", "logout.html"):
        text = client.get(f"/hotspot/{router.id}/{name}").get_data(as_text=True)
        for row in list(mikrotik.table("/file").rows()):
            if row.values.get("name") == f"{folder}/{name}":
                row.values["contents"] = text
                break
        else:
            mikrotik.add("/file", name=f"{folder}/{name}", contents=text)


def fields_of(page: str) -> tuple[str, dict[str, str]]:
    """The first form: where it goes, and what is in it."""
    form = re.search(r'<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>', page, re.DOTALL)
    assert form is not None, page
    inputs = re.findall(r'<input[^>]*name="([^"]*)"(?:[^>]*value="([^"]*)")?', form[2])
    return html.unescape(form[1]), {name: html.unescape(value) for name, value in inputs}


def test_a_card_gets_a_phone_in_at_the_router_itself_and_we_learn_of_it(rt, cast, clock, client, mikrotik, router):
    routers = rt.parts["routers"]
    mikrotik.hotspot.server_profile()["login-by"] = "http-pap,cookie"  # as the setup script has it
    phone = mikrotik.join(PHONE, PHONE_IP)
    put_pages_on(mikrotik, client, router)
    plan = cast.make_plan(site_id=router.site_id, kind="used_time", duration_seconds=HOUR, quota_bytes=500 * MIB)
    card, _version = making.make_card(rt, SYSTEM, making.CardOrder(plan.plan_id, None))
    code = making.open_code(rt.keyring, card)
    clock.advance(10)
    routers.loop.submit(routers._deliver_due(router.id)).result(20)

    with httpx.Client(headers={"X-Phone": PHONE_IP}, follow_redirects=True, timeout=10) as browser:
        page = browser.get(f"{mikrotik.web_url}/login").text
        assert "Card code" in page and "رقم الكرت" in page and "$(" not in page
        action, fields = fields_of(page)
        refused = browser.post(action, data=fields | {"username": "123456789012"}).text
        assert "This code was not accepted" in refused and not phone.online
        welcome = browser.post(action, data=fields | {"username": codes.grouped(code)}).text
    assert phone.online
    assert "You are online" in welcome and "$(" not in welcome

    phone.move(1000, 5 * MIB)
    clock.advance(30)
    routers.loop.submit(poll(rt, router.id)).result(20)
    sessions = rt.read(lambda db: db.query(GuestSession).filter_by(voucher_id=card.id).all())
    assert [(s.client_mac, s.state) for s in sessions] == [(PHONE, "online")]
    assert sessions[0].bytes_down >= 5 * MIB
