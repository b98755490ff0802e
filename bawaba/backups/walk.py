"""The checksum walk: every row of every table, in the order of its primary key, counted and hashed.

Two databases with the same content give the same answer, whether they are SQLite or PostgreSQL: times are microseconds,
truth is 0 and 1, JSON is written in one way, text is ordered by its bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import Connection, inspect, text
from sqlalchemy.sql.sqltypes import JSON, LargeBinary, String

from bawaba.core.database import to_micros

AT_ONCE = 2000
NO_CONTENT = frozenset({"sqlite_sequence", "sqlite_stat1", "sqlite_stat4"})


@dataclass(frozen=True, slots=True)
class Tally:
    """What one table holds."""

    rows: int
    sha256: str


Walk = dict[str, Tally]


def walk(connection: Connection, beat: Callable[[], object] = lambda: None) -> Walk:
    """All tables of a database. `beat` is called now and then and may raise to end it."""
    names = sorted(set(inspect(connection).get_table_names()) - NO_CONTENT)
    return {name: _tally(connection, name, beat) for name in names}


def differences(wanted: Walk, found: Walk) -> list[str]:
    """The tables that differ, each with both counts: "voucher: 10 rows, not 12"; none when all is alike."""
    told = []
    for name in sorted(wanted.keys() | found.keys()):
        left, right = wanted.get(name), found.get(name)
        if left is None or right is None:
            told.append(f"{name}: is {'new' if left is None else 'missing'}")
        elif left.rows != right.rows:
            told.append(f"{name}: {right.rows} rows, not {left.rows}")
        elif left.sha256 != right.sha256:
            told.append(f"{name}: {right.rows} rows, some of them different")
    return told


def rows_in(found: Walk) -> int:
    """How many rows there are in all."""
    return sum(tally.rows for tally in found.values())


def to_json(found: Walk) -> dict[str, list[Any]]:
    """As the manifest keeps it."""
    return {name: [tally.rows, tally.sha256] for name, tally in found.items()}


def from_json(kept: dict[str, list[Any]]) -> Walk:
    """Undo `to_json`."""
    return {name: Tally(int(rows), str(digest)) for name, (rows, digest) in kept.items()}


def _tally(connection: Connection, table: str, beat: Callable[[], object]) -> Tally:
    looked = inspect(connection)
    columns = {column["name"]: column["type"] for column in looked.get_columns(table)}
    primary = looked.get_pk_constraint(table)["constrained_columns"]
    quote = connection.dialect.identifier_preparer.quote
    order = [_ordered(connection, quote(name), columns[name]) for name in primary] or ["1"]
    names = sorted(columns)
    query = f"SELECT {', '.join(map(quote, names))} FROM {quote(table)} ORDER BY {', '.join(order)}"
    json_at = {place for place, name in enumerate(names) if isinstance(columns[name], JSON)}
    digest, count = hashlib.sha256("\x1f".join(names).encode()), 0
    for rows in _groups(connection, query):
        digest.update(b"\x1e".join(_line(row, json_at) for row in rows))
        digest.update(b"\x1e")
        count += len(rows)
        beat()
    return Tally(count, digest.hexdigest())


def _ordered(connection: Connection, name: str, kind: Any) -> str:
    by_bytes = (
        connection.dialect.name == "postgresql" and isinstance(kind, String) and not isinstance(kind, LargeBinary)
    )
    return f'{name} COLLATE "C"' if by_bytes else name


def _groups(connection: Connection, query: str) -> Iterator[Sequence[Any]]:
    streamed = connection.execution_options(stream_results=True, max_row_buffer=AT_ONCE)
    result = streamed.execute(text(query.replace(":", r"\:")))
    while rows := result.fetchmany(AT_ONCE):
        yield rows


def _line(row: Sequence[Any], json_at: set[int]) -> bytes:
    return "\x1f".join([_word(value, place in json_at) for place, value in enumerate(row)]).encode()


def _word(value: Any, is_json: bool) -> str:
    """One value. An int, a text and nothing are most of them, and are themselves on both databases."""
    kind = type(value)
    if value is None:
        return "-"
    if is_json:
        return "j" + orjson.dumps(orjson.loads(value) if kind is str else value, option=orjson.OPT_SORT_KEYS).decode()
    if kind is str:
        return "s" + str(value)
    if kind is int or kind is bool:
        return str(int(value))
    if kind is bytes or kind is memoryview:
        return "b" + bytes(value).hex()
    if isinstance(value, datetime):
        return str(to_micros(value))
    if isinstance(value, float | Decimal):
        return f"f{float(value)!r}"
    raise TypeError(f"a value of {kind.__name__} has no way to be compared")
