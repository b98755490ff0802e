"""The agent against the real kernel, with real phones: what it lets through, what it counts, what it survives."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests import needs
from tests.lab import (
    GATEWAY4,
    INTERNET4,
    INTERNET6,
    MANAGER4,
    OTHER4,
    PORTAL_PORT,
    PRIVATE4,
    PRIVATE6,
    Guest,
    Lab,
    Place,
    ask_agent,
    eventually,
    town,
)

pytestmark = pytest.mark.netns
MB = 1_000_000


class Office:
    """Whoever speaks to the agent's socket. Marks are counted from one for each test, and never used twice."""

    numbers = itertools.count(1)

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.first = 100 * next(self.numbers)

    def ask(self, **words: Any) -> Any:
        return json.loads(ask_agent(self.lab.socket, {"id": 1, **words}))

    def apply(self, *operations: dict[str, Any]) -> list[Any]:
        return list(self.ask(verb="apply", ops=list(operations))["results"])

    def admit(self, guest: Guest, mark: int = 1, **limits: Any) -> Any:
        (answer,) = self.apply(self.admission(guest.mac, mark, **limits))
        assert answer["ok"], answer
        return answer["session"]

    def remove(self, mark: int = 1) -> Any:
        (answer,) = self.apply(self.removal(mark))
        assert answer["ok"], answer
        return answer["session"]

    def sessions(self) -> dict[int, Any]:
        found = {session["mark"] - self.first: session for session in self.ask(verb="dump")["sessions"]}
        return {mark: session for mark, session in found.items() if mark > 0}

    def admission(self, mac: str, mark: int, **limits: Any) -> dict[str, Any]:
        number = self.first + mark
        return {"op": "admit", "mark": number, "mac": mac, "key": f"session:{number}", "owner": "tests"} | limits

    def removal(self, mark: int) -> dict[str, Any]:
        return {"op": "remove", "mark": self.first + mark}

    def clear(self) -> None:
        self.apply(
            *(self.removal(mark) for mark in self.sessions()),
            {"op": "devices", "trusted": [], "blocked": []},
            {"op": "garden", "entries": []},
        )


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    needs.require("netns")
    with town(guests=3) as made:
        yield made


@pytest.fixture
def office(lab: Lab) -> Iterator[Office]:
    if lab.agent is None or lab.agent.poll() is not None:
        lab.start_agent()
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


def count_itself(guest: Guest) -> None:
    """Have the phone count its own IP packets to and from the internet, by its own kernel."""
    rules = "".join(
        f"""
        chain {name}_{family} {{
            type filter hook {name} priority 0;
            {family} {side} {address} counter comment "{name}"
        }}"""
        for name, side in (("output", "daddr"), ("input", "saddr"))
        for family, address in (("ip", INTERNET4), ("ip6", INTERNET6))
    )
    guest.run("nft", "-f", "-", given=f"table inet own {{ {rules}\n}}\n")


def own_count(guest: Guest) -> tuple[int, int]:
    """Bytes up and down by the phone's own counters."""
    counted = {"output": 0, "input": 0}
    listing = json.loads(guest.run("nft", "-j", "list", "table", "inet", "own"))["nftables"]
    for rule in (item["rule"] for item in listing if "rule" in item):
        counted[rule["comment"]] += sum(part["counter"]["bytes"] for part in rule["expr"] if "counter" in part)
    guest.run("nft", "delete", "table", "inet", "own")
    return counted["output"], counted["input"]


# Who gets where.


def test_strangers_get_the_portal_for_pages_and_a_refusal_at_once_for_all_else(office, guest):
    page = guest.curl(f"http://{INTERNET4}/", timeout=3)
    assert (page.status, page.redirect) == (302, f"http://{GATEWAY4}/portal")
    for url in (f"https://{INTERNET4}/", f"http://{INTERNET4}:8080/", f"http://[{INTERNET6}]/"):
        refused = guest.curl(url, timeout=3)
        assert refused.refused and refused.seconds < 1, url


