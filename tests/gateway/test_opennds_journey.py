"""A guest's way through openNDS: Bawaba on a machine of its own, the gateway by real SSH, a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import needs
from tests.gateway.conftest import SITE, Hotspot, arabic_digits, phone
from tests.lab import LAN4, Guest, Lab, eventually
from tests.routers.opennds_box import FASKEY, OpenNdsBox

pytestmark = [pytest.mark.netns, pytest.mark.opennds, pytest.mark.timeout(240)]


class Roof(Hotspot):
    """A hotspot whose gateway is openNDS."""

    def __init__(self, lab: Lab, box: OpenNdsBox) -> None:
        assert lab.manager is not None
        super().__init__(lab, lab.manager)
        self.box = box


@pytest.fixture(scope="module")
def roof() -> Iterator[Roof]:
    needs.require("netns", "opennds")
    with Lab(guests=2, management=True, portal=False) as lab:
        box = OpenNdsBox(lab)
        key, host_key = box.let_in_by_ssh()
        box.start()
        made = Roof(lab, box)
        try:
            made.start_names()
            made.start_manager()
            made.call("POST", "/api/sites", SITE)
            options = {"lan4": f"{LAN4}.0/24", "key_file": str(key), "host_key": host_key}
            router = {"name": "roof", "driver": "opennds", "address": "172.30.0.1", "username": "root"}
            made.call("POST", "/api/routers", {**router, "password": FASKEY, "options": options})
            yield made
        finally:
            made.forget_names()


@pytest.fixture(autouse=True)
def afresh(roof: Roof) -> Iterator[None]:
    yield
    roof.forget_everybody()


def online(guest: Guest, wanted: bool = True, seconds: float = 40) -> None:
    eventually(lambda: guest.is_online() is wanted, seconds=seconds)


def test_it_answers_over_ssh_and_says_what_it_does_inexactly(roof):
    told = roof.call("POST", "/api/routers/1/test")
    assert "openNDS 9.10.0" in str(told) and "whole minutes" in str(told)


@pytest.mark.chromium
def test_a_phone_is_sent_to_the_portal_types_its_code_and_is_online(roof):
    guest = roof.lab.guests[0]
    code = roof.card(name="ساعة", duration_seconds=3600)
    with phone(guest, roof.lab.folder, "ar") as page:
        page.goto("http://example.test/")
        assert page.url.startswith(f"{roof.url}/") and page.locator("html").get_attribute("dir") == "rtl"
        page.locator("#code").fill(arabic_digits(code))
        page.locator("main button").first.click()
        page.get_by_text("أنت متصل").wait_for(timeout=20_000)
        page.goto("http://example.test/")
        assert "the internet" in page.content()
    (session,) = roof.live()
    assert session["client_mac"] == guest.mac and session["start_time"]
    guest.curl("http://example.test/big/1000000")
    roof.poll()
    eventually(lambda: roof.live()[0]["bytes_down"] > 1_000_000, roof.manager_log, 30)
    assert 0 < roof.live()[0]["bytes_up"] < 500_000


def test_who_is_kicked_is_out_in_the_middle_of_a_download_and_is_sent_to_the_portal_again(roof):
    guest = roof.lab.guests[0]
    session_id = roof.go_online(guest)
    online(guest)
    download = guest.download(4_000_000_000)
    ended = roof.terminate(session_id)
    assert ended["terminate_cause"] == "Admin-Reset"
    assert not guest.is_online()
    assert guest.curl("http://example.test/").redirect.startswith(f"{roof.url}/?fas=")
    guest.kill(download)


def test_data_that_is_up_ends_the_session_and_is_booked_to_the_end(roof):
    guest = roof.lab.guests[0]
    session_id = roof.go_online(guest, quota_bytes=500_000)
    online(guest)
    guest.curl("http://example.test/big/2000000")
    online(guest, False)
    roof.poll()
    eventually(lambda: roof.live() == [], roof.manager_log, 40)
    session = roof.call("GET", "/api/sessions?limit=1")["items"][0]
    assert (session["id"], session["terminate_cause"]) == (session_id, "NAS-Request")
    assert session["bytes_down"] > 2_000_000
    assert not guest.is_online()


def test_a_guests_crash_request_ends_with_everybody_let_in_again(roof):
    guest, other = roof.lab.guests
    session_id = roof.go_online(guest)
    online(guest)
    other.curl("http://10.77.0.1:2050/opennds_auth/")
    eventually(lambda: roof.box.sh("pidof opennds") == "")
    roof.poll()
    eventually(lambda: "Authenticated" in roof.box.sh("ndsctl json"), roof.manager_log, 90)
    online(guest)
    assert [session["id"] for session in roof.live()] == [session_id]
