"""Signing, which addresses may be told, and waits."""

from __future__ import annotations

import pytest

from bawaba.webhooks import rules


def test_a_signature_covers_time_and_body():
    made = rules.signature("whsec_x", 1, "{}")
    assert made.startswith("v1=") and len(made) == 67
    assert len({made, rules.signature("whsec_x", 2, "{}"), rules.signature("whsec_x", 1, "[]")}) == 3


@pytest.mark.parametrize(
    ("url", "allow_private", "good"),
    [
        ("https://shop.example/x", False, True),
        ("http://shop.example/x", False, False),
        ("http://10.0.0.2:8080/x", True, True),
        ("https://user:pw@shop.example/", False, False),
        ("https://shop.example/#x", False, False),
        ("ftp://shop.example/", True, False),
        ("https:///x", False, False),
        ("https://shop.example:99999/", False, False),
        ("https://[::1", True, False),
    ],
)
def test_which_addresses_may_be_set_up(url: str, allow_private: bool, good: bool):
    assert (rules.url_fault(url, allow_private) is None) is good


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1%eth0", "224.0.0.1", "0.0.0.0", "::ffff:169.254.1.1"])
def test_some_addresses_are_never_told(address: str):
    assert not rules.may_be_told(address, allow_private=True)


def test_waits_grow_to_an_hour():
    waits = [rules.retry_wait_s(attempts, 0.5) for attempts in range(1, 30)]
    assert waits[:3] == [10, 20, 40] and waits[-1] == 3600
    assert rules.retry_wait_s(1, 0) == 7.5 and rules.retry_wait_s(1, 1) == 12.5
