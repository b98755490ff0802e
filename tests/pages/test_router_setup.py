"""The page with a MikroTik's setup script."""

from __future__ import annotations

import html
import re

import pytest

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
