"""From SQLite to PostgreSQL: all rows in one transaction, compared before it is committed. All of it, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from sqlalchemy import JSON, Connection, Engine, Table, create_engine, make_url, select, text
from sqlalchemy.orm import Session

from bawaba import migrations
from bawaba.backups.walk import differences, rows_in, walk
from bawaba.core import data_folder, facts
from bawaba.core.config import Config
from bawaba.tables import metadata
from bawaba.upkeep.errors import AlreadyPostgresql, MoveFailed, TargetNotEmpty

AT_ONCE = 5000
Told = Callable[[str], object]


def move(config: Config, address: str, told: Told = lambda what: None) -> int:
    """Copy everything to an empty PostgreSQL database; answers how many rows. The SQLite file stays, marked as moved.

    Raises `AlreadyPostgresql`, `TargetNotEmpty`, `MoveFailed` (nothing is kept there), `DataFolderError` while a server
    has the data.
    """
    if config.sqlite_path is None:
        raise AlreadyPostgresql()
    target_url = Config(database_url=address).sqlalchemy_url
    with data_folder.sole_server(config.sqlite_path):
        for url in (config.sqlalchemy_url, target_url):
            migrations.migrate(url)
        source, target = create_engine(config.sqlalchemy_url), create_engine(target_url)
        try:
            rows = _copy(source, target, told)
            _mark(source, make_url(target_url).render_as_string(hide_password=True))
        finally:
            source.dispose()
            target.dispose()
    return rows


def undo(config: Config) -> None:
    """Go on with the SQLite file after all."""
    if config.sqlite_path is None:
        raise AlreadyPostgresql()
    engine = create_engine(config.sqlalchemy_url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM install_fact WHERE name = :name"), {"name": facts.MOVED})
    engine.dispose()


def _copy(source: Engine, target: Engine, told: Told) -> int:
    with source.connect() as here, target.begin() as there:
        if (
            there.execute(text('SELECT count(*) FROM "user"')).scalar()
            or there.execute(text("SELECT count(*) FROM voucher")).scalar()
        ):
            raise TargetNotEmpty()
        tables = metadata.sorted_tables
        quote = there.dialect.identifier_preparer.format_table
        there.execute(text(f"TRUNCATE {', '.join(map(quote, tables))} CASCADE"))  # what the migrations have put there
        for table in tables:
            told(table.name)
            _copy_table(here, there, table)
        _set_sequences(there)
        told("compare")
        wanted, found = walk(here), walk(there)
        if wrong := differences(wanted, found):
            raise MoveFailed(why="; ".join(wrong[:5]))
        return rows_in(found)


def _copy_table(here: Connection, there: Connection, table: Table) -> None:
    quote = there.dialect.identifier_preparer
    names = ", ".join(quote.quote(column.name) for column in table.columns)
    raw: Any = there.connection.driver_connection
    with raw.cursor() as cursor, cursor.copy(f"COPY {quote.format_table(table)} ({names}) FROM STDIN") as copy:
        for row in _rows(here, table):
            copy.write_row(row)


def _rows(here: Connection, table: Table) -> Iterator[list[Any]]:
    json_at = {place for place, column in enumerate(table.columns) if isinstance(column.type, JSON)}
    ordered = select(table).order_by(*table.primary_key.columns)  # a row that names another of its table comes after it
    streamed = here.execution_options(stream_results=True, max_row_buffer=AT_ONCE)
    for group in streamed.execute(ordered).partitions(AT_ONCE):
        for row in group:
            yield [_written(value) if place in json_at else value for place, value in enumerate(row)]


def _written(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _set_sequences(there: Connection) -> None:
    """New rows are numbered after those that came."""
    for table in metadata.sorted_tables:
        for column in table.primary_key.columns:
            named = {"table": f'"{table.name}"', "column": column.name}
            sequence = there.execute(text("SELECT pg_get_serial_sequence(:table, :column)"), named).scalar()
            if sequence is not None:
                top = f'SELECT setval(:sequence, coalesce(max("{column.name}"), 0) + 1, false) FROM "{table.name}"'
                there.execute(text(top), {"sequence": sequence})


def _mark(source: Engine, where: str) -> None:
    """From now on a server refuses the SQLite file: two that both sell cards would be worse than none."""
    with source.begin() as connection:
        facts.remember(db := Session(connection), facts.MOVED, where)
        db.flush()
