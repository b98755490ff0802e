"""The product as its users meet it: real server processes on a database of their own, filled with what a row needs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bawaba import migrations, wiring
from bawaba.accounts import people
from bawaba.core.config import Config
from bawaba.core.runtime import Runtime
from tests.cast import Cast
from tests.services import free_port, running_postgres

START_S = 20.0
ADMIN = "hana"
PASSWORD = "a-long-password"
BESIDE = """
import os
from bawaba.core.config import Config
from bawaba.server import serve
from bawaba.web.listening import listening

config = Config.from_env(os.environ)
with listening(config.host, config.port) as sockets:
    serve(config, sockets)
"""


@dataclass
class Product:
    """Running servers, and a Runtime beside them to fill the database with."""

    ports: list[int]
    rt: Runtime
    cast: Cast
    processes: list[subprocess.Popen[bytes]]

    @property
    def port(self) -> int:
        """The first server's."""
        return self.ports[0]


@contextmanager
def product(
    database: str = "sqlite", processes: int = 1, settings: Mapping[str, str] | None = None
) -> Iterator[Product]:
    """`database` is sqlite or postgresql; `settings` are more of the servers'."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bawaba-bench-")))
        url = ""
        if database == "postgresql":
            server = stack.enter_context(running_postgres())
            url = stack.enter_context(server.database())
        config = Config(
            data_dir=folder,
            database_url=url,
            public_url="http://login.wifi",
            admin_username=ADMIN,
            admin_password=PASSWORD,
        )
        migrations.migrate(config.sqlalchemy_url)
        rt = wiring.build(config)
        stack.callback(wiring.stop, rt)
        people.ensure_admin(rt)
        cast = Cast(rt)
        ports = [free_port() for _ in range(processes)]
        started = [
            stack.enter_context(serving(folder, url, port, beside=number > 0, settings=settings))
            for number, port in enumerate(ports)
        ]
        yield Product(ports, rt, cast, started)


@contextmanager
def serving(
    folder: Path, url: str, port: int, *, beside: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """One `bawaba serve` until the block ends; it answers when the block begins.

    `beside` another one of the same data, which the command itself refuses on SQLite.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BAWABA_")}
    environ |= {"BAWABA_DATA_DIR": str(folder), "BAWABA_PORT": str(port), "BAWABA_LOG_LEVEL": "error"}
    environ |= {"BAWABA_PUBLIC_URL": "http://login.wifi"} | dict(settings or {})
    if url:
        environ["BAWABA_DATABASE_URL"] = url
    words = ["-c", BESIDE] if beside else ["-m", "bawaba", "serve"]
    process = subprocess.Popen([sys.executable, *words], env=environ, stdout=subprocess.DEVNULL, stderr=None)
    try:
        wait_for_answer(port)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_answer(port: int) -> None:
    """Wait for the first good answer of `/healthz`, 20 s at most."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
                return
        except (OSError, urllib.error.URLError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
