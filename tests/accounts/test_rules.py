from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bawaba.accounts import roles, rules
from bawaba.accounts.rules import PAIR, Tries

NOW = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("typed", ["Hana", " hana ", "HANA", "ｈａｎａ"])
def test_a_name_has_one_spelling(typed):
    assert rules.fold_username(typed) == "hana"


@pytest.mark.parametrize("name", ["هناء", "o.mar-2", "omar@café.example", "x"])
def test_names_may_be_of_any_script(name):
    assert rules.username_fault(rules.fold_username(name)) is None


@pytest.mark.parametrize("name", ["", "two words", "a/b", "a#b", "<b>", "x" * 61, "nul\0"])
def test_names_that_no_sign_could_tell_apart_are_refused(name):
    assert rules.username_fault(name)


@pytest.mark.parametrize("password", ["changeme", "password", "omar-the-2nd", "aaaaaaaaaa", "abababab"])
def test_passwords_that_a_stranger_would_try_first_are_refused(password):
    assert rules.password_fault(password, "omar-the-2nd")


def test_an_ordinary_password_is_taken():
    assert rules.password_fault("quiet-lantern-7", "omar") is None


@pytest.mark.parametrize("path", ["/dashboard", "/cards?status=used&q=B042", "/كروت"])
def test_the_way_on_may_be_a_page_of_ours(path):
    assert rules.is_local_path(path)


@pytest.mark.parametrize(
    "path",
    ["", "dashboard", "//evil.example", "/\\evil.example", "\\\\evil", "https://evil.example", "/\t/evil.example",
     "/\n/evil.example", "javascript:alert(1)", "/a\r\nSet-Cookie: x=1"],
)  # fmt: skip
def test_the_way_on_never_leads_to_somebody_else(path):
    assert not rules.is_local_path(path)


def test_one_customer_of_ipv6_counts_as_one_address():
    assert rules.address_group("2001:db8:1:2::5") == rules.address_group("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert rules.address_group("192.0.2.7") == "192.0.2.7"
    assert rules.address_group("not an address") == ""


def waits(count: int) -> list[float]:
    """What somebody waits who tries again as soon as they may, after each of `count` wrong tries."""
    now, tries, found = NOW, Tries(0, NOW), []
    for _ in range(count):
        tries = rules.one_more(tries, PAIR, now)
        wait = rules.seconds_to_wait(tries, now)
        found.append(wait)
        now += timedelta(seconds=wait)
    return found


def test_ten_wrong_tries_are_free_and_then_the_wait_doubles_up_to_minutes():
    assert waits(16) == [0] * 9 + [60, 120, 240, 480, 600, 600, 600]


def test_a_quiet_while_forgets_wrong_tries():
    tries = Tries(9, NOW)
    assert rules.one_more(tries, PAIR, NOW + timedelta(minutes=9)).blocked_until is not None
    assert rules.one_more(tries, PAIR, NOW + timedelta(minutes=10)) == Tries(1, NOW + timedelta(minutes=10))


def test_a_block_is_not_forgotten_while_somebody_sits_it_out():
    blocked = rules.one_more(Tries(12, NOW), PAIR, NOW)
    again = rules.one_more(blocked, PAIR, NOW + timedelta(minutes=11))
    assert again.wrong == 14


@given(st.integers(0, 30))
def test_a_try_taken_back_leaves_what_was_there(wrong):
    before = Tries(wrong, NOW)
    assert rules.one_less(rules.one_more(before, PAIR, NOW), PAIR).wrong == wrong


def test_what_each_role_may_is_what_the_api_says():
    operator = {
        "vouchers:create", "vouchers:read", "vouchers:codes", "vouchers:disable", "batches:print", "sessions:read",
        "sessions:terminate", "plans:read", "routers:read", "reports:read",
        "counter:sell", "cards:check", "cards:change",
    }  # fmt: skip
    viewer = {"vouchers:read", "sessions:read", "plans:read", "routers:read", "reports:read"}
    admin_only = {
        "users:read", "users:write", "sites:read", "sites:write", "routers:write", "plans:write", "backups:read",
        "backups:write", "audit:read", "settings:read", "settings:write", "diagnostics:read", "devices:read",
        "devices:write",
    }  # fmt: skip
    assert roles.permissions_of("operator") == operator
    assert roles.permissions_of("viewer") == viewer
    assert roles.permissions_of("clerk") == {"counter:sell", "cards:check"}
    assert roles.permissions_of("admin") == operator | viewer | admin_only
    assert roles.permissions_of("nobody") == frozenset()


def test_nobody_gives_more_than_they_are():
    assert not roles.may_give("operator", "admin")
    assert not roles.may_give("unknown", "viewer")
    assert (
        roles.may_give("admin", "admin") and roles.may_give("system", "admin") and roles.may_give("operator", "viewer")
    )
