"""The page with a MikroTik's setup script."""

from __future__ import annotations

import html
import re

import pytest

from bawaba.monitoring.polling import poll
from bawaba.routers.drivers.routeros.reach import bare
from bawaba.routers.models import Router
from tests.cast import Cast
from tests.pages.browser import Browser


@pytest.fixture
def router(cast: Cast) -> Router:
    return cast.make_router(cast.site.id, name="Roof", driver="routeros", address="192.0.2.1")


def test_the_owner_reads_the_script_then_keeps_it_as_a_file(hana: Browser, router: Router):
    path = f"/routers/{router.id}/setup"
    assert "/setup" in hana.get(f"/routers/{router.id}").text

    page = hana.post(path, {"server": "hotspot1", "manager_ip": "192.0.2.9"})
    shown = [html.unescape(text) for text in re.findall(r"<pre[^>]*>(.*?)</pre>", page.text, re.DOTALL)]
    kept = hana.post(path, {"server": "hotspot1", "manager_ip": "192.0.2.9", "file": "setup"})

    assert len(shown) == 2 and "Bawaba, router" in shown[0] and "takes Bawaba off" in shown[1]
    assert kept.text == shown[0]
    assert 'filename="bawaba-setup.rsc"' in kept.headers["Content-Disposition"]
    assert "no-store" in page.headers["Cache-Control"]


def test_a_tunnel_brings_the_managers_own_end(hana: Browser, router: Router):
    sent = {"server": "hotspot1", "manager_ip": "192.0.2.9", "wireguard": "hotspot.example"}
    page = hana.post(f"/routers/{router.id}/setup", sent)
    assert "[Interface]" in page.text and "ListenPort = 51820" in page.text


def test_what_is_wrong_is_said_at_its_field(hana: Browser, router: Router):
    page = hana.post(f"/routers/{router.id}/setup", {"server": "", "interface": ""})
    assert page.status_code == 422
    assert "ame the hotspot that is there" in page.text


def test_an_operator_never_sees_a_routers_password(omar: Browser, router: Router):
    assert omar.get(f"/routers/{router.id}/setup").status_code == 403


def test_the_owner_trusts_the_certificate_that_the_first_test_shows(hana: Browser, cast: Cast, rt, routeros):
    router = cast.make_router(
        cast.site.id,
        driver="routeros",
        address="127.0.0.1",
        port=routeros.tls_port,
        username="admin",
        password_sealed=rt.keyring.encrypt(b"secret", b"router password"),
    )
    first = hana.post(f"/routers/{router.id}/test")
    assert "It is not known yet." in first.text and bare(routeros.fingerprint) in bare(first.text)

    trusted = hana.post(f"/routers/{router.id}/trust", {"certificate": routeros.fingerprint})
    assert "It answers." in trusted.text and "Licence level 4: 0 of 200 guests are online." in trusted.text

    rt.parts["routers"].loop.submit(poll(rt, router.id)).result(10)
    assert "of 200" in hana.get(f"/routers/{router.id}").text

    changed = hana.post(f"/routers/{router.id}/trust", {"certificate": ":".join(["AB"] * 32)})
    assert "It shows another certificate than before." in changed.text


def test_an_operator_trusts_no_certificate(omar: Browser, router: Router):
    assert omar.post(f"/routers/{router.id}/trust", {"certificate": "AB" * 32}).status_code == 403


def test_an_opennds_gateway_has_a_script_of_its_own(hana: Browser, cast: Cast):
    roof = cast.make_router(cast.site.id, name="Roof", driver="opennds", address="192.168.1.1")
    path = f"/routers/{roof.id}/setup"
    assert f'href="{path}"' in hana.get(f"/routers/{roof.id}").text
    asked = hana.get(path).text
    assert 'name="interface"' in asked and 'name="server"' not in asked and "Winbox" not in asked

    page = hana.post(path, {"interface": "br-lan"})
    kept = hana.post(path, {"interface": "br-lan", "file": "setup"})
    assert "uci set opennds" in kept.text and "gatewayinterface=br-lan" in kept.text and "ssh root@" in page.text
    assert 'filename="bawaba.sh"' in kept.headers["Content-Disposition"]


@pytest.mark.parametrize(("language", "words"), [("en", "such as bawaba"), ("ar", "اختر اسم مستخدم آخر")])
def test_the_page_writes_no_script_for_the_routers_own_admin(hana: Browser, cast: Cast, language: str, words: str):
    roof = cast.make_router(cast.site.id, driver="routeros", address="192.0.2.1", username="admin")
    path = f"/routers/{roof.id}/setup"
    hana.submit("/account/language", {"language": language})
    page = hana.post(path, {"server": "hotspot1"})
    assert page.status_code == 422
    assert words in page.text and "<pre" not in page.text


def test_an_option_that_is_on_unless_turned_off_is_ticked_in_a_new_form_and_as_stored_in_an_old_one(
    hana: Browser, cast: Cast
):
    def ticked(path: str) -> set[str]:
        return set(re.findall(r'type="checkbox" name="options\.(\w+)" value="true" checked', hana.get(path).text))

    assert ticked("/routers/new?driver=routeros") == {"tls"}
    plain = cast.make_router(cast.site.id, driver="routeros", address="192.0.2.1", options={"tls": False})
    assert ticked(f"/routers/{plain.id}/edit") == set()


def test_an_address_that_only_this_machine_opens_is_warned_of_and_still_gets_its_script(
    hana: Browser, rt, router: Router
):
    path, sent = f"/routers/{router.id}/setup", {"server": "hotspot1", "manager_ip": "127.0.0.1"}
    there = rt.config
    for url, is_warned in (("http://127.0.0.1:5000", True), ("http://login.wifi", False)):
        rt.config = there.model_copy(update={"public_url": url})
        for page in (hana.get(path), hana.post(path, sent)):
            assert page.status_code == 200
            assert ("public_url = " in page.text) is is_warned
