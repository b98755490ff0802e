"""Putting a backup back. First everything is made ready beside the running system; then the old makes way for it.

What is ready lies in the folder `restore` of the data folder. The swap is a few renames, which whoever starts next
finishes if the power goes between them. The old database and pictures are kept under new names, never overwritten.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import orjson
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.orm import Session

from bawaba import migrations
from bawaba.backups import archive, dumping
from bawaba.backups.archive import DATABASES, Manifest
from bawaba.backups.dumping import kind_of, server_of, sound_walk
from bawaba.backups.errors import BackupRunning, CopyDamaged, OtherDatabase, TooNew, WrongKeyFile
from bawaba.backups.models import BackupRun
from bawaba.backups.ready import FOLDER, READY, RESTORED, Ready, pending
from bawaba.backups.stores import sync_folder
from bawaba.backups.walk import differences
from bawaba.core import facts
from bawaba.core.config import Config
from bawaba.core.keyring import Keyring

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
Told = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Swapped:
    """Where the old things went."""

    ready: Ready
    old_database: str
    old_pictures: str


def prepare(
    config: Config, source: Path, identity: Any, *, other_key: bool = False, told: Told = lambda step: None
) -> Ready:
    """Open a backup and make it ready: walked against its manifest, and brought to this program's shape.

    Nothing that is in use is touched. `other_key` takes it though the key file here is another one. Raises
    `WrongIdentity`, `NotABackup`, `OtherDatabase`, `TooNew`, `WrongKeyFile`, `CopyDamaged`, `RightMissing`,
    `BackupRunning` (another restore), `OSError`.
    """
    with _alone(config):
        folder = config.data_dir / FOLDER
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            return _prepare(config, folder, source, identity, other_key, told)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def swap(config: Config) -> Swapped | None:
    """Put what is ready in its place; None where nothing is. On SQLite only by who holds the data (`sole_server`)."""
    ready = pending(config)
    if ready is None:
        return None
    if config.sqlite_path is not None:
        old = _swap_file(config.sqlite_path, config.data_dir / FOLDER / "bawaba.db", ready.stamp)
    else:
        old = swap_database(config.sqlalchemy_url, ready)
    pictures = _swap_pictures(config.data_dir, ready.stamp)
    shutil.rmtree(config.data_dir / FOLDER)
    sync_folder(config.data_dir)
    return Swapped(ready, old, pictures)


def _prepare(config: Config, folder: Path, source: Path, identity: Any, other_key: bool, told: Told) -> Ready:
    told("open")
    digest = hashlib.sha256()
    with source.open("rb") as file:
        accept = _acceptance(config, other_key)
        manifest = archive.unpack(_Hashed(file, digest), identity, folder, accept, lambda: None)
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    told("database")
    name, url = _new_database(config, folder, manifest, stamp)
    try:
        told("compare")
        found = sound_walk(url)
        if wrong := differences(manifest.tables, found):
            raise CopyDamaged(why="; ".join(wrong))
        rows = sum(tally.rows for tally in found.values())
        told("migrate")
        migrations.migrate(url)
        _finish(config, url, manifest, source, digest.hexdigest(), stamp, rows)
    except BaseException:
        if name:
            dumping.drop_database(config.sqlalchemy_url, name)
        raise
    ready = Ready(stamp, source.name, name, rows)
    _write_ready(folder, ready)
    return ready


def _acceptance(config: Config, other_key: bool) -> Callable[[Manifest], None]:
    def accept(manifest: Manifest) -> None:
        here = kind_of(config.sqlalchemy_url)
        if manifest.database != here:
            raise OtherDatabase(of=NAMES[manifest.database], here=NAMES[here])
        if not migrations.is_known(manifest.shape):
            raise TooNew(shape=f"{manifest.version}, {manifest.shape}")
        ours = Keyring.open(config.key_path).fingerprint if config.key_path.exists() else "—"
        if manifest.key_fingerprint != ours and not other_key:
            raise WrongKeyFile(here=ours, of=manifest.key_fingerprint)

    return accept


def _new_database(config: Config, folder: Path, manifest: Manifest, stamp: str) -> tuple[str, str]:
    """The new database's name on PostgreSQL, and its address."""
    dumped = folder / DATABASES[manifest.database]
    if manifest.database == "sqlite":
        url = f"sqlite:///{folder / 'bawaba.db'}"
        dumping.undump(dumped, url)
        return "", url
    name = f"{make_url(config.sqlalchemy_url).database}_new_{stamp}".lower()
    url = make_url(config.sqlalchemy_url).set(database=name).render_as_string(hide_password=False)
    dumping.make_database(config.sqlalchemy_url, name)
    try:
        dumping.undump(dumped, url)
    except BaseException:
        dumping.drop_database(config.sqlalchemy_url, name)
        raise
    dumped.unlink()
    return name, url


