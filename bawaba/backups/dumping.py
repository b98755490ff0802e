"""A whole copy of the database as one file, consistent while others write, and the way back from it.

SQLite: `VACUUM INTO`. PostgreSQL: `pg_dump -Fc` in an exported snapshot, in which the walk is made too, so that what is
dumped and what is counted are one moment.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from bawaba.backups.errors import CopyDamaged, DumpFailed, ProgramMissing, RightMissing, TooSlow
from bawaba.backups.walk import Walk, walk
from bawaba.core.config import Config
from bawaba.core.runtime import Runtime

Beat = Callable[[], object]
NO_BEAT: Beat = lambda: None  # noqa: E731 the shortest way to say that nobody waits
INTERRUPT_EVERY_S = 1.0
NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})


@dataclass(frozen=True, slots=True)
class Dump:
    """A copy on this machine's disk. `kind` is sqlite or postgresql; `shape` the newest migration in it."""

    path: Path
    kind: str
    shape: str
    walked: Walk


def kind_of(url: str) -> str:
    """sqlite or postgresql."""
    return "sqlite" if url.startswith("sqlite") else "postgresql"


def dump(config: Config, path: Path, beat: Beat = NO_BEAT) -> Dump:
    """Copy the database into `path`, which must not be there yet. `beat` may raise to end it.

    Raises `DumpFailed`, `ProgramMissing`, `OSError` (no room).
    """
    url = config.sqlalchemy_url
    return _dump_sqlite(config.sqlite_path, path, beat) if kind_of(url) == "sqlite" else _dump_pg(url, path, beat)


def undump(dumped: Path, url: str, beat: Beat = NO_BEAT) -> None:
    """Put a copy back as the database at `url`: a file that is not there yet, or an empty PostgreSQL database."""
    if kind_of(url) == "postgresql":
        program = _program("pg_restore")
        words = [program, "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
        _run([*words, f"--dbname={make_url(url).database}", str(dumped)], url, beat)
        return
    os.replace(dumped, str(make_url(url).database))


@contextmanager
def opened(url: str) -> Iterator[Connection]:
    """A connection to look at a database with."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def sound_walk(url: str, beat: Beat = NO_BEAT) -> Walk:
    """The walk of a database that was put back; SQLite's own check of its pages comes first. Raises `CopyDamaged`."""
    with opened(url) as connection:
        if kind_of(url) == "sqlite":
            _check_pages(connection, beat)
        return walk(connection, beat)


def shape_of(connection: Connection) -> str:
    """The newest migration of a database."""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())


# --- SQLite -----------------------------------------------------------------------------------------------------------


def _dump_sqlite(source: Path | None, path: Path, beat: Beat) -> Dump:
    assert source is not None
    connection = sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None)
    try:
        with _interrupted_by(beat, connection):
            connection.execute("VACUUM INTO ?", [str(path)])
    except sqlite3.Error as error:
        raise _honest(error) from error
    finally:
        connection.close()
    url = f"sqlite:///{path}"
    with opened(url) as copy:
        _check_pages(copy, beat)
        return Dump(path, "sqlite", shape_of(copy), walk(copy, beat))


def _honest(error: sqlite3.Error) -> Exception:
    if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in NO_ROOM:
        return OSError(28, str(error))
    return TooSlow() if "interrupted" in str(error) else DumpFailed(why=str(error))


def _check_pages(connection: Connection, beat: Beat) -> None:
    raw: Any = connection.connection.driver_connection
    with _interrupted_by(beat, raw):
        said = raw.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if said != "ok":
        raise CopyDamaged(why=said)


