"""When a backup is due, and which may go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as some

from bawaba.backups.rules import Copy, Kept, is_due, is_late, last_hour, may_go, wants_drill

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
policies = some.builds(
    Kept, some.integers(min_value=1, max_value=9), some.integers(0, 6), some.integers(min_value=0, max_value=9)
)
moments = some.integers(min_value=0, max_value=3 * 365 * 24).map(lambda hours: NOON - timedelta(hours=hours))
histories = some.lists(moments, max_size=60).map(
    lambda found: [Copy(n, at, n % 3 > 0) for n, at in enumerate(found, 1)]
)


@given(histories, policies)
def test_the_newest_copy_never_goes_and_what_stays_is_no_more_than_was_asked(copies, kept):
    gone = may_go(copies, kept, "Asia/Aden")

    stays = [copy for copy in copies if copy.run_id not in gone]
    if copies:
        assert max(copies, key=lambda copy: (copy.at, copy.run_id)) in stays
    good = [copy for copy in copies if copy.confirmed]
    if good:
        assert max(good, key=lambda copy: (copy.at, copy.run_id)) in stays
    assert len(stays) <= kept.daily + kept.weekly + kept.monthly + 1


@given(histories, policies)
def test_what_stays_is_not_taken_by_a_second_look(copies, kept):
    stays = [copy for copy in copies if copy.run_id not in may_go(copies, kept, "Asia/Aden")]

    assert may_go(stays, kept, "Asia/Aden") == set()


@given(histories, policies, some.integers(min_value=0, max_value=4000))
def test_a_machine_that_was_off_for_years_loses_no_copy_by_it(copies, kept, days):
    """The rule looks at the copies alone, never at today."""
    later = [Copy(copy.run_id, copy.at + timedelta(weeks=days), copy.confirmed) for copy in copies]

    assert len(may_go(copies, Kept(kept.daily, 0, 0), "UTC")) == len(may_go(later, Kept(kept.daily, 0, 0), "UTC"))


def test_a_year_of_nights_leaves_seven_days_four_weeks_and_six_months():
    nights = [Copy(day, NOON - (365 - day) * DAY) for day in range(365)]

    stays = sorted(set(range(365)) - may_go(nights, Kept(7, 4, 6), "Asia/Aden"), reverse=True)

    assert stays[:7] == [364, 363, 362, 361, 360, 359, 358]
    ages = [(NOON - nights[day].at).days for day in stays]
    assert len(stays) <= 15 and max(ages) == 130  # the last of October


def test_the_hour_is_the_installations_own():
    assert last_hour("03:30", "Asia/Aden", NOON) == datetime(2026, 3, 10, 0, 30, tzinfo=UTC)
    assert last_hour("23:00", "Asia/Aden", NOON) == datetime(2026, 3, 9, 20, tzinfo=UTC)
    spring = datetime(2026, 3, 29, 12, tzinfo=UTC)  # 02:30 does not exist in Berlin that night
    assert last_hour("02:30", "Europe/Berlin", spring) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_a_backup_is_due_once_a_night_and_made_up_after_a_power_cut():
    hour, born = NOON - timedelta(hours=2), NOON - 30 * DAY

    assert is_due(hour, born, None, [], NOON)
    assert is_due(hour, born, hour - DAY, [], NOON)
    assert not is_due(hour, born, hour + timedelta(minutes=5), [], NOON)
    assert not is_due(hour, NOON, None, [], NOON)  # installed after it: the next night


def test_after_a_failure_it_waits_ten_minutes_then_longer_and_never_more_than_six_hours():
    hour, born = NOON, NOON - 30 * DAY
    failed = [hour + timedelta(minutes=1)]

    assert not is_due(hour, born, None, failed, failed[-1] + timedelta(minutes=9))
    assert is_due(hour, born, None, failed, failed[-1] + timedelta(minutes=10))
    assert not is_due(hour, born, None, failed * 3, failed[-1] + timedelta(minutes=39))
    assert is_due(hour, born, None, failed * 20, failed[-1] + timedelta(hours=6))


def test_a_night_without_a_backup_is_late_six_hours_after_its_hour():
    born = NOON - 30 * DAY

    assert is_late(NOON, born, None, NOON + timedelta(hours=6))
    assert not is_late(NOON, born, None, NOON + timedelta(hours=5))
    assert not is_late(NOON, born, NOON + timedelta(minutes=3), NOON + timedelta(hours=9))


def test_every_week_one_is_put_back_on_trial():
    assert wants_drill(None, NOON)
    assert not wants_drill(NOON - 6 * DAY, NOON)
    assert wants_drill(NOON - 7 * DAY, NOON)
