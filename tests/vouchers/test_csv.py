"""A batch as a spreadsheet file: readable where it is opened, and harmless there."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from bawaba.vouchers import csv_export
from bawaba.vouchers.csv_export import CsvCard

MADE = datetime(2026, 3, 1, 9, 5, 7, 250_000, tzinfo=UTC)


def card(**facts) -> CsvCard:
    base: dict[str, Any] = {
        "serial": "B042-0001",
        "code": "0012-3456-7890",
        "plan": "3 hours",
        "price_minor": 200,
        "currency": "YER",
        "status": "unused",
        "batch": "B042",
        "created_at": MADE,
        "expires_unused_at": None,
        "first_used_at": None,
    }
    return CsvCard(**(base | facts))


def exported(*cards: CsvCard) -> str:
    return b"".join(csv_export.lines(cards)).decode("utf-8-sig")


def read_back(*cards: CsvCard) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(exported(*cards), newline="")))


def test_it_begins_with_a_bom_and_names_its_columns_even_when_empty():
    (only,) = csv_export.lines([])

    assert only == (
        b"\xef\xbb\xbfserial,code,plan,price_minor,currency,status,batch,created_at,expires_unused_at,first_used_at\r\n"
    )


def test_codes_stand_as_they_are_printed_and_times_are_utc():
    aden = timezone(timedelta(hours=3))
    first_used = datetime(2026, 3, 2, 1, 0, tzinfo=aden)

    assert exported(card(first_used_at=first_used)).splitlines()[1] == (
        "B042-0001,0012-3456-7890,3 hours,200,YER,unused,B042,2026-03-01T09:05:07Z,,2026-03-01T22:00:00Z"
    )


def test_each_line_ends_as_excel_expects():
    text = b"".join(csv_export.lines([card(), card(plan="two\nlines")]))

    assert text.count(b"\r\n") == 3 and text.endswith(b"\r\n")


@pytest.mark.parametrize(
    "danger", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x","y")']
)
def test_what_a_spreadsheet_would_run_is_text(danger):
    (row,) = read_back(card(plan=danger))

    assert row["plan"] == f"'{danger}"


@pytest.mark.parametrize("name", ["ساعة واحدة · 1 GB", 'He said "go"', "a,b", "a;b", "line\nbreak", "1-2"])
def test_what_is_harmless_comes_back_as_it_was(name):
    (row,) = read_back(card(plan=name))

    assert row["plan"] == name


def test_a_hundred_thousand_cards_are_never_in_memory_together():
    taken = []

    def cards():
        for number in range(100_000):
            taken.append(number)
            yield card()

    some = csv_export.lines(cards())
    for _ in range(3):
        next(some)

    assert taken == [0, 1]
