"""What may be said to the root agent, and what it remembers: no kernel is needed for these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bawaba.gateway import ruleset, wire
from bawaba.gateway.epochs import Epochs
from bawaba.gateway.sessions import Session, remembered
from bawaba.gateway.settings import BadSettings, Settings
from bawaba.gateway.shaping import LAST_CLASS, ClassNumbers
from bawaba.gateway.wire import Admit, BadValue, Devices, Garden, Opening, Remove, Sync

MAC = "02:bb:00:00:00:01"
ADMIT = {"op": "admit", "mark": 5, "mac": MAC, "key": "session:5"}
RIGHT: dict[str, Any] = {"lan": "lan", "wan": "wan", "portal_ip": "10.77.0.1", "lan4": ("10.77.0.0/24",)}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(MAC),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from(["mark", "mac", "key", "owner", "rev", "seconds", "bytes_total", "rate_up_kbps", "entries"])
LETTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-")


@given(st.sampled_from(["admit", "remove", "devices", "garden", "sync", "x"]), st.dictionaries(NAMES, JSON, max_size=5))
def test_whatever_comes_is_an_operation_of_harmless_words_or_is_refused(name, fields):
    try:
        operation = wire.operation({**ADMIT, **fields, "op": name} if name == "admit" else {**fields, "op": name})
    except BadValue:
        return
    if isinstance(operation, Admit):
        assert set(operation.mac + operation.key + operation.owner) <= LETTERS
        assert 0 < operation.mark < wire.FIRST_TRUSTED_MARK
        assert all(type(value) is int for value in (operation.rev, operation.bytes_total or 0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"mark": 0},
        {"mark": 0xFFFFFFFF},
        {"mark": True},
        {"mark": "5"},
        {"mac": "02:BB:00:00:00:01"},
        {"mac": "ff:ff:ff:ff:ff:ff"},
        {"mac": "00:00:00:00:00:00"},
        {"mac": MAC + "\n"},
        {"mac": MAC + " }; flush ruleset"},
        {"key": 'a" }\nflush ruleset'},
        {"key": "x" * 33},
        {"owner": "a b"},
        {"seconds": 0},
        {"seconds": -1},
        {"seconds": float("nan")},
        {"seconds": "60"},
        {"bytes_total": 0},
        {"bytes_down": 1.5},
        {"bytes_up": 2**70},
        {"rate_up_kbps": -5},
        {"rev": None},
        {"extra": 1},
    ],
)
def test_a_value_that_is_not_to_the_letter_is_refused(wrong):
    wire.operation(ADMIT)
    with pytest.raises(BadValue):
        wire.operation({**ADMIT, **wrong})


@pytest.mark.parametrize(
    "operation",
    [
        Admit(5, MAC, "session:5", "install8", 3, 60.5, 10**12, 5, 6, 1000, 2000),
        Admit(5, MAC, "session:5"),
        Remove(mark=5),
        Remove(mac=MAC),
        Devices((MAC,), ()),
        Garden((Opening("203.0.113.0/24", "udp", 53, 53), Opening("2001:db8::/32", "tcp", 80, 90))),
        Sync("me", (Admit(5, MAC, "session:5", "me", seconds=9.0),)),
    ],
)
def test_an_operation_arrives_as_it_was_sent(operation):
    assert wire.operation(wire.decode(json.dumps(wire.message(operation)).encode())) == operation


def test_one_mark_or_device_twice_in_a_sync_is_refused():
    twice = [{name: value for name, value in ADMIT.items() if name != "op"}] * 2
    with pytest.raises(BadValue):
        wire.operation({"op": "sync", "owner": "", "sessions": twice})


@given(
    st.integers(1, wire.FIRST_TRUSTED_MARK - 1),
    st.text("abcXYZ0189._:-", min_size=1, max_size=32),
    st.text("abcXYZ0189", max_size=8),
    st.integers(0, 2**31 - 1),
    st.none() | st.integers(0, 10**10),
    st.integers(0, wire.MAX_KBPS),
    st.sampled_from(["", "time", "data", "removed", "replaced", "blocked"]),
    st.booleans(),
)
def test_the_kernel_can_hold_what_is_to_be_remembered(mark, key, owner, rev, ends, kbps, ended, settled):
    session = Session(
        mark, "02:bb:00:ff:00:01", key, owner, rev, 2**43, 8640000.0, ends and ends / 10, LAST_CLASS, kbps, kbps,
        ended=ended, settled=settled and bool(ended),
    )  # fmt: skip
    assert len(session.about()) <= 127
    assert remembered(mark, session.about()) == session


def test_a_class_number_is_not_given_again_while_old_packets_may_bear_it(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("bawaba.gateway.shaping.time.monotonic", lambda: clock[0])
    numbers = ClassNumbers()
    numbers.hold(2)
    assert [numbers.take(), numbers.take()] == [1, 3]
    numbers.give_back(1)
    assert numbers.take() == 4
    clock[0] += 11
    assert numbers.take() == 1


def test_when_all_class_numbers_are_out_there_is_none():
    numbers = ClassNumbers()
    given_out = [numbers.take() for _ in range(LAST_CLASS + 1)]
    assert given_out[-1] == 0 and len(set(given_out)) == LAST_CLASS + 1


def test_epochs_grow_over_restarts_and_a_clock_that_was_set_back(tmp_path, monkeypatch):
    first = Epochs(tmp_path).next()
    monkeypatch.setattr("bawaba.gateway.epochs.time.time", lambda: 1000.0)
    later = Epochs(tmp_path)
    assert later.next() > first
    assert Epochs(tmp_path).next() > later.next()


@pytest.mark.parametrize(
    "wrong",
    [
        {"lan": 'x" accept'},
        {"wan": "lan"},
        {"mgmt": "wan"},
        {"portal_ip": "login.wifi"},
        {"portal_port": 0},
        {"lan4": ()},
        {"lan4": ("10.0.0.1/24",)},
        {"lan6": ("10.0.0.0/24",)},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong):
    Settings(**RIGHT)
    with pytest.raises(BadSettings):
        Settings(**(RIGHT | wrong))


def test_another_setting_is_another_version_of_the_ruleset():
    version = ruleset.version(Settings(**RIGHT))
    assert version == ruleset.version(Settings(**RIGHT, socket=Path("/elsewhere")))
    assert version != ruleset.version(Settings(**RIGHT, portal_port=5001))
