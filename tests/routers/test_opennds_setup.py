"""The script that makes an openNDS gateway ours, as it is printed; elsewhere it is run on a real one."""

from __future__ import annotations

import subprocess

from bawaba.core.actor import SYSTEM
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
