"""The migrations make exactly the tables that the code speaks of, on both databases, there and back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    Boolean,
    DateTime,
    Engine,
    LargeBinary,
    MetaData,
    String,
    create_engine,
    inspect,
    text,
)
from sqlalchemy.types import TypeEngine

from bawaba import migrations
from bawaba.tables import metadata


def test_models_and_migrations_agree(migrated_url):
    engine = create_engine(migrated_url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
    engine.dispose()

    assert differences == []


def test_the_head_that_each_start_looks_for_is_the_newest_file():
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


def test_a_filled_database_of_an_older_version_keeps_its_rows_there_and_back(database_url):
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["url"] = database_url
    command.upgrade(config, "0008")
    engine = create_engine(database_url)
    filled = one_row_each(engine)
    assert len(filled) > 20
    for step in (command.upgrade, command.downgrade):
        step(config, "head" if step is command.upgrade else "0008")
        with engine.connect() as connection:
            for name, before in filled.items():
                now = connection.execute(text(f'SELECT * FROM "{name}"')).mappings().one()
                assert {column: now[column] for column in before} == before, name
    engine.dispose()


def one_row_each(engine: Engine) -> dict[str, dict[str, Any]]:
    """Fill every table with a row that has something in every column; the rows as they read."""
    there = MetaData()
    there.reflect(engine)
    tables = [table for table in there.sorted_tables if table.name != "alembic_version"]
    filled: dict[str, dict[str, Any]] = {}
    with engine.begin() as connection:
        for table in tables:
            connection.execute(table.insert().values({column.name: something(column.type) for column in table.columns}))
            row = connection.execute(text(f'SELECT * FROM "{table.name}"')).mappings().one()
            filled[table.name] = dict(row)
    return filled


def something(kind: TypeEngine[Any]) -> Any:
    """A value that fits; 1 wherever a number does, so that all that points at a row finds one."""
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, JSON):
        return {"a": 1}
    if isinstance(kind, LargeBinary):
        return b"\x00\xff"
    if isinstance(kind, DateTime):
        return datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    return "1" if isinstance(kind, String) else 1


def test_migrating_twice_does_nothing_and_down_takes_all_away(database_url):
    assert migrations.migrate(database_url)
    assert not migrations.migrate(database_url)

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["url"] = database_url
    command.downgrade(config, "base")
    engine = create_engine(database_url)
    left = [name for name in inspect(engine).get_table_names() if name != "alembic_version"]
    engine.dispose()
    assert left == []
