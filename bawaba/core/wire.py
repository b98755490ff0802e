"""PostgreSQL's own protocol for the hot statements: prepared once a connection, and several in one round trip.

libpq's pipeline (PostgreSQL manual, 34.5) costs a sixth of the CPU that psycopg's cursors take for the same statements.
Values go as text, whose types the server takes from the statement: one plan serves numbers of every size. Rows come
back in binary and are read by psycopg. Begin and end of a transaction are known to both: libpq keeps its state.
"""

from __future__ import annotations

import itertools
import select
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

Asked = tuple[str, Sequence[Any]]  # a statement with $1, $2 …, and its values
BEGIN_READING: list[Asked] = [("BEGIN READ ONLY", ())]
BEGIN_WRITING: list[Asked] = [("BEGIN", ()), ("SELECT pg_current_xact_id()::text", ())]
COMMIT: Asked = ("COMMIT", ())
GOOD = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class Wire:
    """One connection as the hot statements use it. `number` is what the server calls the transaction under way (None
    where they have not begun it)."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self._raw, self._pg = raw, raw.pgconn
        self._read = Transformer(raw)
        self._poll = select.poll()
        self._poll.register(self._pg.socket, select.POLLIN)
        self._numbers = itertools.count(1)
        self._names: dict[str, bytes] = {}
        self._coming: dict[str, bytes] = {}
        self._waiting: list[Asked] = []
        self._begin = BEGIN_READING
        self.number: str | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no transaction is under way."""
        return self._pg.transaction_status == TransactionStatus.IDLE

    def start(self, *, writes: bool) -> None:
        """A transaction is about to begin with whatever comes first, here or in a cursor."""
        self.number, self._waiting = None, []
        self._begin = BEGIN_WRITING if writes else BEGIN_READING
        read_only = None if writes else True
        if self._raw.read_only is not read_only:
            self._raw.read_only = read_only

    def ask(self, asked: Sequence[Asked]) -> list[PGresult]:
        """Send what was left for later and then these, in one round trip; the results of these. Raises psycopg's
        errors: of the first that failed, and none after it was run."""
        begin = self._begin if self.is_idle else []
        waiting, self._waiting = self._waiting, []
        results = self._exchange([*begin, *waiting, *asked])
        if begin is BEGIN_WRITING:
            number = results[1].get_value(0, 0)
            self.number = number.decode() if number is not None else None
        return results[len(begin) + len(waiting) :]

    def later(self, asked: Asked) -> None:
        """Send this with the next that is asked, or with the commit."""
        self._waiting.append(asked)

    def send_waiting(self) -> None:
        """What comes next goes by a cursor: send what was left for later before it."""
        if self._waiting:
            self.ask([])

    def commit(self) -> None:
        """End the transaction with what was left for later."""
        if self.is_idle and not self._waiting:
            return
        (ended,) = self.ask([COMMIT])
        if ended.command_status != b"COMMIT":  # PostgreSQL says ROLLBACK where a statement had failed before
            raise psycopg.InternalError("the transaction had failed, and was rolled back")

    def rows(self, result: PGresult, most: int | None = None) -> list[tuple[Any, ...]]:
        """The rows of a result, as psycopg reads them."""
        self._read.set_pgresult(result)
        return self._read.load_rows(0, result.ntuples if most is None else min(most, result.ntuples), tuple)

    def _exchange(self, asked: Sequence[Asked]) -> list[PGresult]:
        """One round trip; a result for each."""
        told = [[_encoded(value) for value in values] for _, values in asked]
        try:
            fresh = self._send(asked, told)
            results = self._receive()
            self._pg.exit_pipeline_mode()
        except BaseException:
            self._raw.close()  # nobody knows any more which answer would be whose
            raise
        answers = []
        for result, sql in zip(results, fresh, strict=True):
            if result.status not in GOOD:
                raise error_from_result(result)
            if sql is None:
                answers.append(result)
            else:
                self._names[sql] = self._coming.pop(sql)
        return answers

    def _send(self, asked: Sequence[Asked], told: Sequence[Sequence[bytes | None]]) -> list[str | None]:
        """Put everything on its way. What will come back: for each result the statement that it prepared, or None."""
        coming: list[str | None] = []
        self._coming = {}
        self._pg.enter_pipeline_mode()
        for (sql, values), texts in zip(asked, told, strict=True):
            name = self._names.get(sql) or self._coming.get(sql)
            if name is None:
                name = self._coming[sql] = b"bawaba_%d" % next(self._numbers)
                self._pg.send_prepare(name, sql.encode())
                coming.append(sql)
            formats = [Format.BINARY if isinstance(value, bytes) else Format.TEXT for value in values]
            self._pg.send_query_prepared(name, texts, formats, Format.BINARY)
            coming.append(None)
        self._pg.pipeline_sync()
        return coming

    def _receive(self) -> list[PGresult]:
        """Wait for everything until the end of the pipeline; no interpreter lock is held meanwhile."""
        pg = self._pg
        results: list[PGresult] = []
        while pg.flush():
            self._wait(select.POLLIN | select.POLLOUT)
        while True:
            while pg.is_busy():
                self._wait(select.POLLIN)
            result = pg.get_result()
            if result is None:
                if pg.status != ConnStatus.OK:
                    raise psycopg.OperationalError(pg.get_error_message())
            elif result.status == ExecStatus.PIPELINE_SYNC:
                return results
            else:
                results.append(result)

    def _wait(self, events: int) -> None:
        self._poll.modify(self._pg.socket, events)
        self._poll.poll()
        self._pg.consume_input()


def _encoded(value: Any) -> bytes | None:
    """A value as PostgreSQL reads it from text; bytes go as they are."""
    if value is None or isinstance(value, bytes):
        return value
    text = TEXTS.get(type(value), str)(value)
    if "\0" in text:
        raise psycopg.DataError("PostgreSQL text cannot hold a NUL character")
    return text.encode()


def _array(values: Sequence[Any]) -> str:
    """A one-dimensional array of numbers, times or truths."""
    return "{" + ",".join("NULL" if value is None else TEXTS.get(type(value), str)(value) for value in values) + "}"


TEXTS: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "t" if value else "f",
    datetime: datetime.isoformat,
    date: date.isoformat,
    float: repr,
    list: _array,
}
