"""Cards as a file for spreadsheet programs: UTF-8 with a BOM, CRLF, and no cell that is read as a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime

BOM = b"\xef\xbb\xbf"  # without it Excel takes the file for the machine's old code page
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class CsvCard:
    """One line of the file; its fields are the columns, in this order."""

    serial: str
    code: str
    plan: str
    price_minor: int
    currency: str
    status: str
    batch: str
    created_at: datetime
    expires_unused_at: datetime | None
    first_used_at: datetime | None


HEADER = tuple(field.name for field in fields(CsvCard))


class _LastLine:
    """Where `csv.writer` puts a line, to be taken from."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text = text


def lines(cards: Iterable[CsvCard]) -> Iterator[bytes]:
    """The file line by line, the header first. Times are UTC in ISO 8601.

    Codes come in as they are printed (0123-4567-8901): of bare digits a spreadsheet makes a number, and the leading
    zeros are gone; the portal takes them with their dashes.
    """
    return table(HEADER, ([getattr(card, name) for name in HEADER] for card in cards))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """Yield any table line by line as such a file."""
    last = _LastLine()
    writer = csv.writer(last, dialect="excel", lineterminator="\r\n")
    writer.writerow(header)
    yield BOM + last.text.encode()
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        yield last.text.encode()


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
