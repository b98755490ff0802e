"""Guests' browsers meet the simulated hotspot's own pages, and the walled garden around them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import httpx
import pytest

from bawaba.core.clock import ManualClock
from bawaba.routers.simulators.routeros import templates
from bawaba.routers.simulators.routeros.router import Router


@pytest.fixture
def router(make_routeros, clock) -> Router:
    made = make_routeros(password="secret", clock=clock)
    made.add("/ip/hotspot/user", name="0042", password="pw", limit_uptime="1h")
    return made


@pytest.fixture
def browser(router) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=router.web_url, timeout=3) as client:
        yield client


def only_login_by(router: Router, ways: str) -> None:
    router.table("/ip/hotspot/profile").set({"numbers": "hsprof1", "login-by": ways})


class TestLogin:
    def test_a_browser_posts_the_code_and_is_in(self, router, browser):
        assert 'name="username"' in browser.get("/login").text

        answer = browser.post("/login", data={"username": "0042", "password": "pw", "dst": "", "popup": "false"})

        assert "You are logged in" in answer.text
        assert router.find("/ip/hotspot/active")[0]["user"] == "0042"
        assert "Welcome 0042" in browser.get("/login", follow_redirects=True).text
        assert "logged out" in browser.post("/logout").text
        assert not router.find("/ip/hotspot/active")

    def test_get_with_the_same_fields_logs_in_too(self, browser):
        assert "You are logged in" in browser.get("/login", params={"username": "0042", "password": "pw"}).text

    def test_a_wrong_code_is_said(self, browser):
        answer = browser.post("/login", data={"username": "0042", "password": "no"})
        assert "invalid username or password" in answer.text and 'value="0042"' in answer.text

    def test_chap_proves_the_password_without_saying_it(self, router, browser):
        only_login_by(router, "http-chap")
        page = "$(chap-id)|$(chap-challenge)|$(error)"
        files = router.table("/file")
        files.write(files.named("flash/hotspot/login.html")[0], {"contents": page})
        assert "challenge" in browser.post("/login", data={"username": "0042", "password": "pw"}).text

        identifier, challenge, _ = browser.get("/login").text.split("|")
        data = octal(identifier) + b"pw" + octal(challenge)
        response = hashlib.md5(data, usedforsecurity=False).hexdigest()
        answer = browser.post("/login", data={"username": "0042", "password": response})

        assert "You are logged in" in answer.text
        assert router.find("/ip/hotspot/active")[0]["login-by"] == "http-chap"

    def test_a_browser_comes_back_by_its_cookie(self, router, browser):
        only_login_by(router, "cookie,http-pap")
        browser.post("/login", data={"username": "0042", "password": "pw"})
        router.hotspot.end(next(iter(router.hotspot.sessions.values())), "test")

        assert "You are logged in" in browser.get("/login").text
        assert router.find("/ip/hotspot/active")[0]["login-by"] == "cookie"

    def test_each_browser_may_name_its_phone(self, router, browser):
        phone = router.join()
        browser.post("/login", data={"username": "0042", "password": "pw"}, headers={"X-Phone": phone.ip})
        assert phone.user == "0042"

    def test_the_status_page_tells_what_is_left(self, browser, clock: ManualClock):
        browser.post("/login", data={"username": "0042", "password": "pw"})
        clock.advance(60)
        assert "59m" in browser.get("/status").text


class TestWalledGarden:
    def test_a_probe_is_led_to_the_login_page_and_answered_once_in(self, browser):
        probe = {"Host": "connectivitycheck.gstatic.com"}
        assert "/login" in browser.get("/generate_204", headers=probe).text
        browser.post("/login", data={"username": "0042", "password": "pw"})
        assert browser.get("/generate_204", headers=probe).status_code == 204

    def test_https_needs_the_address_garden(self, router):
        phone = router.join()
        router.add("/ip/hotspot/walled-garden", dst_host="portal.example", action="allow")
        assert phone.reaches("portal.example", port=80) and not phone.reaches("portal.example", port=443)
        assert not phone.reaches("www.portal.example", port=80)

        router.add("/ip/hotspot/walled-garden/ip", dst_address="192.0.2.7", action="accept")
        assert phone.reaches("portal.example", address="192.0.2.7")
        assert not phone.reaches("portal.example", address="192.0.2.8")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a$(name)b", "a&lt;x&gt;b"),
        ("$(if name)yes$(else)no$(endif)", "yes"),
        ("$(if gone)yes$(elif name == 'x')2$(else)no$(endif)", "no"),
        ('$(if one == "1")yes$(endif)', "yes"),
        ("$(if one != 1)yes$(endif).", "."),
        ("$(if gone)$(if name)in$(else)in$(endif)$(endif).", "."),
    ],
)
def test_pages_are_filled_in(source, text):
    assert templates.render(source, {"name": "<x>", "one": "1"}).text == text


def test_a_page_sets_its_status_and_headers():
    source = '$(if http-status == 302)go$(endif)$(if http-header == "Location")https://p/?m=$(mac)$(endif)rest'
    page = templates.render(source, {"mac": "a&b"})
    assert (page.status, page.headers, page.text) == (302, {"Location": "https://p/?m=a&b"}, "rest")


def octal(text: str) -> bytes:
    return bytes(int(part, 8) for part in re.findall(r"\\(\d{3})", text))
