"""Rows on a terminal: columns that line up for a person, or JSON for a program."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
import orjson

GAP = "  "
MARKS = frozenset({"Mn", "Me", "Cf"})  # combining and formatting characters take no room


def print_json(value: Any) -> None:
    """What the API would answer, indented; times are RFC 3339 UTC."""
    options = orjson.OPT_UTC_Z | orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    click.echo(orjson.dumps(value, option=options).decode())


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], nothing: str) -> None:
    """Rows below their columns' names; `nothing` says it where there are none."""
    if not rows:
        click.echo(nothing)
        return
    lines = [list(columns), *([_written(cell) for cell in row] for row in rows)]
    widths = [max(_width(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True))
        click.echo(GAP.join(padded).rstrip())


def print_facts(facts: Sequence[tuple[str, Any]]) -> None:
    """One fact a line, name first."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        click.echo(f"{name:{width}}{GAP}{_written(value)}")


def moment(at: datetime | None) -> str:
    """A time on this machine's clock."""
    return f"{at.astimezone():%Y-%m-%d %H:%M}" if at else "never"


def _written(value: Any) -> str:
    """One cell: on one line, and without what a terminal would take for orders."""
    text = "-" if value is None or value == "" else str(value)
    return "".join(letter if letter.isprintable() or unicodedata.category(letter) == "Cf" else " " for letter in text)


def _width(text: str) -> int:
    """How many columns of the terminal a text takes."""
    return sum(
        0 if unicodedata.category(letter) in MARKS else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