def test_guests_see_the_portal_on_the_gateway_and_nothing_else_of_it(office, lab, guest):
    lab.gateway.popen(sys.executable, "-m", "http.server", "8088", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: lab.gateway.curl(f"http://{GATEWAY4}:8088/").status == 200)
    assert guest.curl(f"http://{GATEWAY4}/portal").body == "the portal"
    assert guest.curl(f"http://{GATEWAY4}:{PORTAL_PORT}/portal").body == "the portal"
    office.admit(guest)
    assert guest.curl(f"http://{GATEWAY4}:8088/").refused
    assert guest.curl("http://203.0.113.1:8088/").refused
    assert guest.curl(f"http://{GATEWAY4}/portal").body == "the portal"


def test_the_owners_networks_stay_out_of_reach_unless_the_walled_garden_opens_them(office, guest):
    office.admit(guest)
    assert guest.is_online() and guest.is_online(six=True)
    assert guest.curl(f"http://{PRIVATE4}/", timeout=3).refused
    assert guest.curl(f"http://[{PRIVATE6}]/", timeout=3).refused
    office.apply({"op": "garden", "entries": [{"network": f"{PRIVATE4}/32", "first_port": 80}]})
    assert guest.curl(f"http://{PRIVATE4}/", timeout=3).body == "the internet"


def test_the_walled_garden_is_open_to_strangers_at_its_ports_only(office, guest):
    entries = [
        {"network": OTHER4, "first_port": 80},
        {"network": f"{INTERNET6}/128", "first_port": 70, "last_port": 90},
    ]
    assert office.apply({"op": "garden", "entries": entries})[0]["ok"]
    assert guest.curl(f"http://{OTHER4}/", timeout=3).body == "the internet"
    assert guest.is_online(six=True) and not guest.is_online()
    assert guest.curl(f"http://{OTHER4}:443/", timeout=3).refused
    office.apply({"op": "garden", "entries": []})
    assert guest.curl(f"http://{OTHER4}/", timeout=3).status == 302


def test_names_are_asked_of_the_gateway_whatever_server_a_phone_has_set(office, lab, guest):
    echo = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    echo += "s.bind(('', 53))\nprint('up', flush=True)\n"
    echo += "while True:\n d, a = s.recvfrom(99)\n s.sendto(b'from the gateway', a)"
    server = lab.gateway.popen(sys.executable, "-c", echo, stdout=subprocess.PIPE)
    server.stdout.readline()
    ask = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.settimeout(3)\n"
    ask += f"s.connect(('{OTHER4}', 53))\ns.send(b'who?')\nprint(s.recv(99).decode())"
    assert guest.run(sys.executable, "-c", ask).strip() == "from the gateway"
    office.admit(guest)
    assert guest.run(sys.executable, "-c", ask).strip() == "from the gateway"
    lab.gateway.kill(server)


