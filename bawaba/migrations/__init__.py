"""The database's shape, step by step: expand, then fill, then tighten."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

HEAD = "0016"  # the newest step; a test compares it with the files


def is_current(url: str) -> bool:
    """Whether the database has every step already: the quick look at each start."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return False
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
    except SQLAlchemyError:
        return False
    finally:
        engine.dispose()


def is_known(step: str) -> bool:
    """Whether this program has a step of that name; not where a newer one has been at work."""
    return any((Path(__file__).parent / "versions").glob(f"{step}_*.py"))


def serves(url: str) -> bool:
    """Whether a program of this version can work on the database as it is: every step was taken that it knows. Steps of
    a newer version may have been taken too: they only add, so that both versions work side by side for a while."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return False
            step = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return step is not None and str(step) >= HEAD
    finally:
        engine.dispose()


def is_empty(url: str) -> bool:
    """Whether no step was ever taken there. Raises `OperationalError` where nothing answers."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return not inspect(connection).has_table("alembic_version")
    finally:
        engine.dispose()


def migrate(url: str) -> bool:
    """Bring the database to the newest shape; False when there was nothing to do. Safe to call from two processes."""
    if is_current(url):
        return False
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["url"] = url
    command.upgrade(config, "head")
    return True
