"""The pages that lie on a MikroTik: small, whole, in two languages, and of use while we are away."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from typing import Any

import pytest

from bawaba.portal import hotspot
from bawaba.portal.places import TTL_S
from bawaba.routers.setup.routeros import AWAY_PAGES, PAGES
from bawaba.sites.models import Site

VARIABLE = re.compile(r"\$\(([^)]*)\)")
KNOWN = {  # RouterOS manual, HotSpot customisation: what the servlet fills in on these pages
    "endif", "error", "if error", "ip", "link-login", "link-login-only", "link-login-only-esc", "link-logout",
    "link-orig", "link-orig-esc", "link-status", "mac-esc", "remain-bytes-total-nice", "if remain-bytes-total",
    "session-time-left", "if session-time-left", "if http-status == 302", 'if http-header == "Location"',
}  # fmt: skip


@pytest.fixture(params=["server_held", "router_held"])
def router(request, rt, cast):
    made = cast.make_router(cast.site.id, name="Roof", driver="routeros", address="192.0.2.1")
    rt.transact(lambda db: db.query(Site).update({"mode": request.param, "name": "مقهى <هناء>", "support": "777 123"}))
    rt.clock.advance(TTL_S)
    made.held_here = request.param == "router_held"
    return made


def texts(client, router):
    names = [f"/hotspot/{router.id}/{name}" for name in PAGES] + [f"/hotspot/{router.id}/away/{n}" for n in AWAY_PAGES]
    return {name: client.get(name) for name in names}


def test_each_page_is_small_whole_and_in_both_languages(client, router):
    for name, answer in texts(client, router).items():
        assert answer.status_code == 200, name
        assert len(answer.data) <= 14 * 1024, name
        text = answer.get_data(as_text=True)
        assert 'lang="ar"' in text and 'lang="en"' in text
        assert "مقهى &lt;هناء&gt;" in text
        outside = re.findall(r'(?:src|href)="(?!\$\(|data:|http://login\.wifi)([^"]+)"', text)
        assert outside == [], name
        assert set(VARIABLE.findall(text)) <= KNOWN, name
        assert text.count("$(if ") == text.count("$(endif)")
        assert len(gzip.compress(answer.data)) < 5000


def test_where_the_portal_holds_the_cards_the_router_hands_over_to_it(client, router):
    text = client.get(f"/hotspot/{router.id}/login.html").get_data(as_text=True)
    link = f"http://login.wifi/?router={router.id}&client_mac=$(mac-esc)&client_ip=$(ip)"
    if router.held_here:
        assert link not in text
        assert 'action="$(link-login-only)"' in text and 'name="username"' in text
        return
    assert text.startswith('$(if http-status == 302)Hotspot login required$(endif)$(if http-header == "Location")')
    assert f"{link}&link-login-only=$(link-login-only-esc)" in text
    assert 'name="username"' not in text


def test_the_page_for_while_we_are_away_says_so_and_tries_again(client, router):
    text = client.get(f"/hotspot/{router.id}/away/login.html").get_data(as_text=True)
    assert "Back soon" in text and "سنعود قريبًا" in text
    assert '<meta http-equiv="refresh" content="15">' in text


def test_all_of_them_in_one_file_to_drag_into_winbox(client, router):
    answer = client.get(f"/hotspot/{router.id}/pages.zip")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        names = set(archive.namelist())
        assert {f"bawaba/{name}" for name in PAGES} <= names
        assert ("bawaba-away/login.html" in names) is not router.held_here
        plain = client.get(f"/hotspot/{router.id}/login.html").data
        assert archive.read("bawaba/login.html") == plain


def test_the_file_is_made_once_until_the_site_changes(client, rt, router, monkeypatch):
    made, plain = list[int](), hotspot._zipped

    def counted(*facts: Any) -> bytes:
        made.append(1)
        return plain(*facts)

    monkeypatch.setattr(hotspot, "_zipped", counted)
    for _ in range(5):
        first = client.get(f"/hotspot/{router.id}/pages.zip").data
    assert len(made) == 1
    rt.transact(lambda db: db.query(Site).update({"name": "Another name", "wifi_name": "Another"}))
    assert client.get(f"/hotspot/{router.id}/pages.zip").status_code == 200 and first and len(made) == 2


@pytest.mark.parametrize(
    "path", ["/hotspot/999/login.html", "/hotspot/{id}/other.html", "/hotspot/{id}/away/status.html"]
)
def test_what_is_not_there_is_not_found(client, router, path):
    assert client.get(path.format(id=router.id)).status_code == 404


def test_a_router_of_another_make_has_no_such_pages(client, cast):
    assert client.get(f"/hotspot/{cast.router.id}/login.html").status_code == 404