def test_a_connection_that_was_kept_open_to_the_portal_is_reset_when_the_guest_is_let_in(office, guest):
    browser = f"""
import http.client, sys
kept = http.client.HTTPConnection("{INTERNET4}", timeout=5)
for _ in sys.stdin:
    try:
        kept.request("GET", "/")
        answer = kept.getresponse()
        answer.read()
        print(answer.status, flush=True)
    except ConnectionError as error:
        print(type(error).__name__, flush=True)
"""
    page = guest.popen(sys.executable, "-c", browser, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask_again() -> str:
        page.stdin.write("again\n")
        page.stdin.flush()
        return page.stdout.readline().strip()

    assert [ask_again(), ask_again()] == ["302", "302"]
    office.admit(guest)
    assert ask_again() == "ConnectionResetError"
    assert ask_again() in ("200", "RemoteDisconnected", "CannotSendRequest")
    guest.kill(page)


def test_a_trusted_device_needs_no_card_and_a_blocked_one_gets_nothing(office, guest, other):
    assert office.apply({"op": "devices", "trusted": [guest.mac], "blocked": [other.mac]})[0]["ok"]
    assert guest.is_online() and guest.is_online(six=True)
    assert other.curl(f"http://{GATEWAY4}/portal", timeout=1).exit_code == 28
    assert office.apply(office.admission(other.mac, 7))[0]["ok"] is False
    office.apply({"op": "devices", "trusted": [], "blocked": []})
    assert not guest.is_online()
    assert other.curl(f"http://{GATEWAY4}/portal").body == "the portal"


def test_blocking_and_untrusting_cut_downloads_that_run(office, guest, other):
    office.admit(other, rate_down_kbps=8000)
    office.apply({"op": "devices", "trusted": [guest.mac], "blocked": []})
    downloads = [guest.download(2000 * MB), other.download(50 * MB)]
    time.sleep(0.5)
    assert min(phone.moved()[1] for phone in (guest, other)) > MB // 4
    office.apply({"op": "devices", "trusted": [], "blocked": [other.mac]})
    assert came_after(guest) < 20_000
    assert came_after(other) < 20_000
    assert office.sessions()[1]["ended"] == "blocked"
    for phone, download in zip((guest, other), downloads, strict=True):
        phone.kill(download)


@pytest.mark.parametrize("how", ["removed", "trusted no more", "blocked"])
def test_a_stream_that_nobody_answers_stops_too(office, lab, guest, how):
    server = (
        "import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('198.51.100.10', 9999))\n"
    )
    server += (
        "print('up', flush=True)\n_, a = s.recvfrom(9)\nwhile True:\n s.sendto(bytes(1000), a)\n time.sleep(0.001)"
    )
    radio = lab.internet.popen(sys.executable, "-c", server, stdout=subprocess.PIPE)
    radio.stdout.readline()
    if how == "trusted no more":
        office.apply({"op": "devices", "trusted": [guest.mac], "blocked": []})
    else:
        office.admit(guest)
    ask = "import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    ask += f"s.sendto(b'go', ('{INTERNET4}', 9999))\ntime.sleep(30)"
    listener = guest.popen(sys.executable, "-c", ask)
    eventually(lambda: came_after(guest, 0.1) > 20_000)
    if how == "removed":
        office.remove()
    else:
        office.apply({"op": "devices", "trusted": [], "blocked": [guest.mac] if how == "blocked" else []})
    assert came_after(guest) < 2000
    lab.internet.kill(radio)
    guest.kill(listener)


def came_after(guest: Guest, seconds: float = 0.4) -> int:
    """Bytes that reach a phone from now on."""
    before = guest.moved()[1]
    time.sleep(seconds)
    return guest.moved()[1] - before


# What is counted, and where it ends.


def test_both_families_are_counted_together_to_the_byte(office, guest):
    office.admit(guest, seconds=60)
    count_itself(guest)
    guest.curl(f"http://{INTERNET4}/big/{3 * MB}", "-o", "/dev/null")
    guest.curl(f"http://[{INTERNET6}]/big/{2 * MB}", "-o", "/dev/null")
    guest.curl(f"http://[{INTERNET6}]/", "-X", "POST", "-d", "x" * 50_000)
    time.sleep(0.1)
    session, own = office.sessions()[1], own_count(guest)
    assert (session["up"], session["down"]) == own
    assert session["down"] > 5 * MB and session["up"] > 50_000
    assert (session["ip4"], session["ip6"]) == (guest.ip4, [guest.ip6])


def test_a_removal_stops_a_download_at_once_and_its_last_reading_is_final(office, guest):
    office.admit(guest)
    download = guest.download(5000 * MB)
    eventually(lambda: office.sessions()[1]["down"] > 5 * MB)
    last = office.remove()
    assert came_after(guest) < 20_000
    assert last["ended"] == "removed" and last["down"] > 5 * MB
    again = office.remove()
    assert (again["up"], again["down"], again["epoch"]) == (last["up"], last["down"], last["epoch"])
    guest.kill(download)


@pytest.mark.parametrize("cap", ["bytes_total", "bytes_down"])
def test_a_download_ends_below_its_cap_and_the_portal_is_back_at_once(office, guest, cap):
    office.admit(guest, **{cap: 4 * MB})
    assert 3 * MB < fetch(guest, 20 * MB) < 4 * MB
    session = office.sessions()[1]
    used = session["up"] + session["down"] if cap == "bytes_total" else session["down"]
    assert 4 * MB - 2000 < used <= 4 * MB
    assert session["ended"] == "data"
    assert guest.curl(f"http://{INTERNET4}/", timeout=3).status == 302


def test_uploads_have_a_cap_of_their_own(office, lab, guest):
    office.admit(guest, bytes_up=MB)
    guest.curl(f"http://{INTERNET4}/big/{2 * MB}", "-o", "/dev/null")
    assert not office.sessions()[1]["ended"]
    (lab.folder / "blob").write_bytes(bytes(3 * MB))
    guest.curl(f"http://{INTERNET4}/", "-X", "POST", "--data-binary", f"@{lab.folder}/blob", timeout=1.5)
    session = office.sessions()[1]
    assert MB - 2000 < session["up"] <= MB and session["ended"] == "data"


def test_the_same_admission_again_gives_nothing_more_and_a_top_up_goes_on_from_what_was_told(office, guest):
    for _ in range(3):
        office.admit(guest, bytes_total=3 * MB)
        fetch(guest, MB)
    fetch(guest, 9 * MB)
    spent = office.sessions()[1]
    assert 3 * MB - 2000 < spent["up"] + spent["down"] <= 3 * MB and spent["ended"] == "data"

    office.admit(guest, bytes_total=2 * MB)
    fetch(guest, 9 * MB)
    more = office.sessions()[1]
    assert more["epoch"] == spent["epoch"]
    assert 2 * MB - 2000 < more["up"] + more["down"] - spent["up"] - spent["down"] <= 2 * MB


def test_a_cap_that_comes_later_counts_on_and_one_that_goes_leaves_no_end(office, guest):
    office.admit(guest)
    fetch(guest, 2 * MB)
    before = office.sessions()[1]
    office.admit(guest, bytes_total=MB)
    fetch(guest, 5 * MB)
    after = office.sessions()[1]
    assert MB - 2000 < after["up"] + after["down"] - before["up"] - before["down"] <= MB
    office.admit(guest)
    assert fetch(guest, 5 * MB) == 5 * MB


def test_time_is_exact_to_the_tenth_and_can_be_lengthened_and_shortened(office, guest):
    office.admit(guest, seconds=1)
    office.admit(guest, seconds=60)
    time.sleep(1.1)
    assert guest.is_online()
    began = time.monotonic()
    office.admit(guest, seconds=1.5)
    eventually(lambda: not guest.is_online())
    assert 1.4 < time.monotonic() - began < 4.5  # the margin is for a busy machine
    assert office.sessions()[1]["ended"] == "time"
    assert office.remove()["ended"] == "time"


def fetch(guest: Guest, count: int, timeout: float = 1.5) -> int:
    """Fetch so many bytes, as far as they come. A cut download falls silent, as on any broken line."""
    return guest.curl(f"http://{INTERNET4}/big/{count}", "-o", "/dev/null", timeout=timeout).down


def test_a_new_rate_holds_for_a_download_that_runs_and_its_class_goes_with_the_session(office, lab, guest):
    office.admit(guest, rate_down_kbps=4000)
    download = guest.download(50 * MB)
    time.sleep(0.5)
    office.admit(guest, rate_down_kbps=16_000)
    time.sleep(0.7)  # what had queued up at the old rate is through
    came = came_after(guest, 1.0) * 8 / 1000
    assert came == pytest.approx(16_000, rel=0.15)
    assert "class htb ba00:1" in lab.gateway.run("tc", "class", "show", "dev", "lan")
    office.remove()
    assert lab.gateway.run("tc", "class", "show", "dev", "lan") == ""
    guest.kill(download)


# One device, one session.


def test_a_newer_session_on_a_device_ends_the_older_which_keeps_its_last_counts(office, guest):
    office.admit(guest, mark=1)
    fetch(guest, MB)
    office.admit(guest, mark=2)
    sessions = office.sessions()
    assert (sessions[1]["ended"], sessions[2]["ended"]) == ("replaced", "")
    assert sessions[1]["down"] > MB and sessions[2]["down"] == 0
    assert guest.is_online()


def test_a_session_that_moves_to_another_device_leaves_the_first(office, guest, other):
    office.admit(guest, mark=1)
    fetch(guest, MB)
    office.admit(other, mark=1)
    assert other.is_online() and not guest.is_online()
    assert office.sessions()[1]["down"] > MB


def test_two_devices_that_change_places_in_one_breath_both_stay_online(office, guest, other):
    office.admit(guest, mark=1)
    office.admit(other, mark=2)
    answers = office.apply(office.admission(guest.mac, 2), office.admission(other.mac, 1), office.removal(2))
    assert [answer["ok"] for answer in answers] == [True, True, True]
    assert other.is_online() and not guest.is_online()
    assert office.sessions()[1]["mac"] == other.mac


def test_an_address_belongs_to_the_device_that_gets_our_answers(office, lab, guest, other):
    guest.curl(f"http://{INTERNET4}/", timeout=2)
    other.run("ip", "address", "add", f"{guest.ip4}/32", "dev", "lo")
    forge = f"import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('{guest.ip4}', 0))\n"
    other.run(sys.executable, "-c", forge + f"s.sendto(b'x', ('{GATEWAY4}', 9))")
    other.run("ip", "address", "del", f"{guest.ip4}/32", "dev", "lo")
    assert f"{other.mac} . {guest.ip4}" in lab.nft("list", "set", "inet", "bawaba", "seen4")
    found = office.ask(verb="dump", locate={"ip": guest.ip4})["client"]
    assert found["mac"] == guest.mac
    by_mac = office.ask(verb="dump", locate={"mac": guest.mac})["client"]
    assert by_mac["ip4"] == guest.ip4


# What goes wrong.


def test_one_odd_guest_never_fails_another(office, lab, guest, other):
    office.admit(guest, mark=1)
    office.admit(other, mark=2)
    lab.nft("delete", "element", "inet", "bawaba", "about", f"{{ {office.first + 1} }}")  # behind the agent's back
    wrong = office.admission("not a mac", 3)
    taken = office.admission(lab.guests[2].mac, 2) | {"key": "session:9"}
    answers = office.apply(office.removal(1), wrong, taken, office.admission(other.mac, 2, seconds=60))
    assert [answer["ok"] for answer in answers] == [True, False, False, True]
    assert [answers[1]["reason"], answers[2]["reason"]] == ["bad_value", "duplicate"]
    assert not guest.is_online() and other.is_online()


def test_a_table_that_was_flushed_comes_back_by_itself_with_everybody_in_it(office, lab, guest, other):
    office.admit(guest, mark=1, bytes_total=3 * MB, seconds=600)
    fetch(guest, MB)
    office.apply({"op": "devices", "trusted": [other.mac], "blocked": []})
    before, boot = office.sessions()[1], office.ask(verb="health")["boot"]
    lab.nft("flush", "ruleset")
    eventually(lambda: "chain identify" in lab.gateway.run("nft", "list", "table", "inet", "bawaba", check=False))
    assert office.ask(verb="health")["boot"] > boot
    assert guest.is_online() and other.is_online()
    fetch(guest, 9 * MB)
    after = office.sessions()[1]
    assert after["epoch"] > before["epoch"] and after["seconds_left"] < 600
    used = before["up"] + before["down"] + after["up"] + after["down"]
    assert 3 * MB - 2000 < used <= 3 * MB


def test_an_admission_right_after_a_flush_does_not_wait_for_that(office, lab, guest):
    office.admit(guest, mark=1)
    lab.nft("flush", "ruleset")
    office.admit(guest, mark=1, seconds=60)
    assert guest.is_online()
    lab.nft("flush", "ruleset")
    assert office.remove() is None or not guest.is_online()


def test_queues_that_an_interface_lost_are_made_again(office, lab, guest):
    office.admit(guest, rate_down_kbps=4000)
    lab.gateway.run("tc", "qdisc", "del", "dev", "lan", "root")
    eventually(lambda: "htb ba00:1" in lab.gateway.run("tc", "class", "show", "dev", "lan"))


def test_killed_and_started_again_with_other_settings_it_keeps_sessions_meters_and_limits(office, lab, guest, other):
    office.admit(guest, mark=1, bytes_total=3 * MB, seconds=600, rate_down_kbps=40_000, rev=4)
    office.admit(other, mark=2, seconds=600)
    fetch(guest, MB)
    fetch(other, MB)
    other.curl(f"http://{INTERNET4}/", timeout=2)
    before = office.sessions()
    lab.kill_agent()
    lab.start_agent("--portal-port", "5001")
    assert guest.is_online() and other.is_online()
    after = office.sessions()
    assert list(after) == [1, 2]
    for mark, there in after.items():
        for fact in ("mac", "key", "owner", "rev", "epoch", "rate_down_kbps"):
            assert there[fact] == before[mark][fact]
        assert before[mark]["down"] <= there["down"] < before[mark]["down"] + 5000
        assert 0 <= before[mark]["seconds_left"] - there["seconds_left"] < 5
    fetch(guest, 9 * MB)
    spent = office.sessions()[1]
    assert 3 * MB - 2000 < spent["up"] + spent["down"] <= 3 * MB
    lab.kill_agent()
    lab.start_agent()
    assert office.sessions()[1]["ended"] == "data"


def test_a_session_that_ended_while_the_agent_was_dead_is_still_told_with_its_counts(office, lab, guest):
    office.admit(guest, seconds=1)
    fetch(guest, MB)
    lab.kill_agent()
    time.sleep(0.8)
    lab.start_agent()
    eventually(lambda: office.sessions()[1]["ended"] == "time")
    assert office.remove()["down"] > MB


def test_ten_thousand_sessions_in_one_list_and_those_not_in_it_have_to_go(office, lab, guest, other):
    office.admit(other, mark=20_000)
    office.apply(office.admission("02:dd:00:00:00:99", 30_000) | {"owner": "others"})
    many = [office.admission(f"02:cc:00:00:{n >> 8:02x}:{n & 255:02x}", n + 100, seconds=900) for n in range(10_000)]
    sessions = [{name: value for name, value in one.items() if name != "op"} for one in many]
    sessions.append({name: value for name, value in office.admission(guest.mac, 1).items() if name != "op"})
    (answer,) = office.apply({"op": "sync", "owner": "tests", "sessions": sessions})
    assert (answer["changed"], answer["failed"]) == (10_002, [])
    assert [session["mark"] for session in answer["removed"]] == [office.first + 20_000]
    assert guest.is_online() and not other.is_online()
    assert len(office.sessions()) == 10_002
    lab.kill_agent()
    lab.start_agent()
    assert len(office.sessions()) == 10_002
    (answer,) = office.apply({"op": "sync", "owner": "tests", "sessions": []})
    assert len(answer["removed"]) == 10_001 and list(office.sessions()) == [30_000]


def test_a_frame_without_an_end_is_refused_and_nobody_else_notices(office, lab, guest):
    office.admit(guest)
    assert '"bad_value"' in ask_agent(lab.socket, b"x" * (17 * 1024 * 1024))
    assert office.ask(verb="health")["sessions"] == 1


def test_a_second_agent_is_refused_and_its_socket_is_for_its_group_only(office, lab):
    assert lab.socket.stat().st_mode & 0o777 == 0o660
    first = lab.agent
    second = lab.start_agent(wait=False)
    assert second.wait(timeout=10) == 1
    assert "serves" in lab.agent_log()
    lab.agent = first
    assert office.ask(verb="health")["ok"]


def test_health_says_what_is_wrong_in_words(office, lab):
    assert office.ask(verb="health")["problems"] == []
    lab.gateway.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
    lab.nft("add", "table", "ip", "rival")
    lab.nft("add", "chain", "ip", "rival", "f", "{ type filter hook forward priority 0; policy drop; }")
    health = office.ask(verb="health")
    lab.nft("delete", "table", "ip", "rival")
    lab.gateway.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    assert health["ip_forward"] is False
    assert any("ip_forward" in problem for problem in health["problems"])
    assert any("table ip rival drops" in problem for problem in health["problems"])


def test_a_manager_on_its_own_box_is_all_that_guests_reach_there_and_sees_their_addresses():
    needs.require("netns")
    with town(guests=1, management=True) as lab:
        office, guest = Office(lab), lab.guests[0]
        assert lab.manager is not None
        assert guest.curl(f"http://{INTERNET4}/", timeout=3).status == 302
        assert guest.curl(f"http://{MANAGER4}:{PORTAL_PORT}/who").body == guest.ip4
        assert serves(lab.manager, 8088) and guest.curl(f"http://{MANAGER4}:8088/", timeout=3).refused
        office.admit(guest)
        assert guest.is_online()
        assert guest.curl(f"http://{MANAGER4}:{PORTAL_PORT}/who").body == guest.ip4
        assert guest.curl(f"http://{MANAGER4}:8088/", timeout=3).refused


def serves(place: Place, port: int) -> bool:
    """Start a server here that guests have no business with."""
    place.popen(sys.executable, "-m", "http.server", str(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: place.curl(f"http://127.0.0.1:{port}/").status == 200)
    return True