@contextmanager
def _interrupted_by(beat: Beat, connection: sqlite3.Connection) -> Iterator[None]:
    """Ask `beat` beside one long statement; when it raises, the statement ends and the block raises it."""
    over, raised = threading.Event(), []

    def watch() -> None:
        while not over.wait(INTERRUPT_EVERY_S):
            try:
                beat()
            except Exception as error:  # noqa: BLE001 it is raised again below, in the caller's thread
                raised.append(error)
                connection.interrupt()
                return

    thread = threading.Thread(target=watch, name="backup-watch", daemon=True)
    thread.start()
    try:
        yield
    except sqlite3.OperationalError:
        if raised:
            raise raised[0] from None
        raise
    finally:
        over.set()
        thread.join()


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def _dump_pg(url: str, path: Path, beat: Beat) -> Dump:
    program = _program("pg_dump")
    engine = create_engine(url, isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection:
            snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar()
            words = [program, "--format=custom", "--compress=0", "--no-owner", "--no-privileges"]
            _run([*words, f"--snapshot={snapshot}", f"--file={path}"], url, beat)
            return Dump(path, "postgresql", shape_of(connection), walk(connection, beat))
    finally:
        engine.dispose()


def _run(command: list[str], url: str, beat: Beat) -> None:
    """Run a program of PostgreSQL's; its password goes by the environment. Raises `DumpFailed`, `ProgramMissing`."""
    environ = {**os.environ, **_pg_environ(make_url(url))}
    process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        said = ""
        while process.poll() is None:
            try:
                said = process.communicate(timeout=INTERRUPT_EVERY_S)[1]
            except subprocess.TimeoutExpired:
                beat()
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise _of_program(said)


def _of_program(said: str) -> Exception:
    if "No space left" in said:
        return OSError(28, said.strip()[-300:])
    if "server version mismatch" in said or "unsupported version" in said:
        return ProgramMissing(why=said.strip()[-300:])
    return DumpFailed(why=said.strip()[-300:])


def _pg_environ(url: URL) -> dict[str, str]:
    """libpq's variables (PostgreSQL manual, 34.15)."""
    named = {
        "PGHOST": url.host,
        "PGPORT": str(url.port or ""),
        "PGUSER": url.username,
        "PGPASSWORD": str(url.password or ""),
        "PGDATABASE": url.database,
        "PGCONNECT_TIMEOUT": "10",
        **{f"PG{name.upper()}": str(value) for name, value in url.query.items() if name in PASSED_ON},
    }
    return {name: str(value) for name, value in named.items() if value}


PASSED_ON = ("sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port")


def _program(name: str) -> str:
    """The newest that is installed: an older pg_dump refuses a newer server."""
    debian = sorted(glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda path: float(Path(path).parts[4]))
    found = debian[-1] if debian else shutil.which(name)
    if found is None:
        raise ProgramMissing()
    return found


@contextmanager
def server_of(url: str) -> Iterator[Connection]:
    """A connection to the same PostgreSQL server that stands in no transaction and not in the database itself."""
    for maintenance in ("postgres", "template1"):
        engine = create_engine(make_url(url).set(database=maintenance), isolation_level="AUTOCOMMIT")
        try:
            connection = engine.connect()
        except SQLAlchemyError:
            engine.dispose()
            continue
        try:
            yield connection
        finally:
            connection.close()
            engine.dispose()
        return
    raise RightMissing()


@contextmanager
def scratch(rt: Runtime, folder: Path, name: str) -> Iterator[str]:
    """The address of an empty database for a while: a file in `folder`, or PostgreSQL's. Raises `RightMissing`."""
    url = rt.config.sqlalchemy_url
    if kind_of(url) == "sqlite":
        path = folder / f"{name}.db"
        try:
            yield f"sqlite:///{path}"
        finally:
            for left in folder.glob(f"{path.name}*"):
                left.unlink(missing_ok=True)
        return
    make_database(url, name)
    try:
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        drop_database(url, name)


def make_database(url: str, name: str) -> None:
    """An empty database on the same server. Raises `RightMissing`."""
    with server_of(url) as server:
        try:
            server.execute(text(f'CREATE DATABASE "{name}" TEMPLATE template0'))
        except SQLAlchemyError as error:
            if getattr(getattr(error, "orig", None), "sqlstate", "") == "42501":
                raise RightMissing() from error
            raise


def drop_database(url: str, name: str) -> None:
    """Take one of those away again, whoever is connected; no harm if there is none."""
    with server_of(url) as server:
        server.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
