from hypothesis import given
from hypothesis import strategies as st

from bawaba.plans import rules

HOUR = 3600
EMPTY = dict.fromkeys(rules.FACTS) | {"kind": "elapsed", "devices_at_once": 1, "idle_timeout_seconds": 300}


def faults(**terms):
    return sorted(rules.faults(EMPTY | terms))


def test_a_card_must_end_some_day():
    assert faults() == ["duration_seconds"]
    assert faults(valid_for_seconds=HOUR, rate_down_kbps=512) == ["duration_seconds"]
    assert faults(duration_seconds=HOUR) == []
    for quota in rules.QUOTAS:
        assert faults(**{quota: 1}) == []


def test_used_time_needs_a_duration():
    assert faults(kind="used_time", quota_bytes=1) == ["duration_seconds"]
    assert faults(kind="used_time", duration_seconds=HOUR) == []


def test_a_card_is_valid_at_least_as_long_as_it_lasts():
    assert faults(kind="used_time", duration_seconds=3 * HOUR, valid_for_seconds=2 * HOUR) == ["valid_for_seconds"]
    assert faults(kind="used_time", duration_seconds=3 * HOUR, valid_for_seconds=3 * HOUR) == []
    assert faults(quota_bytes=1, valid_for_seconds=1) == []


def test_as_many_devices_ever_as_at_once():
    assert faults(duration_seconds=HOUR, devices_at_once=3, devices_ever=2) == ["devices_ever"]
    assert faults(duration_seconds=HOUR, devices_at_once=3, devices_ever=3) == []


@given(st.sampled_from(rules.FACTS))
def test_whatever_a_card_says_makes_a_new_version(name):
    assert rules.matters(EMPTY, EMPTY | {name: "other"}) == [name]
    assert rules.matters(EMPTY, dict(EMPTY)) == []
