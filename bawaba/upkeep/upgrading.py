"""Bringing an installation to this program's version: copy, migrate, check; back when something is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from bawaba import migrations
from bawaba.backups import dumping
from bawaba.backups.dumping import Dump, opened
from bawaba.backups.errors import CopyDamaged
from bawaba.backups.ready import Ready
from bawaba.backups.stores import local_faults, sync_folder
from bawaba.backups.walk import Walk
from bawaba.core import data_folder, facts
from bawaba.core.config import Config
from bawaba.core.errors import Problem
from bawaba.core.keyring import Keyring
from bawaba.upkeep import restoring
from bawaba.upkeep.errors import UpgradeFailed

FOLDER = "before-upgrade"
COPIES_KEPT = 3
Told = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Upgraded:
    """From which migration to which, and where the copy of before lies."""

    before: str
    after: str
    copy: Path


def upgrade(config: Config, told: Told = lambda step: None) -> Upgraded | None:
    """Do it; None where there is nothing to do. On SQLite no server may have the data.

    Raises `UpgradeFailed` when the database is again as it was, `DataFolderError`, and what a dump raises before
    anything is touched.
    """
    with _nobody_else(config):
        restoring.swap(config)
        if migrations.is_current(config.sqlalchemy_url):
            return None
        told("copy")
        copy = _copy(config)
        try:
            told("migrate")
            migrations.migrate(config.sqlalchemy_url)
            told("check")
            _check(config, copy.walked)
        except Exception as error:
            told("back")
            _go_back(config, copy)
            raise UpgradeFailed(why=_words(error), copy=str(copy.path)) from error
        _forget_old_copies(copy.path.parent)
        return Upgraded(copy.shape, migrations.HEAD, copy.path)


@contextmanager
def _nobody_else(config: Config) -> Iterator[None]:
    if config.sqlite_path is None:
        yield
        return
    with data_folder.sole_server(config.sqlite_path):
        yield


def _copy(config: Config) -> Dump:
    """A plain copy beside the data, for the minutes that an upgrade takes: no backup, for it is on the same disk."""
    folder = config.data_dir / FOLDER
    with local_faults():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return dumping.dump(config, folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.copy")


def _check(config: Config, before: Walk) -> None:
    """The newest shape, sound pages, no table with fewer rows, and the key that its secrets were made with."""
    url = config.sqlalchemy_url
    if not migrations.is_current(url):
        raise CopyDamaged(why="it did not reach the newest shape")
    after = dumping.sound_walk(url)
    lost = [name for name, tally in before.items() if name in after and after[name].rows < tally.rows]
    if lost:
        raise CopyDamaged(why=f"rows are missing in {', '.join(lost)}")
    with opened(url) as connection:
        kept = facts.recall(Session(connection), facts.KEY)
    if kept is not None and config.key_path.exists() and Keyring.open(config.key_path).fingerprint != kept:
        raise CopyDamaged(why=f"{config.key_path} is not its key file")


def _go_back(config: Config, copy: Dump) -> None:
    """The copy in the place of what went wrong. PostgreSQL has taken a failed migration back by itself."""
    if config.sqlite_path is not None:
        _put_file_back(config.sqlite_path, copy.path)
        return
    with opened(config.sqlalchemy_url) as connection:
        if dumping.shape_of(connection) == copy.shape:
            return
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    name = f"{make_url(config.sqlalchemy_url).database}_back_{stamp}".lower()
    url = make_url(config.sqlalchemy_url).set(database=name).render_as_string(hide_password=False)
    dumping.make_database(config.sqlalchemy_url, name)
    dumping.undump(copy.path, url)
    restoring.swap_database(config.sqlalchemy_url, Ready(stamp, copy.path.name, name, 0))


def _put_file_back(database: Path, copy: Path) -> None:
    """The copy stays as well: it goes in as a new file, whole, by one rename."""
    draft = database.with_name(f"{database.name}.back")
    draft.write_bytes(b"")
    os.chmod(draft, 0o600)
    with copy.open("rb") as source, draft.open("wb") as target:
        while piece := source.read(2**20):
            target.write(piece)
        target.flush()
        os.fsync(target.fileno())
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(f"{database}{suffix}")
    os.replace(draft, database)
    sync_folder(database.parent)


def _words(error: Exception) -> str:
    if isinstance(error, Problem):
        return str(error.details.get("why", error.code))
    cause = getattr(error, "orig", None) if isinstance(error, SQLAlchemyError) else None
    return f"{type(error).__name__}: {cause or error}"[:300]


def _forget_old_copies(folder: Path) -> None:
    for old in sorted(folder.glob("*.copy"))[:-COPIES_KEPT]:
        old.unlink()
