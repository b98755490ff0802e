"""The time that a report of sales is about. Pure: values in, answer out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bawaba.core.errors import field_fault

DAYS_USUALLY = 7
DAYS_MOST = 366


@dataclass(frozen=True, slots=True)
class Period:
    """From the first day to the last, both included, on the clock of a place."""

    first: date
    last: date
    zone: str

    @property
    def start(self) -> datetime:
        """When the first day begins."""
        return _midnight(self.first, self.zone)

    @property
    def end(self) -> datetime:
        """When the last day is over."""
        return _midnight(self.last + timedelta(days=1), self.zone)

    def days(self) -> list[tuple[date, datetime, datetime]]:
        """Each day with its beginning and its end; where clocks are changed a day has 23 or 25 hours."""
        every = [self.first + timedelta(days=count) for count in range((self.last - self.first).days + 1)]
        return [(day, _midnight(day, self.zone), _midnight(day + timedelta(days=1), self.zone)) for day in every]


def period(first: str, last: str, zone: str, now: datetime) -> Period:
    """The period that is asked for by days like 2026-03-01; the last week, where it is left out.

    Raises `Invalid` for what is no day, for a last day before the first, and for more than a year.
    """
    today = now.astimezone(ZoneInfo(zone)).date()
    until = _day("to", last) or max(today, _day("from", first) or today)
    since = _day("from", first) or until - timedelta(days=DAYS_USUALLY - 1)
    if since > until:
        raise field_fault("to", "comes before the first day")
    if (until - since).days >= DAYS_MOST:
        raise field_fault("from", "a year at most")
    return Period(since, until, zone)


def _day(name: str, text: str) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise field_fault(name, "must be a day like 2026-03-01") from error
    if not 2000 <= day.year <= 2999:
        raise field_fault(name, "must be a day like 2026-03-01")
    return day


def _midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time.min, ZoneInfo(zone))
