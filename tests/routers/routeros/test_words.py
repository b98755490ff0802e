"""RouterOS's units and names: all that it prints is read, and nothing that we write allows more than was sold."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bawaba.core.clock import ManualClock
from bawaba.routers.driver import Limits, Reason, RouterAuthFailed, RouterProtocolError, RouterRejected, Unsupported
from bawaba.routers.drivers.routeros import words
from bawaba.routers.drivers.routeros.refusals import refusal
from tests.routers.contract import grant

NOW = ManualClock().now()
HOUR = 3600


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1w2d3h4m5s", 788645), ("1w2d03:04:05", 788645), ("03:04:05", 11045), ("00:00:30", 30), ("500ms", 0),
     ("5s250ms", 5), ("1h30m", 5400), ("none", 0), ("never", 0), ("", 0), ("3m", 180), ("2d", 172800)],
)  # fmt: skip
def test_durations_are_read_in_every_form(text, seconds):
    assert words.seconds(text) == seconds


@pytest.mark.parametrize("text", ["soon", "1x", "-5s", "1:2"])
def test_what_is_no_duration_makes_no_sense(text):
    with pytest.raises(RouterProtocolError):
        words.seconds(text)


def test_the_guests_upload_is_the_first_number_of_a_rate():
    assert words.rate_limit(Limits(rate_up_kbps=2000, rate_down_kbps=10_000)) == "2M/10M"
    assert words.rate_limit(Limits(rate_down_kbps=1500)) == "4000M/1500k"
    assert words.rate_limit(Limits()) == ""


def test_ten_gibibytes_and_ninety_minutes_are_written_out():
    limits = Limits(uptime_s=5400, bytes_total=10 * 1024**3)
    assert words.limits_from(limits, words.Used(), NOW) == {
        "limit-uptime": "5400s", "limit-bytes-total": "10737418240", "limit-bytes-in": "0", "limit-bytes-out": "0",
    }  # fmt: skip


def test_limits_count_on_from_what_was_used():
    limits = words.limits_from(Limits(uptime_s=60, bytes_down=500), words.Used(100, 7, 1000), NOW)
    assert (limits["limit-uptime"], limits["limit-bytes-out"], limits["limit-bytes-total"]) == ("160s", "1500", "0")


def test_an_end_is_rounded_down_and_never_to_no_limit():
    ends = [NOW + timedelta(seconds=s) for s in (59.9, 0.3)]
    assert [words.limits_from(Limits(until=end), words.Used(), NOW)["limit-uptime"] for end in ends] == ["59s", "1s"]
    with pytest.raises(RouterRejected):
        words.check(grant(1, until=NOW - timedelta(seconds=1)), NOW)


def test_no_name_of_a_profile_is_the_beginning_of_another():
    names = [
        words.profile_name(Limits(rate_up_kbps=up, rate_down_kbps=down, devices=devices))
        for up in (None, 1, 10, 2000) for down in (None, 1, 10, 100) for devices in (1, 10)
    ]  # fmt: skip
    assert len(set(names)) == len(names)
    assert not [(a, b) for a in names for b in names if a != b and b.startswith(a)]


def test_a_tag_is_read_back_and_nobody_elses_words_are_one():
    tag = words.Tag("install8", "session:12", 3, 1764000000000)
    assert words.tag_of(str(tag)) == tag
    assert words.tag_of("bw1 install8 card:5 r1") == words.Tag("install8", "card:5", 1)
    for comment in ("", "vc-123 nov/24/2026", "bw1", "bw2 install8 card:5 r1", "bw1 install8 card:5 r1 mine"):
        assert words.tag_of(comment) is None


def test_a_sessions_user_says_whose_it_is():
    name = words.session_user("install8", "session:7")
    assert words.key_of_user("install8", name) == "session:7"
    assert words.key_of_user("another8", name) is None


@pytest.mark.parametrize(
    ("message", "category", "error", "reason"),
    [
        ("failure: already have user with this name for this server", None, RouterRejected, Reason.DUPLICATE),
        ("no such item (4)", None, RouterRejected, Reason.NOT_FOUND),
        ("no such item", "0", RouterRejected, Reason.NOT_FOUND),
        ("no such command or directory (device-mode)", "0", Unsupported, None),
        ("not enough permissions (9)", None, RouterAuthFailed, None),
        ("unknown host IP 10.5.50.9", None, RouterRejected, Reason.UNKNOWN_CLIENT),
        ("wrong MAC provided", None, RouterRejected, Reason.WRONG_MAC),
        ("user S1 has reached uptime limit", None, RouterRejected, Reason.LIMIT_REACHED),
        ("session limit reached (200)", None, RouterRejected, Reason.SESSIONS_FULL),
        ("input does not match any value of profile", None, RouterRejected, Reason.BAD_VALUE),
        ("something in a language of its own", "1", RouterRejected, Reason.BAD_VALUE),
        ("something in a language of its own", None, RouterRejected, Reason.OTHER),
    ],
)
def test_refusals_are_told_apart(message, category, error, reason):
    told = refusal(message, category)
    assert type(told) is error and getattr(told, "reason", None) == reason


def test_octal_escapes_of_a_login_page_are_bytes():
    assert words.unescaped(r"\371a\021b") == b"\xf9a\x11b"
