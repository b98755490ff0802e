"""A MikroTik's setup script: it can be read, says what it must, does no more, and is undone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bawaba.core.actor import SYSTEM
from bawaba.core.errors import Invalid
from bawaba.core.keyring import Keyring
from bawaba.routers.models import Router
from bawaba.routers.setup import routeros, service
from bawaba.routers.setup.routeros import Facts
from bawaba.routers.setup.service import Wanted
from bawaba.routers.setup.wireguard import tunnel
from bawaba.sites.models import Site
from tests.routers.console import Unreadable, read

SECRET = 'p"a$s\\s?word'


def facts(**more: object) -> Facts:
    base = {
        "router_id": 3,
        "router_name": "Café",
        "username": "bawaba",
        "password": SECRET,
        "portal_url": "http://wifi.example:5000",
        "manager_ip": "192.168.88.10",
        "manager_port": 5000,
        "server": "hotspot1",
    }
    return Facts(**(base | more))  # type: ignore[arg-type]


KINDS: dict[str, dict[str, Any]] = {
    "a hotspot that is there": {},
    "a new hotspot": {"server": None, "interface": "bridge-guests"},
    "cards on the router": {"router_held": True},
    "https": {"portal_url": "https://wifi.example"},
    "a tunnel": {"tunnel": tunnel(Keyring(bytes(32)), 3, "hotspot.example")},
}


@pytest.mark.parametrize("kind", KINDS)
def test_script_and_undo_can_be_read_to_their_innermost_string(kind):
    for text in (routeros.script(facts(**KINDS[kind])), routeros.undo(facts(**KINDS[kind]))):
        assert len(read(text).commands) > 10
        assert text.isascii()


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_whatever_a_password_holds_the_router_gets_it_as_it_is(password):
    assert password in read(routeros.script(facts(password=password))).strings


def test_an_interface_never_becomes_a_command():
    script = routeros.script(facts(server=None, interface="ether2\n/user add name=x group=full"))
    assert not [line for line in script.splitlines() if line.lstrip().startswith("/user add name=x")]


def test_the_reader_of_these_tests_refuses_what_is_broken():
    for broken in (":if (1) do={ :put 1", ':put "$x"', ':put "no end', "[:len )"):
        with pytest.raises(Unreadable):
            read(broken)


def test_the_account_has_the_least_rights_and_one_address():
    text = routeros.script(facts())
    policy = re.search(r'policy="([^"]*)"', text)
    assert policy is not None
    assert [word for word in policy[1].split(",") if not word.startswith("!")] == ["api", "read", "write"]
    assert "address=192.168.88.10/32" in text


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_is_added_is_taken_away_again(kind):
    undone = "\n".join(read(routeros.undo(facts(**KINDS[kind]))).commands)
    added = {
        match[1]
        for command in read(routeros.script(facts(**KINDS[kind]))).commands
        if (match := re.match(r"(/[a-z0-9 -]+?) add ", command))
    }
    assert "/user" in added
    for menu in added - {"/certificate"}:
        assert f"{menu} remove [find" in undone, menu
    assert '/certificate remove [find name="bawaba-api"]' in undone


def test_what_was_the_owners_is_noted_before_it_is_changed_and_put_back_first():
    text, undone = routeros.script(facts()), routeros.undo(facts())
    noted = text.index('/system script add name="bawaba-before"')
    assert noted < text.index("/ip service set api-ssl certificate")
    assert noted < text.index("\n/ip hotspot set [find")
    first = next(command for command in read(undone).commands if "remove" in command or "run" in command)
    assert first == '/system script run "bawaba-before"'


def test_while_the_manager_is_away_the_router_shows_its_own_page_unless_it_holds_the_cards():
    assert "netwatch add" in routeros.script(facts())
    assert "netwatch add" not in routeros.script(facts(router_held=True))


def test_phones_are_told_the_portals_address_over_https_only():
    assert "code=114" not in routeros.script(facts())
    assert "'https://wifi.example/capport/api'" in routeros.script(facts(portal_url="https://wifi.example"))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"server": "x", "interface": "y"}, "server"),
        ({"server": None}, "server"),
        ({"manager_ip": "1.2.3"}, "manager_ip"),
        ({"server": None, "interface": "b", "network": "10.0.0.0/8"}, "network"),
    ],
)
def test_what_cannot_work_is_said_by_its_field(wrong, field):
    with pytest.raises(Invalid) as refused:
        facts(**wrong)
    assert field in refused.value.details["fields"]


def test_a_new_hotspots_guests_get_every_address_but_the_routers():
    text = routeros.script(facts(server=None, interface="bridge-guests", network="10.9.0.254/24"))
    assert "ranges=10.9.0.1-10.9.0.253" in text


def test_both_ends_of_a_tunnel_know_each_other_and_stay_the_same():
    ours, theirs = tunnel(Keyring(bytes(32)), 3, "a.example:1234"), tunnel(Keyring(bytes(32)), 4, "a.example")
    again = tunnel(Keyring(bytes(32)), 3, "a.example:1234")
    assert ours == again
    assert ours.manager_public == theirs.manager_public
    assert ours.router_public != theirs.router_public
    assert ours.router_ip != theirs.router_ip
    script, config = routeros.script(facts(tunnel=ours)), ours.manager_config()
    assert ours.router_private in script
    assert ours.router_public in config
    assert ours.manager_public in script
    assert ours.manager_private not in script
    assert f"address={ours.manager_ip}/32" in script  # the account can be used through the tunnel only


def test_a_router_without_a_password_gets_a_random_one_once(rt, cast):
    router = cast.make_router(cast.site.id, name="Roof", driver="routeros", address="192.0.2.1")
    wanted = Wanted(server="hotspot1", manager_ip="192.0.2.9")
    first, again = (service.scripts(rt, SYSTEM, router.id, wanted) for _ in range(2))
    assert first == again
    row = cast.row(Router, router.id)
    assert row.username == "bawaba"
    secret = rt.keyring.decrypt(row.password_sealed, b"router password").decode()
    assert len(secret) >= 20
    assert secret in read(first.setup).strings


def test_a_router_of_another_make_has_none(rt, cast):
    with pytest.raises(Invalid):
        service.scripts(rt, SYSTEM, cast.router.id, Wanted(server="hotspot1", manager_ip="192.0.2.9"))


def test_the_sites_way_to_hold_cards_is_the_scripts(rt, cast):
    router = cast.make_router(cast.site.id, name="Roof", driver="routeros", address="192.0.2.1")
    wanted = Wanted(server="hotspot1", manager_ip="192.0.2.9")
    rt.transact(lambda db: db.query(Site).update({"mode": "router_held"}))
    assert "login-by=http-pap,cookie" in service.scripts(rt, SYSTEM, router.id, wanted).setup
    rt.transact(lambda db: db.query(Site).update({"mode": "server_held"}))
    assert "login-by=http-pap " in service.scripts(rt, SYSTEM, router.id, wanted).setup


def test_an_account_that_the_script_did_not_make_stops_it_before_anything_is_changed():
    first, *others = read(routeros.script(facts())).commands
    assert (
        first
        == ':if ([:len [/user find name="bawaba"]] > [:len [/user find name="bawaba" comment="bawaba-setup"]]) do='
    )
    assert others[0].startswith(":error \"The user bawaba is not Bawaba's.")


def test_only_an_account_with_our_mark_is_changed_or_removed():
    commands = read(routeros.script(facts())).commands + read(routeros.undo(facts())).commands
    touching = [command for command in commands if command.startswith(("/user set", "/user remove"))]
    assert len(touching) == 2
    assert all('comment="bawaba-setup"]' in command for command in touching)


@pytest.mark.parametrize("name", ["admin", "Admin"])
def test_no_script_is_written_for_the_account_that_every_router_comes_with(rt, cast, name):
    with pytest.raises(Invalid):
        facts(username=name)
    router = cast.make_router(cast.site.id, name="Roof", driver="routeros", address="192.0.2.1", username=name)
    with pytest.raises(Invalid) as refused:
        service.scripts(rt, SYSTEM, router.id, Wanted(server="hotspot1", manager_ip="192.0.2.9"))
    assert "such as bawaba" in refused.value.details["fields"]["username"][0]
    assert cast.row(Router, router.id).password_sealed is None
