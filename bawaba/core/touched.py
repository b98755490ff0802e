"""Which tables a piece of SQL writes and reads: what a cache has to know to drop what is no longer so.

Read from the SQL itself, so that no step can forget to say it. A word too many does no harm: it is no table's name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import Connection

WRITES = re.compile(r'\b(?:INSERT\s+(?:OR\s+\w+\s+)?INTO|UPDATE|DELETE\s+FROM|COPY)\s+"?(\w+)', re.IGNORECASE)
READS = re.compile(r'\b(?:FROM|JOIN)\s+"?(\w+)', re.IGNORECASE)
NOTES = "wrote"  # where a connection keeps them


@lru_cache(maxsize=2000)
def written_by(sql: str) -> frozenset[str]:
    """The tables that a statement changes."""
    return frozenset(WRITES.findall(sql))


@lru_cache(maxsize=2000)
def read_by(sql: str) -> frozenset[str]:
    """The tables that a statement looks into."""
    return frozenset(READS.findall(sql))


def note_writes(connection: Connection) -> set[str]:
    """Begin to note what is written by a connection; the answer fills."""
    noted: set[str] = set()
    connection.info[NOTES] = noted
    return noted


def noted(connection: Connection) -> set[str]:
    """What a connection's statements are noted in."""
    found: set[str] = connection.info.setdefault(NOTES, set())
    return found


def watch(engine: Engine) -> None:
    """Note what SQLAlchemy writes; `Statement` and `BulkInsert`, which go round it, note their own."""

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection: Connection, cursor: Any, statement: str, *more: Any) -> None:
        if (tables := written_by(statement)) and (found := connection.info.get(NOTES)) is not None:
            found |= tables
