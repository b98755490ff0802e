"""Real servers for the tests, each started once a run on a free port and stopped when the run ends, however it ends."""

from __future__ import annotations

import ctypes
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from tests import needs

START_S = 30.0
STOP_S = 15.0
PR_SET_PDEATHSIG = 1  # prctl(2)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(command: Sequence[str], ready: Callable[[], object], log: Path, **popen: Any) -> Iterator[None]:
    """Run a server until the block ends. `ready` raises as long as it does not answer.

    The kernel stops the server too when the test run is killed (prctl PR_SET_PDEATHSIG).
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, preexec_fn=_die_with_parent, **popen)
    try:
        _wait_until(ready, process, log)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _wait_until(ready: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            ready()
            return
        except (OSError, psycopg.OperationalError, redis.ConnectionError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"did not start: {log.read_text()[-2000:]}") from error
            time.sleep(0.02)


class PostgresServer:
    """A PostgreSQL cluster of our own. Each test gets a new database, copied from a template."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._names = (f"test_{number}" for number in itertools.count(1))
        self._templates: dict[str, str] = {}
        self.crash: Callable[[], object] = lambda: None  # end at once, as if the power had gone
        self.start: Callable[[], object] = lambda: None  # and run again

    def url(self, name: str) -> str:
        """The SQLAlchemy address of one database."""
        return f"postgresql+psycopg://bawaba@127.0.0.1:{self.port}/{name}"

    def run(self, statement: str) -> None:
        """Run one statement as the superuser, outside a transaction."""
        with psycopg.connect(
            f"host=127.0.0.1 port={self.port} user=bawaba dbname=postgres", autocommit=True
        ) as connection:
            connection.execute(statement.encode())

    def template(self, name: str, prepare: Callable[[str], object]) -> str:
        """Make a template database once a run: `prepare(url)` fills it. Returns its name for `database`."""
        if name not in self._templates:
            self.run(f'CREATE DATABASE "{name}"')
            prepare(self.url(name))
            self._templates[name] = name
        return name

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """A new database for the block; gives its address."""
        name = next(self._names)
        self.run(f'CREATE DATABASE {name} TEMPLATE "{template}"')
        try:
            yield self.url(name)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for the block, durable as in production."""
    programs = needs.postgres_programs()
    if programs is None:
        raise FileNotFoundError("PostgreSQL's server programs are not installed")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(_folder("bawaba-postgres-")))
        popen = _unprivileged(folder)
        initdb = f"--pgdata={folder}/data --username=bawaba --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync"
        made = subprocess.run(
            [programs / "initdb", *initdb.split()], capture_output=True, text=True, check=False, **popen
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")
        running = PostgresServer(free_port())
        options = f"-D {folder}/data -p {running.port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
        command = [str(programs / "postgres"), *options.split()]
        crash = [str(programs / "pg_ctl"), "stop", "-m", "immediate", "-D", f"{folder}/data"]
        running.crash = lambda: subprocess.run(crash, check=True, capture_output=True, **popen)
        running.start = lambda: stack.enter_context(
            server(command, lambda: running.run("SELECT 1"), folder / "log", **popen)
        )
        running.start()
        yield running


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The run's PostgreSQL."""
    needs.require("postgres")
    with running_postgres() as running:
        yield running


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty PostgreSQL database that this test has for itself."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database; the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'bawaba.db'}"
    return str(request.getfixturevalue("postgres_url"))


@contextmanager
def running_redis() -> Iterator[str]:
    """A Redis for the block; gives its address."""
    with _folder("bawaba-redis-") as folder:
        port = free_port()
        url = f"redis://127.0.0.1:{port}/0"
        options = f"--port {port} --bind 127.0.0.1 --appendonly no --dir {folder}"
        command = ["redis-server", *options.split(), "--save", ""]
        with redis.Redis.from_url(url) as client, server(command, client.ping, Path(folder, "log")):
            yield url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The address of the run's Redis."""
    needs.require("redis")
    with running_redis() as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The address of an empty Redis."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@contextmanager
def running_s3() -> Iterator[S3Bucket]:
    """An S3 server with one bucket for the block: JuiceFS's gateway, which is MinIO's front."""
    with _folder("bawaba-s3-") as folder:
        program = Path(sys.executable).with_name("juicefs")
        meta, port = f"sqlite3://{folder}/meta.db", free_port()
        bucket = S3Bucket("bawaba-backups", f"http://127.0.0.1:{port}", "an-access-key", "a-secret-key")
        options = f"--no-update --storage file --bucket {folder}/objects/ --trash-days 0"
        format_it = [str(program), "format", *options.split(), meta, bucket.name]
        subprocess.run(format_it, check=True, capture_output=True)
        serve = (
            f"--no-usage-report --no-banner --keep-etag --backup-meta 0 --cache-dir {folder}/cache --log {folder}/log"
        )
        command = [str(program), "gateway", *serve.split(), meta, f"127.0.0.1:{port}"]
        environ = {**os.environ, "MINIO_ROOT_USER": bucket.access_key, "MINIO_ROOT_PASSWORD": bucket.secret_key}
        ready = f"{bucket.endpoint}/minio/health/live"
        with server(command, lambda: urllib.request.urlopen(ready, timeout=2), Path(folder, "output"), env=environ):
            yield bucket


@dataclass(frozen=True)
class S3Bucket:
    """A bucket, and the keys to it."""

    name: str
    endpoint: str
    access_key: str
    secret_key: str


@pytest.fixture(scope="session")
def s3_bucket() -> Iterator[S3Bucket]:
    """The run's bucket."""
    with running_s3() as bucket:
        yield bucket


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium (Playwright's synchronous `Browser`). A module's own: its event loop would disturb others."""
    needs.require("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=needs.chromium_path(), args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield chromium
        chromium.close()


@contextmanager
def _folder(prefix: str) -> Iterator[str]:
    """A folder that other users can reach, unlike pytest's own. Those of runs that were killed are removed too."""
    for left_behind in Path(tempfile.gettempdir()).glob(f"{prefix}*-*"):
        if not Path("/proc", left_behind.name.removeprefix(prefix).partition("-")[0]).exists():
            shutil.rmtree(left_behind, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged(folder: Path) -> dict[str, Any]:
    """How to start a program that refuses to be root: as Debian's postgres user, else as nobody; `folder` is theirs."""
    if os.geteuid() != 0:
        return {"cwd": folder}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, user.pw_uid, user.pw_gid)
        return {"cwd": folder, "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise RuntimeError("neither a postgres nor a nobody user exists to run PostgreSQL as")
