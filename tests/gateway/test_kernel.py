"""What the kernel keeps to with nobody watching, and what never gets as far as the kernel."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests import needs
from tests.gateway.test_agent import MB, Office, came_after, fetch
from tests.lab import INTERNET4, INTERNET6, OTHER4, Guest, Lab, ask_agent, eventually, finish, town

pytestmark = pytest.mark.netns
MAC = "02:cc:00:00:00:01"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    needs.require("netns")
    with town(guests=2) as made:
        yield made


@pytest.fixture
def office(lab: Lab) -> Iterator[Office]:
    made = Office(lab)
    yield made
    if lab.agent is None or lab.agent.poll() is not None:
        lab.start_agent()
    made.clear()


@pytest.fixture
def guest(lab: Lab) -> Guest:
    return lab.guests[0]


@pytest.fixture
def other(lab: Lab) -> Guest:
    return lab.guests[1]


# With the agent dead.


def test_time_over_cuts_a_running_download_with_nobody_watching(office, lab, guest):
    office.admit(guest, seconds=1.5)
    download = guest.download(5000 * MB)
    time.sleep(0.4)
    lab.kill_agent()
    assert came_after(guest, 0.3) > MB
    time.sleep(1)
    assert came_after(guest) < 2000
    assert not guest.is_online() and not guest.is_online(six=True)
    guest.kill(download)


def test_data_over_cuts_a_running_download_with_nobody_watching(office, lab, guest):
    office.admit(guest, bytes_total=6 * MB)
    lab.kill_agent()
    assert 5 * MB < fetch(guest, 30 * MB) < 6 * MB
    assert guest.curl(f"http://{INTERNET4}/", timeout=3).status == 302
    lab.start_agent()
    session = office.sessions()[1]
    assert session["ended"] == "data"
    assert 6 * MB - 2000 < session["up"] + session["down"] <= 6 * MB


@pytest.mark.parametrize("kbps", [3000])
def test_a_speed_limit_holds_both_ways_with_nobody_watching(office, lab, guest, kbps):
    office.admit(guest, rate_down_kbps=kbps, rate_up_kbps=kbps)
    lab.kill_agent()
    _, received, seconds = finish(guest.download(MB))
    assert received * 8 / seconds / 1000 == pytest.approx(kbps, rel=0.1)
    (lab.folder / "blob").write_bytes(bytes(MB))
    sent = guest.curl(f"http://{INTERNET4}/", "-X", "POST", "--data-binary", f"@{lab.folder}/blob")
    assert sent.up * 8 / sent.seconds / 1000 == pytest.approx(kbps, rel=0.1)


# One guest and another.


def test_who_is_removed_takes_nobody_with_him(office, guest, other):
    office.admit(guest, mark=1)
    office.admit(other, mark=2, rate_down_kbps=40_000)
    downloads = [phone.download(5000 * MB) for phone in (guest, other)]
    eventually(lambda: min(session["down"] for session in office.sessions().values()) > MB)
    office.remove(1)
    assert came_after(guest) < 20_000
    assert came_after(other) > MB
    sessions = office.sessions()
    assert list(sessions) == [2] and sessions[2]["ended"] == ""
    for phone, download in zip((guest, other), downloads, strict=True):
        phone.kill(download)


def test_what_one_uses_is_not_taken_from_the_other(office, guest, other):
    office.admit(guest, mark=1, bytes_total=2 * MB)
    office.admit(other, mark=2, bytes_total=2 * MB)
    fetch(guest, 9 * MB)
    sessions = office.sessions()
    assert sessions[1]["ended"] == "data" and sessions[2]["up"] + sessions[2]["down"] == 0
    assert fetch(other, MB) == MB and other.is_online()


# What a stranger's phone tries.


@pytest.mark.parametrize("host", [INTERNET4, INTERNET6])
def test_a_strangers_datagrams_are_refused_at_once_so_that_browsers_give_up_quic(office, guest, host):
    family = "INET6" if ":" in host else "INET"
    ask = f"""
import socket, time
s = socket.socket(socket.AF_{family}, socket.SOCK_DGRAM)
s.settimeout(3)
s.connect(("{host}", 443))
began = time.monotonic()
s.send(b"hello")
try:
    s.recv(9)
except TimeoutError:
    print("silence")
except OSError:
    print("refused" if time.monotonic() - began < 1 else "late")
