"""A real uvicorn in a thread of the test, with the options that the product runs it with."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvicorn

from bawaba.web.http_protocol import server_options


@dataclass(frozen=True)
class Served:
    """Where an application answers."""

    port: int
    server: uvicorn.Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self.server.server_state.connections)


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[Served]:
    """Serve an ASGI application on a free port until the block ends."""
    settings = {**server_options(), "lifespan": "auto", "timeout_graceful_shutdown": 1, "port": 0, **options}
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", **settings))
    thread = threading.Thread(target=_run, args=[server], daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the server did not start")
        time.sleep(0.005)
    try:
        yield Served(server.servers[0].sockets[0].getsockname()[1], server)
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive(), "the server did not stop"


def _run(server: uvicorn.Server) -> None:
    with suppress(SystemExit):  # uvicorn's way to say that the start failed
        server.run()
