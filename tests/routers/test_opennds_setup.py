"""The script that makes an openNDS gateway ours, as it is printed; elsewhere it is run on a real one."""

from __future__ import annotations

import subprocess

import pytest

from bawaba.core.actor import SYSTEM
from bawaba.core.errors import Invalid
from bawaba.routers.directory import directory
from bawaba.routers.models import Router
from bawaba.routers.setup import opennds, service
from bawaba.routers.setup.service import Wanted

FACTS = opennds.Facts(3, "roof-3", "f" * 40, "https://wifi.example/")


def test_the_faskey_is_made_once_and_the_gateways_own_name_finds_its_router(rt, cast):
    router = cast.make_router(cast.site.id, name="Roof café", driver="opennds", address="192.168.1.1")
    first = service.scripts(rt, SYSTEM, router.id, Wanted())
    assert first == service.scripts(rt, SYSTEM, router.id, Wanted())
    name = f"Roof-caf-{router.id}"
    assert f"gatewayname={name}\n" in first.setup and "fas_secure_enabled=1\n" in first.setup
    assert cast.row(Router, router.id).options["gateway_name"] == name
    directory(rt).forget()
    found = directory(rt).named(name)
    assert found is not None and found.id == router.id


def test_a_portal_with_a_name_is_named_and_guests_come_by_http():
    told = opennds.settings(FACTS)
    assert (told["fasremotefqdn"], told["fasport"]) == ("wifi.example", "80") and "fasremoteip" not in told
    told = opennds.settings(opennds.Facts(3, "x", "f" * 40, "http://10.0.0.2:5000"))
    assert (told["fasremoteip"], told["fasport"]) == ("10.0.0.2", "5000") and "fasremotefqdn" not in told


def test_a_shell_can_read_it_whatever_a_key_holds(tmp_path):
    for facts in (FACTS, opennds.Facts(3, "roof-3", "it's $(reboot) `x`" * 2, "http://10.0.0.2:5000", "br-lan")):
        for text in (opennds.script(facts), opennds.undo(facts)):
            assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0


def test_a_gateway_that_fetches_its_guests_is_told_our_https_address_and_a_name_that_nobody_guesses(rt, cast):
    router = cast.make_router(cast.site.id, name="Roof", driver="authmon", address="")
    with pytest.raises(Invalid):
        service.scripts(rt, SYSTEM, router.id, Wanted())  # openNDS would not fetch over http
    rt.config = rt.config.model_copy(update={"public_url": "https://localhost:8443"})
    first = service.scripts(rt, SYSTEM, router.id, Wanted())
    assert first == service.scripts(rt, SYSTEM, router.id, Wanted())
    name = cast.row(Router, router.id).options["gateway_name"]
    assert name.startswith(f"Roof-{router.id}-") and len(name) >= 16
    for line in (
        f"gatewayname={name}", "enable_serial_number_suffix=0", "fasremotefqdn=localhost", "fasremoteip=127.0.0.1",
        "fasport=8443", "faspath=/fas/", "fas_secure_enabled=4", "nat_traversal_poll_interval=5", "authidletimeout=15",
    ):  # fmt: skip
        assert f"{line}\n" in first.setup
    assert subprocess.run(["sh", "-n"], input=first.setup, text=True, check=False).returncode == 0