"""
    assert guest.run(sys.executable, "-c", ask).strip() == "refused"


def test_an_address_of_another_network_gets_a_guest_nowhere(office, lab, guest):
    office.admit(guest)
    guest.run("ip", "address", "add", "192.0.2.9/32", "dev", "eth0")
    assert guest.curl(f"http://{INTERNET4}/", "--interface", "192.0.2.9", timeout=1).exit_code == 28
    guest.run("ip", "address", "del", "192.0.2.9/32", "dev", "eth0")
    assert "192.0.2.9" not in lab.nft("list", "set", "inet", "bawaba", "seen4")
    assert guest.is_online()


# What comes through the socket.


def entry(network: object, **facts: Any) -> dict[str, Any]:
    return {"op": "garden", "entries": [{"network": network, "first_port": 80, **facts}]}


def admission(**facts: Any) -> dict[str, Any]:
    return {"op": "admit", "mark": 5, "mac": MAC, "key": "session:5", "owner": "tests"} | facts


@pytest.mark.parametrize(
    "operation",
    [
        admission(mac=f"{MAC} : 5 }}\nadd table inet gone\n#"),
        admission(key='session:5" }\nadd table inet gone\n#'),
        admission(owner='a" }'),
        admission(mark="5 }\nadd table inet gone\n#"),
        admission(seconds="60s }\nadd table inet gone\n#"),
        admission(bytes_total="1 bytes }\nadd table inet gone\n#"),
        admission(rate_down_kbps="1kbit\nqdisc del dev lan root\n#"),
        {"op": "remove", "mac": f"{MAC} }}\nflush ruleset\n#"},
        {"op": "remove", "mark": [5]},
        {"op": "devices", "trusted": [f"{MAC} : 1 }}\nflush ruleset\n#"], "blocked": []},
        {"op": "devices", "trusted": [], "blocked": {MAC: 1}},
        entry('2001:db8::1%x }\ninclude "/etc/hostname"\n#'),
        entry("2001:db8::1%eth0"),
        entry(f"{OTHER4} . tcp . 80 }}\nflush ruleset\n#"),
        entry(["198.51.100.11"]),
        entry(5),
        entry(OTHER4, protocol="tcp . 80 }\nflush ruleset\n#"),
        entry(OTHER4, last_port="90 }\nflush ruleset\n#"),
        entry(OTHER4, comment='" }\nflush ruleset\n#'),
        {"op": "sync", "owner": "tests", "sessions": [{"mark": 5, "mac": MAC, "key": '"', "owner": "tests"}]},
        {"op": "sync", "owner": 'a"', "sessions": []},
        {"op": "flush ruleset"},
        {"op": ["admit"]},
        [],
        None,
    ],
)
def test_words_that_would_say_more_to_nft_never_get_there(office, lab, guest, operation):
    office.admit(guest)
    before, said = table_text(lab), lab.agent_log()
    (answer,) = office.apply(operation)
    assert (answer["ok"], answer["reason"]) == (False, "bad_value")
    assert table_text(lab) == before
    assert lab.nft("list", "tables").split() == ["table", "inet", "bawaba"]
    assert lab.agent_log() == said  # a complaint of nft's would stand here
    assert guest.is_online()


def table_text(lab: Lab) -> str:
    """What the agent has put into the table, without what moves by itself."""
    names = ("client", "live", "about", "cap", "trusted", "blocked", "garden4", "garden6")
    kinds = {"client": "map", "cap": "map", "trusted": "map"}
    return "".join(lab.nft("-s", "list", kinds.get(name, "set"), "inet", "bawaba", name) for name in names)


@pytest.mark.parametrize(
    "words",
    [
        b"\n",
        b"\x00\xff\xfe\n",
        b"{}\n",
        b'"apply"\n',
        b'{"id": {"a": 1}, "verb": ["apply"]}\n',
        b'{"id": 1, "verb": "apply"}\n',
        b'{"id": 1, "verb": "apply", "ops": {"op": "remove"}}\n',
        b'{"id": 1, "verb": "dump", "locate": "10.77.0.10"}\n',
        b'{"id": 1, "verb": "dump", "locate": {"ip": "10.77.0.10 dev lan"}}\n',
        b'{"id": 1, "verb": "dump", "locate": {"mac": "-batch"}}\n',
        b'{"id": 1, "verb": "apply", "ops": [' + b"[" * 5000 + b"]" * 5000 + b"]}\n",
        b'{"id": 1, "verb": "apply", "ops": [{"op": "admit", "mark": ' + b"9" * 5000 + b"}]}\n",
    ],
)
def test_odd_words_are_refused_and_the_next_request_is_answered(office, lab, guest, words):
    office.admit(guest)
    assert '"bad_value"' in ask_agent(lab.socket, words)
    assert office.ask(verb="health")["sessions"] == 1
    assert guest.is_online()


def test_two_hundred_callers_at_once_are_all_served(office, lab):
    callers = []
    for number in range(200):
        caller = socket.socket(socket.AF_UNIX)
        caller.settimeout(20)
        caller.connect(str(lab.socket))
        operation = office.admission(f"02:cc:00:00:01:{number:02x}", number % 99 + 1)
        operation |= {"mark": 10**6 + number, "key": f"session:{number}"}
        caller.sendall(json.dumps({"id": number, "verb": "apply", "ops": [operation]}).encode() + b"\n")
        callers.append(caller)
    answers = [json.loads(caller.makefile().readline()) for caller in callers]
    assert [answer["id"] for answer in answers] == list(range(200))
    assert all(answer["results"][0]["ok"] for answer in answers)
    assert office.ask(verb="health")["sessions"] == 200
    for caller in callers:
        caller.close()


def test_a_caller_who_does_not_read_hinders_nobody_and_not_the_agents_end(office, lab, guest):
    many = [office.admission(f"02:cc:00:00:{n >> 8:02x}:{n & 255:02x}", 200_000 + n) for n in range(3000)]
    office.apply(*many)
    office.admit(guest)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as caller:
        caller.connect(str(lab.socket))
        for number in range(20):
            caller.sendall(json.dumps({"id": number, "verb": "dump"}).encode() + b"\n")
        eventually(lambda: office.ask(verb="health")["sessions"] == 3001)
        time.sleep(1)
        os.killpg(lab.agent.pid, signal.SIGTERM)
        assert lab.agent.wait(timeout=5) == 0
    assert "Traceback" not in lab.agent_log()
    assert not lab.socket.exists()
    assert guest.is_online()
