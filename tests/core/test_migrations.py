"""The migrations make exactly the tables that the code speaks of, on both databases, there and back."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

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
