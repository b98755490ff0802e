from types import SimpleNamespace

import pytest

from bawaba.plans.words import in_words, length, plan_words

GB, MB, DAY, HOUR = 1024**3, 1024**2, 86_400, 3_600
NOTHING = {
    "kind": "elapsed", "duration_seconds": None, "quota_bytes": None, "quota_up_bytes": None, "quota_down_bytes": None,
    "rate_down_kbps": None, "rate_up_kbps": None, "devices_at_once": 1, "valid_for_seconds": None,
}  # fmt: skip


def plan(**terms):
    return SimpleNamespace(**(NOTHING | terms))


def plain(words):
    return words.replace("\u2068", "").replace("\u2069", "")


def test_a_plan_in_words():
    week = plan(
        kind="used_time", duration_seconds=3 * HOUR, quota_bytes=GB, rate_down_kbps=5000, valid_for_seconds=7 * DAY
    )
    assert plain(plan_words(week, "en")) == "3 hours online · 1 GB · 5 Mbit/s · valid 7 days after first use"
    assert plain(plan_words(week, "ar")) == "3 ساعات اتصال · 1 GB · 5 Mbit/s · الصلاحية: 7 أيام من أول استخدام"


def test_each_part_keeps_its_order_in_a_line_from_right_to_left():
    assert plan_words(plan(quota_bytes=GB, rate_down_kbps=5000), "ar") == "\u20681 GB\u2069 · \u20685 Mbit/s\u2069"


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"duration_seconds": HOUR}, ["1 hour from first use"]),
        ({"duration_seconds": HOUR, "kind": "used_time"}, ["1 hour online"]),
        ({"quota_down_bytes": 500 * MB, "quota_up_bytes": 100 * MB}, ["500 MB download", "100 MB upload"]),
        ({"rate_down_kbps": 512}, ["512 kbit/s"]),
        ({"rate_down_kbps": 2000, "rate_up_kbps": 2000}, ["2 Mbit/s"]),
        ({"rate_down_kbps": 2000, "rate_up_kbps": 512}, ["2 Mbit/s download", "512 kbit/s upload"]),
        ({"rate_up_kbps": 512}, ["512 kbit/s upload"]),
        ({"devices_at_once": 3}, ["3 devices"]),
        ({}, []),
    ],
)
def test_only_what_the_plan_says_is_said(terms, words):
    assert in_words(plan(**terms), "en") == words


@pytest.mark.parametrize(
    ("seconds", "english", "arabic"),
    [
        (DAY, "1 day", "يوم واحد"),
        (2 * DAY, "2 days", "يومان"),
        (7 * DAY, "7 days", "7 أيام"),
        (30 * DAY, "30 days", "30 يومًا"),
        (100 * DAY, "100 days", "100 يوم"),
        (HOUR, "1 hour", "ساعة واحدة"),
        (2 * HOUR, "2 hours", "ساعتان"),
        (12 * HOUR, "12 hours", "12 ساعة"),
        (5400, "1 hour 30 minutes", "ساعة واحدة و30 دقيقة"),
        (DAY + HOUR + 61, "1 day 1 hour 1 minute 1 second", "يوم واحد وساعة واحدة ودقيقة واحدة وثانية واحدة"),
    ],
)
def test_a_length_is_said_to_the_second(seconds, english, arabic):
    assert length(seconds, "en") == english
    assert length(seconds, "ar") == arabic
