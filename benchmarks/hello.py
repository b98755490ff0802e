"""What the bridge costs: a Flask hello through it, beside a bare ASGI hello on the same server.

    python -m benchmarks.hello
    python -m benchmarks.hello --url http://127.0.0.1:5000/healthz --count 20000 --in-flight 16

The server is a process of its own; the load generator shares the machine's cores with it. The server's CPU time for a
request says more than the rate when the machine has other work. The bridge over the standard library's thread pool is
measured beside ours, and a2wsgi where it is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.load import Result, request, run_once

COUNT, WARM_UP = 20_000, 2_000
IN_FLIGHT = (1, 16, 64)
START_S = 15.0


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """The least that an ASGI application can do."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


def flask_hello() -> Any:
    """The least that a Flask application can do."""
    from flask import Flask

    app = Flask("hello")
    app.add_url_rule("/", view_func=lambda: "hello")
    return app


def application(name: str) -> Any:
    """One of the applications that are compared."""
    if name == "bare ASGI":
        return bare
    if name == "Flask, a2wsgi":
        return importlib.import_module("a2wsgi").WSGIMiddleware(flask_hello(), workers=12)
    from bawaba.web import bridge

    if name == "Flask, executor":
        vars(bridge)["Threads"] = Executor
    return bridge.WsgiBridge(flask_hello())


class Executor:
    """What `bawaba.web.threads` would be on the standard library's pool, without its bound on who waits."""

    full = all_busy = False

    def __init__(self, count: int, queue_limit: int) -> None:
        self._pool = ThreadPoolExecutor(count)

    async def run(self, work: Any, argument: Any, receive: Any = None) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, argument)


def serve(name: str, port: int) -> None:
    """Be the server."""
    import uvicorn

    from bawaba.web.http_protocol import server_options

    options = {**server_options(), "lifespan": "off", "log_level": "warning"}
    uvicorn.run(application(name), host="127.0.0.1", port=port, **options)


@dataclass(frozen=True)
class Running:
    """A server in a process of its own."""

    port: int
    pid: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """The processor time that it has used until now."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def tell(self) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()


@contextmanager
def server(module: str, *arguments: str) -> Iterator[Running]:
    """Run `python -m module --port PORT arguments` until the block ends; it has begun to answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", module, "--port", str(port), *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{module} did not start") from None
                time.sleep(0.05)
        yield Running(port, process.pid, process)
    finally:
        process.terminate()
        process.wait()


def measure(name: str) -> dict[int, tuple[Result, float]]:
    """Load one application with each number of requests in flight; what came, and the CPU time of each request, us."""
    results = {}
    with server("benchmarks.hello", "--serve", name) as running:
        data = request("GET", "/")
        run_once("127.0.0.1", running.port, lambda _: data, WARM_UP, 16)
        for flight in IN_FLIGHT:
            before = running.cpu_seconds()
            result = run_once("127.0.0.1", running.port, lambda _: data, COUNT, flight)
            results[flight] = result, (running.cpu_seconds() - before) / COUNT * 1e6
    return results


def compare() -> None:
    """Print the table."""
    names = ["bare ASGI", "Flask, bridge", "Flask, executor"]
    names += ["Flask, a2wsgi"] * (importlib.util.find_spec("a2wsgi") is not None)
    floor: dict[int, tuple[Result, float]] = {}
    for name in names:
        results = measure(name)
        floor = floor or results
        for flight, (result, cpu_us) in results.items():
            ratio = result.rate / floor[flight][0].rate
            print(f"{name:15} {flight:3} in flight: {result}; {ratio:.2f} x bare ASGI; {cpu_us:.0f} us CPU", flush=True)


def load(url: str, count: int, in_flight: int) -> None:
    """Load any one address."""
    parts = urlsplit(url)
    data = request("GET", parts.path or "/", host=parts.netloc)
    print(run_once(parts.hostname or "127.0.0.1", parts.port or 80, lambda _: data, count, in_flight))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.port)
    elif options.url:
        load(options.url, options.count, options.in_flight)
    else:
        compare()


if __name__ == "__main__":
    main()
