"""A card gets a phone online, through a real gateway, with a real browser: from the redirect to the last byte."""

from __future__ import annotations

import signal
import time

import pytest

from tests.gateway.conftest import Hotspot, arabic_digits, phone, seconds_until
from tests.lab import INTERNET4, INTERNET6, Guest, eventually, finish

pytestmark = pytest.mark.netns
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def afresh(hotspot: Hotspot):
    """Nobody is online when a test begins."""
    yield
    hotspot.forget_everybody()


@pytest.mark.chromium
def test_a_phone_is_sent_to_the_portal_types_the_code_in_arabic_digits_and_is_online(hotspot, tmp_path):
    guest, code = hotspot.lab.guests[0], hotspot.card(duration_seconds=3600)
    with phone(guest, tmp_path, "ar") as page:
        page.goto("http://example.test/", wait_until="load")
        assert page.url.startswith(hotspot.url)
        assert page.locator("html").get_attribute("dir") == "rtl"
        assert "اتصل بالإنترنت" in page.inner_text("body")

        page.fill("input[name=code]", arabic_digits(code))
        page.click("form[action='/api/voucher/redeem'] button")
        page.wait_for_selector("text=أنت متصل بالإنترنت", timeout=10_000)

        page.goto("http://example.test/")  # on a connection that the browser may have kept alive since the redirect
        assert page.inner_text("body") == "the internet"
        page.goto(f"{hotspot.url}/status")
        assert "أنت متصل بالإنترنت" in page.inner_text("body")


@pytest.mark.chromium
def test_an_english_phone_is_refused_in_its_own_words_and_may_correct_itself(hotspot, tmp_path):
    guest, code = hotspot.lab.guests[0], hotspot.card()
    with phone(guest, tmp_path, "en", java_script_enabled=False) as page:
        page.goto("http://example.test/some/page")
        page.fill("input[name=code]", code[:-1] + str((int(code[-1]) + 1) % 10))
        page.click("form[action='/api/voucher/redeem'] button")
        assert "That is not quite right" in page.inner_text("body")
        page.fill("input[name=code]", code)
        page.click("form[action='/api/voucher/redeem'] button")
        page.wait_for_selector("text=You are online", timeout=10_000)
        page.click("form[action='/logout'] button")
        assert "You are logged out" in page.inner_text("body")
    assert not guest.is_online()


def test_nothing_leaks_before_and_both_families_pass_after(hotspot):
    guest = hotspot.lab.guests[0]
    assert not guest.is_online() and not guest.is_online(six=True)
    assert guest.curl(f"https://[{INTERNET6}]/", timeout=3).refused
    hotspot.go_online(guest)
    assert guest.is_online() and guest.is_online(six=True)


def test_what_the_phone_used_is_counted_to_two_percent(hotspot):
    guest = hotspot.lab.guests[0]
    session_id = hotspot.go_online(guest)
    before = guest.moved()
    assert finish(guest.download(8 * MIB))[1] == 8 * MIB
    after = guest.moved()
    told = hotspot.terminate(session_id)

    assert told["bytes_down"] == pytest.approx(after[1] - before[1], rel=0.02)
    assert told["bytes_up"] == pytest.approx(after[0] - before[0], rel=0.02, abs=2000)


def test_data_used_up_cuts_in_the_middle_of_a_download(hotspot):
    guest = hotspot.lab.guests[0]
    hotspot.go_online(guest, quota_bytes=3 * MIB)
    received = fetch(guest, 20 * MIB, seconds=5)

    assert 2 * MIB < received <= 3 * MIB
    assert not guest.is_online()
    hotspot.poll()  # the monitor sees it too
    eventually(lambda: hotspot.live() == [], hotspot.manager_log)
    told = hotspot.call("GET", "/api/sessions?limit=1")["items"][0]
    assert told["terminate_cause"] == "NAS-Request"
    assert told["bytes_up"] + told["bytes_down"] <= 3 * MIB


def test_time_over_cuts_a_running_download_and_the_portal_is_back(hotspot):
    guest = hotspot.lab.guests[0]
    hotspot.go_online(guest, duration_seconds=4, rate_down_kbps=4000)
    began = time.monotonic()
    download = guest.download(20 * MIB)
    eventually(lambda: not guest.is_online(), seconds=10)
    lasted = time.monotonic() - began
    hotspot.lab.gateway.kill(download)

    assert 2.5 < lasted < 6
    assert guest.curl(f"http://{INTERNET4}/").redirect.startswith(hotspot.url)


@pytest.mark.chromium
def test_kicked_from_the_admin_page_a_running_download_stops(hotspot, tmp_path):
    guest = hotspot.lab.guests[0]
    hotspot.go_online(guest, rate_down_kbps=8000)
    with phone(hotspot.lab.gateway, tmp_path, "en") as page:
        page.goto(f"{hotspot.url}/login")
        page.fill("input[name=username]", "hana")
        page.fill("input[name=password]", "a-long-password")
        page.press("input[name=password]", "Enter")
        page.wait_for_url("**/dashboard")
        page.goto(f"{hotspot.url}/sessions")
        download = guest.download(60 * MIB)
        time.sleep(1)
        page.locator("a[href*='/end']").first.click()
        page.locator("form[action*='/end'] button").click()
        seconds_until(lambda: not guest.is_online(), 10)
        before = guest.moved()[1]
        time.sleep(0.5)
        assert guest.moved()[1] - before < 20_000
        hotspot.lab.gateway.kill(download)
    assert hotspot.live() == []


