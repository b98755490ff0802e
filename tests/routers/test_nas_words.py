"""The capability table of RADIUS gateways: which attribute carries which limit, and that none is ever rounded to 0."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bawaba.routers import nas
from bawaba.routers.driver import Limits

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 1024**3
FULL = Limits(uptime_s=5400, bytes_total=10 * GIB, rate_up_kbps=2000, rate_down_kbps=10000)


def told(make: str, limits: Limits) -> nas.Attributes:
    return nas.limits_for(make, limits, nas.Used(), NOW)


def test_mikrotik():
    assert told("mikrotik", FULL) == {
        "Session-Timeout": 5400,
        "Mikrotik-Total-Limit": 2147483648,
        "Mikrotik-Total-Limit-Gigawords": 2,
        "Mikrotik-Rate-Limit": "2000k/10000k",
    }


def test_chilli():
    assert told("chilli", FULL) == {
        "Session-Timeout": 5400,
        "ChilliSpot-Max-Total-Octets": 2147483648,
        "ChilliSpot-Max-Total-Gigawords": 2,
        "ChilliSpot-Bandwidth-Max-Up": 2000,
        "ChilliSpot-Bandwidth-Max-Down": 10000,
        "WISPr-Bandwidth-Max-Up": 2_000_000,
        "WISPr-Bandwidth-Max-Down": 10_000_000,
    }


@pytest.mark.parametrize("make", ["aruba", "cisco", "omada", "unifi", "standard"])
def test_the_others_have_no_quota(make):
    assert told(make, FULL) == {
        "Session-Timeout": 5400,
        "WISPr-Bandwidth-Max-Up": 2_000_000,
        "WISPr-Bandwidth-Max-Down": 10_000_000,
    }
    assert make not in nas.COUNTS_BYTES


def test_up_is_what_the_guest_sends():
    limits = Limits(bytes_up=1, bytes_down=2, rate_up_kbps=8)
    assert told("mikrotik", limits)["Mikrotik-Recv-Limit"] == 1
    assert told("mikrotik", limits)["Mikrotik-Xmit-Limit"] == 2
    assert told("mikrotik", limits)["Mikrotik-Rate-Limit"] == "8k/0"
    assert told("chilli", limits)["ChilliSpot-Max-Input-Octets"] == 1
    assert told("chilli", limits)["ChilliSpot-Max-Output-Octets"] == 2


def test_the_upper_word_is_sent_when_it_is_0():
    assert told("mikrotik", Limits(bytes_total=5))["Mikrotik-Total-Limit-Gigawords"] == 0


def test_the_earlier_of_two_ends_holds():
    limits = Limits(uptime_s=5400, until=NOW + timedelta(seconds=59.9))
    assert told("standard", limits)["Session-Timeout"] == 59


@given(
    make=st.sampled_from(nas.MAKES),
    seconds=st.one_of(st.none(), st.integers(1, 10**10)),
    until_s=st.one_of(st.none(), st.floats(0.001, 10**9)),
    quota=st.one_of(st.none(), st.integers(1, 2**50)),
    rate=st.one_of(st.none(), st.integers(1, 10**8)),
)
def test_no_limit_is_ever_more_than_there_is_and_none_becomes_no_limit(make, seconds, until_s, quota, rate):
    until = None if until_s is None else NOW + timedelta(seconds=until_s)
    limits = Limits(until, seconds, bytes_total=quota, rate_up_kbps=rate)
    said: dict[str, Any] = told(make, limits)
    ends = [end for end in (seconds, until_s) if end is not None]
    assert ("Session-Timeout" in said) == bool(ends)
    if ends:
        assert 1 <= said["Session-Timeout"] <= max(1, min(ends))
    for low, high in (("Mikrotik-Total-Limit", "Mikrotik-Total-Limit-Gigawords"),
                      ("ChilliSpot-Max-Total-Octets", "ChilliSpot-Max-Total-Gigawords")):  # fmt: skip
        if low in said:
            assert nas.bytes_of(said[low], said[high]) == quota
    assert all(value < nas.WORD for value in said.values() if isinstance(value, int))
    if rate:
        assert said.get("WISPr-Bandwidth-Max-Up", 1) > 0
