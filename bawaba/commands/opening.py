"""Opening an installation for one command. Only `serve` and `migrate` make a new one."""

from __future__ import annotations

import getpass
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy.exc import OperationalError

from bawaba.core import data_folder, program
from bawaba.core.config import Config, ConfigError
from bawaba.core.data_folder import DataFolderError
from bawaba.core.errors import Problem
from bawaba.core.keyring import KeyFileError
from bawaba.core.runtime import Runtime
from bawaba.web.listening import CannotListen

CHECKOUT = Path(__file__).parents[2]


class NothingThere(Exception):
    """There is no installation where the settings say; the text says where we looked and what to set."""


def read_config() -> Config:
    """The settings of this command. Raises `ConfigError`."""
    return Config.from_env(os.environ)


@contextmanager
def honest_errors() -> Iterator[None]:
    """What went wrong in one sentence, without a traceback, exit code 2."""
    from bawaba.web.messages import sentence

    try:
        yield
    except (ConfigError, KeyFileError, DataFolderError, CannotListen, NothingThere) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except Problem as problem:
        faults = problem.details.get("fields", {})
        click.echo(sentence(problem.code, problem.details), err=True)
        for field, words in faults.items():
            click.echo(f"  {field}: {'; '.join(words)}", err=True)
        sys.exit(2)


@contextmanager
def open_runtime(*, as_owner: bool = True) -> Iterator[Runtime]:
    """A Runtime for one command, beside a server that may be running. Where nothing is, nothing is made.

    Root goes on as the owner of the data, unless the command has to write to folders of others (`as_owner` False).
    """
    from bawaba import migrations, wiring
    from bawaba.core import log

    with honest_errors():
        config = read_config()
        log.configure("warning")
        find_installation(config, as_owner=as_owner)
        migrations.migrate(config.sqlalchemy_url)
        rt = wiring.build(config)
        try:
            yield rt
        finally:
            wiring.stop(rt)


def find_installation(config: Config, *, as_owner: bool = True) -> None:
    """Make sure that the database is there and may be used. Raises `NothingThere`, `DataFolderError`."""
    from bawaba import migrations

    if config.sqlite_path is not None:
        _find_file(config, config.sqlite_path, as_owner)
    try:
        empty = migrations.is_empty(config.sqlalchemy_url)
    except OperationalError as error:
        raise NothingThere(f"The database cannot be opened: {error.orig}") from error
    if empty:
        raise NothingThere(_where_we_looked(config))


def _find_file(config: Config, database: Path, as_owner: bool) -> None:
    try:
        if not database.exists():
            raise NothingThere(_where_we_looked(config))
        if as_owner:
            data_folder.become_owner(database.parent)
        allowed = os.access(database, os.R_OK | os.W_OK)
    except PermissionError:
        allowed = False
    if not allowed:
        raise DataFolderError(
            f"The user {getpass.getuser()} may not use the data in {database.parent}.\n"
            f"Run it as root, and it goes on as that folder's owner: sudo {_typed()}"
        )


def _where_we_looked(config: Config) -> str:
    """Which place, why that one, and what to type instead."""
    if config.sqlite_path is None:
        return "The database that BAWABA_DATABASE_URL names is empty: `bawaba migrate` or `bawaba serve` fills it."
    folder = config.sqlite_path.parent
    why = (
        ""
        if config.model_fields_set & {"data_dir", "database_url"}
        else ", where it looks unless BAWABA_DATA_DIR is set"
    )
    lines = [f"Bawaba has no data in {folder}{why}. Nothing was made or changed."]
    others = [place for place in _usual_places() if place != folder and _has_database(place)]
    if others:
        lines.append("There is some elsewhere. To work with that, type:")
        lines += [f"  BAWABA_DATA_DIR={shlex.quote(str(place))} {_typed()}" for place in others]
    else:
        lines.append("Set BAWABA_DATA_DIR to the folder that Bawaba was started with:")
        lines.append(f"  BAWABA_DATA_DIR=/that/folder {_typed()}")
    lines.append("A new installation begins with `bawaba serve`.")
    return "\n".join(lines)


def _usual_places() -> list[Path]:
    """Where `make run` keeps its data, here and in the folder of this program, and where a server does."""
    places = [Path.cwd() / ".data", CHECKOUT / ".data", Config.model_fields["data_dir"].default]
    return list(dict.fromkeys(places))


def _has_database(folder: Path) -> bool:
    try:
        return (folder / "bawaba.db").is_file()
    except OSError:
        return False


def _typed() -> str:
    """This command as it was typed."""
    return f"{program.typed()} {shlex.join(sys.argv[1:])}"
