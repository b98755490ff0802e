"""SQL for the few hot paths: written once with :names, prepared for each driver, run without the layers between.

Everything else uses SQLAlchemy. The driver's connection comes with the step's `db` (`Database` puts it into `db.info`);
what the step has added through the ORM must be flushed before a statement here is to see it.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from bawaba.core import tracing
from bawaba.core.database import from_micros, to_micros
from bawaba.core.touched import NOTES, written_by

NAME = re.compile(r"(?<!:):([a-z_]+)")
AT_ONCE = 500  # statements of one round trip
LOCK = re.compile(r"\{lock(?: ([\w, ]+))?\}")


class Statement:
    """One statement for both databases. `times` names the result columns that are times. `many` is what `run_many` uses
    on PostgreSQL, once for all rows: each name is an array there (of numbers or times), and no row comes twice.

    `{lock}` (or `{lock table}`, `{lock this, that}`) in the text becomes FOR UPDATE (OF …) on PostgreSQL, and nothing
    on SQLite, whose one writer is lock enough.
    """

    def __init__(self, sql: str, columns: str = "", times: Sequence[str] = (), *, many: str = "") -> None:
        names = columns.split()
        self._row: Any = namedtuple("Row", names) if names else None
        self._time_places = [names.index(name) for name in times]
        self._names = NAME.findall(sql)
        self._writes = written_by(sql)
        self._sqlite = NAME.sub("?", LOCK.sub("", sql))
        self._numbered = list(dict.fromkeys(self._names))
        number = {name: f"${place}" for place, name in enumerate(self._numbered, 1)}
        self._postgresql, self._many = (
            NAME.sub(lambda found: number[found[1]], LOCK.sub(_for_update, text)) for text in (sql, many)
        )

    def run(self, db: Session, **values: Any) -> int:
        """Execute and return the number of rows touched."""
        if db.info["sqlite"]:
            return int(self._execute(db, values).rowcount)
        (result,) = _ask(db, [(self, values)])
        return result.command_tuples or 0

    def later(self, db: Session, **values: Any) -> None:
        """Execute when nobody waits for what comes of it: on PostgreSQL it goes with the step's next statement, or with
        the commit, which then raises its error."""
        if db.info["sqlite"]:
            self._execute(db, values)
        else:
            db.info[NOTES].update(self._writes)
            db.info["wire"].later(self._asked(values))

    def run_many(self, db: Session, rows: Sequence[dict[str, Any]]) -> None:
        """Execute for many rows at once."""
        if not rows:
            return
        with tracing.timed(tracing.DATABASE_QUERY, self.text(db)):
            self._send_many(db, rows)

    def _send_many(self, db: Session, rows: Sequence[dict[str, Any]]) -> None:
        db.info[NOTES].update(self._writes)
        if db.info["sqlite"]:
            plain = [
                [to_micros(value) if isinstance(value := row[name], datetime) else value for name in self._names]
                for row in rows
            ]
            db.info["raw"].executemany(self._sqlite, plain)
            return
        if self._many:
            columns = [[row[name] for row in rows] for name in self._numbered]
            db.info["wire"].ask([(self._many, columns)])
            return
        for start in range(0, len(rows), AT_ONCE):
            db.info["wire"].ask([self._asked(row) for row in rows[start : start + AT_ONCE]])

    def first(self, db: Session, **values: Any) -> Any:
        """The first row, named by `columns`, or None."""
        if db.info["sqlite"]:
            row = self._execute(db, values).fetchone()
            return self._shape(row) if row is not None else None
        return together(db, (self, values))[0]

    def all(self, db: Session, **values: Any) -> list[Any]:
        """Every row, named by `columns`."""
        if db.info["sqlite"]:
            return [self._shape(row) for row in self._execute(db, values).fetchall()]
        (result,) = _ask(db, [(self, values)])
        return [self._shape(row) for row in db.info["wire"].rows(result)]

    def _execute(self, db: Session, values: dict[str, Any]) -> Any:
        trace = tracing.current()
        if trace is None:
            return self._send(db, values)
        began = tracing.clock()
        cursor = self._send(db, values)
        trace.add(tracing.DATABASE_QUERY, self.text(db), began, tracing.clock())
        return cursor

    def text(self, db: Session) -> str:
        """The statement as this database is sent it."""
        return self._sqlite if db.info["sqlite"] else self._postgresql

    def _send(self, db: Session, values: dict[str, Any]) -> Any:
        db.info[NOTES].update(self._writes)
        return db.info["raw"].execute(self._sqlite, [_plain(values[name]) for name in self._names])

    def _asked(self, values: dict[str, Any]) -> tuple[str, list[Any]]:
        return self._postgresql, [values[name] for name in self._numbered]

    def _shape(self, row: Any) -> Any:
        if self._time_places:
            row = list(row)
            for place in self._time_places:
                if (value := row[place]) is not None:
                    row[place] = _time(value)
        return self._row._make(row) if self._row is not None else row


def together(db: Session, *asked: tuple[Statement, dict[str, Any]]) -> list[Any]:
    """The first row of each statement, in one round trip on PostgreSQL. Each runs when the one before it has ended, and
    sees what was committed until then."""
    if db.info["sqlite"]:
        return [statement.first(db, **values) for statement, values in asked]
    wire, results = db.info["wire"], _ask(db, asked)
    rows = [wire.rows(result, 1) for result in results]
    return [statement._shape(found[0]) if found else None for (statement, _), found in zip(asked, rows, strict=True)]


def _ask(db: Session, asked: Sequence[tuple[Statement, dict[str, Any]]]) -> list[Any]:
    """One round trip to PostgreSQL; libpq's result of each statement."""
    for statement, _ in asked:
        db.info[NOTES].update(statement._writes)
    with tracing.timed(tracing.DATABASE_QUERY, _words_of(db, asked)):
        results: list[Any] = db.info["wire"].ask([statement._asked(values) for statement, values in asked])
    return results


def _words_of(db: Session, asked: Sequence[tuple[Statement, dict[str, Any]]]) -> str:
    return "; ".join(statement.text(db) for statement, _ in asked) if tracing.current() is not None else ""


class BulkInsert:
    """Many rows into one table: COPY on PostgreSQL, one prepared INSERT on SQLite."""

    def __init__(self, table: str, columns: str) -> None:
        self._table = table
        self._columns = columns.split()
        names = ", ".join(self._columns)
        self._copy = f"COPY {table} ({names}) FROM STDIN"
        marks = ", ".join("?" * len(self._columns))
        self._insert = f"INSERT INTO {table} ({names}) VALUES ({marks})"

    def run(self, db: Session, rows: Sequence[dict[str, Any]]) -> None:
        """Insert the rows. A duplicate raises the driver's IntegrityError and undoes them all."""
        raw = db.info["raw"]
        db.info[NOTES].add(self._table)
        if db.info["sqlite"]:
            raw.executemany(self._insert, [[_plain(row[name]) for name in self._columns] for row in rows])
            return
        db.info["wire"].send_waiting()
        with raw.cursor() as cursor, cursor.copy(self._copy) as copy:
            for row in rows:
                copy.write_row([row[name] for name in self._columns])


def _for_update(found: re.Match[str]) -> str:
    return f"FOR UPDATE OF {found[1]}" if found[1] else "FOR UPDATE"


def _plain(value: Any) -> Any:
    return to_micros(value) if isinstance(value, datetime) else value


def _time(value: Any) -> datetime:
    return value.astimezone(UTC) if isinstance(value, datetime) else from_micros(value)