def _finish(config: Config, url: str, manifest: Manifest, source: Path, sha256: str, stamp: str, rows: int) -> None:
    """Say in the database that it was restored, and that the run it comes from, under way in it, was a good one."""
    engine = create_engine(url)
    with engine.connect() as connection, connection.begin():
        db = Session(connection)
        run = db.get(BackupRun, manifest.run_id)
        if run is not None and run.state == "running":
            local = config.backup_path / run.file
            run.state, run.ended_at, run.lease_owner = "confirmed", run.started_at, None
            run.sha256, run.size_bytes = sha256, source.stat().st_size
            run.shape, run.key_fingerprint, run.row_count = manifest.shape, manifest.key_fingerprint, rows
            run.stored = [{"store": "local", "path": str(local)}] if local.exists() else []
        facts.remember(db, RESTORED, stamp)
        facts.remember(db, facts.KEY, Keyring.open(config.key_path).fingerprint)
        db.flush()
    engine.dispose()
    if kind_of(url) == "sqlite":
        _close_journal(Path(str(make_url(url).database)))


def _close_journal(path: Path) -> None:
    """One file holds everything again (the migrations had opened a write-ahead log), and it is on the disk."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _write_ready(folder: Path, ready: Ready) -> None:
    (folder / "cards").mkdir(mode=0o700, exist_ok=True)  # those of cards that are not in the backup must go as well
    draft = folder / f"{READY}.new"
    draft.write_bytes(orjson.dumps(asdict(ready)))
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(draft, folder / READY)
    sync_folder(folder)
    sync_folder(folder.parent)


def _swap_file(database: Path, new: Path, stamp: str) -> str:
    """After each rename the rest can still be done: the log goes first, then its file, then the new one comes."""
    old = database.with_name(f"{database.name}.before-{stamp}")
    if new.exists():
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.rename(f"{database}{suffix}", f"{old}{suffix}")
        sync_folder(database.parent)
        os.rename(new, database)
        sync_folder(database.parent)
    return str(old) if old.exists() else ""


def _swap_pictures(data: Path, stamp: str) -> str:
    new, now, old = data / FOLDER / "cards", data / "cards", data / f"cards.before-{stamp}"
    if new.exists():
        if now.exists():
            os.rename(now, old)
        os.rename(new, now)
        sync_folder(data)
    return str(old) if old.exists() else ""


def swap_database(url: str, ready: Ready) -> str:
    """Rename both, with everybody sent away; processes that were connected come back to the new one by themselves."""
    name = str(make_url(url).database)
    old = f"{name}_before_{ready.stamp}".lower()
    with server_of(url) as server:
        there = set(server.execute(text("SELECT datname FROM pg_database")).scalars())
        if ready.database in there and name in there:
            server.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
            ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name"
            server.execute(text(ended), {"name": name})
            server.execute(text(f'ALTER DATABASE "{name}" RENAME TO "{old}"'))
        if ready.database in there:
            server.execute(text(f'ALTER DATABASE "{ready.database}" RENAME TO "{name}"'))
        if old in set(server.execute(text("SELECT datname FROM pg_database")).scalars()):
            server.execute(text(f'ALTER DATABASE "{old}" ALLOW_CONNECTIONS true'))
            return old
    return ""


@contextmanager
def _alone(config: Config) -> Iterator[None]:
    """One restore at a time. Raises `BackupRunning`."""
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(config.data_dir / "restore.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise BackupRunning() from error
    finally:
        os.close(handle)


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes], digest: Any) -> None:
        self._file, self._digest = file, digest

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._digest.update(piece)
        return piece
