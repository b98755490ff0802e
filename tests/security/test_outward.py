"""Where the server may be made to speak to (SSRF): not to the addresses where clouds keep their machines' secrets."""

from __future__ import annotations

import pytest

from bawaba.routers import rules
from tests.cast import Cast
from tests.pages.browser import Browser
from tests.staff import Person, faults_of

HIDDEN = ["169.254.169.254", "fe80::1", "[fe80::1%eth0]", "0xA9FEA9FE", "2852039166", "::ffff:169.254.169.254"]
NOWHERE = ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"]
FINE = ["192.168.88.1", "10.0.0.1", "fd77::1", "127.0.0.1", "router.lan", "memory", "https://unifi.lan:8443", ""]


@pytest.mark.parametrize("address", HIDDEN + NOWHERE)
def test_such_an_address_is_no_routers(address: str):
    assert rules.is_no_router(address)


@pytest.mark.parametrize("address", FINE)
def test_an_address_in_a_network_is(address: str):
    assert not rules.is_no_router(address)


def test_the_form_and_the_api_refuse_it(app, rt, hana: Browser, cast: Cast):
    admin = Person(app, "hana")
    admin.sign_in()
    wanted = {"name": "R", "driver": "routeros", "address": HIDDEN[0], "username": "u", "password": "p"}
    assert "address" in faults_of(admin.post("/api/routers", wanted))
    assert "address" in faults_of(admin.patch(f"/api/routers/{cast.router.id}", {"address": HIDDEN[0]}))