@pytest.mark.parametrize("kbps", [2000, 10_000])
def test_rates_are_kept_within_ten_percent(hotspot, kbps):
    guest = hotspot.lab.guests[1]
    hotspot.go_online(guest, rate_down_kbps=kbps, rate_up_kbps=kbps)
    count = kbps * 125 * 4
    _, received, seconds = finish(guest.download(count))
    assert received * 8 / seconds / 1000 == pytest.approx(kbps, rel=0.1)

    sent = guest.curl(f"http://{INTERNET4}/", "-X", "POST", "--data-binary", f"@{blob(hotspot, count)}", timeout=30)
    assert sent.up * 8 / sent.seconds / 1000 == pytest.approx(kbps, rel=0.1)


def fetch(guest: Guest, count: int, seconds: float) -> int:
    """Fetch so many bytes, so long at the most; how many came."""
    return guest.curl(f"http://{INTERNET4}/big/{count}", "-o", "/dev/null", timeout=seconds).down


def blob(hotspot: Hotspot, count: int) -> str:
    path = hotspot.lab.folder / f"blob-{count}"
    if not path.exists():
        path.write_bytes(bytes(count))
    return str(path)


def test_agent_killed_and_started_again_guests_stay_online(hotspot):
    guest = hotspot.lab.guests[0]
    session_id = hotspot.go_online(guest)
    hotspot.lab.kill_agent(signal.SIGKILL)
    assert guest.is_online()
    hotspot.lab.start_agent()
    assert guest.is_online()
    finish(guest.download(MIB))
    assert hotspot.terminate(session_id)["bytes_down"] > MIB


def test_manager_killed_and_started_again_guests_stay_online_and_are_counted(hotspot):
    guest = hotspot.lab.guests[0]
    session_id = hotspot.go_online(guest)
    hotspot.stop_manager(signal.SIGKILL)
    assert guest.is_online()
    finish(guest.download(MIB))
    hotspot.start_manager()
    eventually(lambda: hotspot.call("GET", f"/api/sessions/{session_id}")["bytes_down"] > MIB)
    assert guest.is_online()


def test_machine_rebooted_guests_are_back_with_what_was_left(hotspot):
    guest = hotspot.lab.guests[0]
    session_id = hotspot.go_online(guest, quota_bytes=20 * MIB)
    finish(guest.download(4 * MIB))
    hotspot.poll()
    eventually(lambda: hotspot.live()[0]["bytes_down"] > 4 * MIB)
    end = hotspot.live()[0]["end_time"]
    hotspot.stop_manager(signal.SIGKILL)
    hotspot.lab.kill_agent()
    hotspot.lab.nft("flush", "ruleset")
    hotspot.lab.start_agent()
    assert not guest.is_online()
    hotspot.start_manager()
    lasted = seconds_until(guest.is_online, 60)

    assert lasted < 60
    assert hotspot.live()[0]["end_time"] == end
    assert 12 * MIB < fetch(guest, 40 * MIB, seconds=6) <= 16 * MIB
    told = hotspot.terminate(session_id)
    assert told["bytes_down"] <= 21 * MIB


def test_a_guest_cannot_speak_for_another(hotspot):
    """A MAC in the request is a guest's word: the gateway knows who really asks."""
    liar, victim = hotspot.lab.guests
    code = hotspot.card()
    body = f'{{"code": "{code}", "client_mac": "{victim.mac}", "client_ip": "{victim.ip4}"}}'
    liar.curl(f"{hotspot.url}/api/voucher/redeem", "-H", "Content-Type: application/json", "-d", body)

    assert [session["client_mac"] for session in hotspot.live()] == [liar.mac]
    assert not victim.is_online()


def test_trusted_and_blocked_devices(hotspot):
    till, nuisance = hotspot.lab.guests
    hotspot.call("PUT", "/api/devices", {"mac": till.mac, "standing": "trusted", "note": "the till"})
    seconds_until(till.is_online, 10)
    hotspot.call("PUT", "/api/devices", {"mac": nuisance.mac, "standing": "blocked"})
    seconds_until(lambda: nuisance.curl(f"{hotspot.url}/", timeout=1).exit_code != 0, 10)
    for guest in (till, nuisance):
        hotspot.call("DELETE", f"/api/devices/{guest.mac}")
    seconds_until(lambda: not till.is_online(), 10)


def test_the_address_on_the_card_leads_to_the_portal_before_and_after(hotspot):
    guest = hotspot.lab.guests[0]
    assert "<form" in guest.curl("http://login.wifi/", "-L").body
    hotspot.go_online(guest)
    page = guest.curl("http://login.wifi/status", "-L", "-H", "Accept-Language: en").body
    assert "You are online" in page
