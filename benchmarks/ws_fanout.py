"""One event to 1,000 `/ws` clients: when the last one has it, and what 1,000 of them cost in memory.

    python -m benchmarks.ws_fanout

The server is a process of its own, with the front, the hub and Socket.IO as in production; the clients are bare
sockets in this one. Two floors in the same run: an event loop that writes the same bytes to 1,000 plain sockets, and
`websockets.broadcast`. Times are on the kernel's monotonic clock, which both processes share.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from benchmarks.hello import server

CLIENTS, EVENTS, PAUSE_S = 1000, 20, 0.25
BUDGET_MS, BUDGET_MIB = 50, 15
SIGN_IN = json.dumps({"type": "auth", "token": "any"}).encode()
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SIGN_IN_FRAME = bytes([0x81, 0x80 | len(SIGN_IN), 0, 0, 0, 0]) + SIGN_IN  # a mask of zeros masks nothing


def event() -> dict[str, Any]:
    """A session's update as the product sends it, with the moment it began."""
    session = {
        "id": random.randrange(1 << 40),
        "voucher_id": 81,
        "voucher_serial": 100081,
        "router_id": 3,
        "site_id": 1,
        "client_mac": "02:00:00:00:00:01",
        "client_ip": "10.5.50.77",
        "start_time": "2026-01-10T12:00:00Z",
        "end_time": "2026-01-10T15:00:00Z",
        "bytes_up": 1_234_567,
        "bytes_down": 23_456_789,
        "terminate_cause": None,
    }
    return {"type": "session_update", "session": session, "sent": time.monotonic()}


# The server's side


def serve(kind: str, port: int) -> None:
    """Be one of the three servers, which sends an event each quarter of a second once it is told to."""
    {"bawaba": serve_bawaba, "bare loop": serve_bare, "websockets": serve_websockets}[kind](port)


def when_told(send: Any) -> None:
    """Wait for a line on the standard input, then send the events from a thread, as services do."""

    def run() -> None:
        sys.stdin.readline()
        for _ in range(EVENTS):
            send(event())
            time.sleep(PAUSE_S)

    threading.Thread(target=run, daemon=True).start()


def serve_bawaba(port: int) -> None:
    import uvicorn
    from flask import Flask

    from bawaba.core.broadcast import Audience
    from bawaba.core.clock import SystemClock
    from bawaba.core.config import Config
    from bawaba.core.database import Database
    from bawaba.core.keyring import Keyring
    from bawaba.core.runtime import Runtime
    from bawaba.realtime.audience import Identity
    from bawaba.realtime.service import Realtime
    from bawaba.web.asgi import Front
    from bawaba.web.bridge import WsgiBridge
    from bawaba.web.http_protocol import server_options
    from bawaba.web.static_files import StaticFiles

    folder = Path(tempfile.mkdtemp(prefix="bawaba-fanout-"))
    clock, config = SystemClock(), Config.from_env({"BAWABA_DATA_DIR": str(folder)})
    database = Database(config.sqlalchemy_url, rng=random.Random(7))
    rt = Runtime(config, clock, random.Random(7), database, Keyring.open(folder / "bawaba.key"))
    someone = Identity(1, frozenset({"operators"}), frozenset({1, 2, 3}), clock.now() + timedelta(hours=1))

    async def let_in(_: Any) -> Identity:
        return someone

    realtime = Realtime(rt, Flask("fanout"), authenticate_cookie=let_in, authenticate_token=let_in)
    front = Front(
        WsgiBridge(Flask("fanout")),
        static=StaticFiles(),
        websocket=realtime.websocket,
        socketio=realtime.socketio_server,
        startup=[realtime.start],
        shutdown=[realtime.stop],
    )
    audience = Audience(frozenset({"operators"}), 1)
    when_told(lambda body: realtime.hub.publish(body, audience))
    uvicorn.run(front, host="127.0.0.1", port=port, **{**server_options(), "log_level": "warning"})


def serve_bare(port: int) -> None:
    """The floor: what an event loop needs to write the bytes of one frame to each socket."""
    import orjson
    import uvloop

    transports: list[asyncio.Transport] = []

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._transport = cast(asyncio.Transport, transport)

        def data_received(self, data: bytes) -> None:
            if data.startswith(b"GET"):
                transports.append(self._transport)
                self._transport.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")

    def send_all(body: dict[str, Any]) -> None:
        text = orjson.dumps(body)
        frame = bytes([0x81, 126]) + len(text).to_bytes(2, "big") + text
        for transport in transports:
            transport.write(frame)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        when_told(lambda body: loop.call_soon_threadsafe(send_all, body))
        await (await loop.create_server(Accepted, "127.0.0.1", port, backlog=2048)).serve_forever()

    uvloop.run(run())


def serve_websockets(port: int) -> None:
    """The library's own way to tell everybody."""
    import uvloop
    from websockets.asyncio.server import ServerConnection, broadcast
    from websockets.asyncio.server import serve as listen

    clients: set[ServerConnection] = set()

    async def handle(client: ServerConnection) -> None:
        clients.add(client)
        await client.wait_closed()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        when_told(lambda body: loop.call_soon_threadsafe(lambda: broadcast(clients, json.dumps(body))))
        async with listen(handle, "127.0.0.1", port, compression=None) as running:
            await running.serve_forever()

    uvloop.run(run())


# The clients' side


class Client(asyncio.Protocol):
    """A bare WebSocket: counts frames, and notes when each event came."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals, self._buffer, self._upgraded = arrivals, b"", False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded:
            if b"\r\n\r\n" not in self._buffer:
                return
            self._buffer = self._buffer.partition(b"\r\n\r\n")[2]
            self._upgraded = True
            assert self._transport is not None
            self._transport.write(SIGN_IN_FRAME)
            self._arrivals.connected()
        while (frame := self._frame()) is not None:
            if b'"session_update"' in frame[:26]:
                self._arrivals.came(frame)

    def _frame(self) -> bytes | None:
        if len(self._buffer) < 2:
            return None
        length, at = self._buffer[1], 2
        if length == 126:
            length, at = int.from_bytes(self._buffer[2:4], "big"), 4
        if len(self._buffer) < at + length:
            return None
        frame, self._buffer = self._buffer[at : at + length], self._buffer[at + length :]
        return frame


class Arrivals:
    """How many have each event, and how long after its beginning the last one had it."""

    def __init__(self) -> None:
        self.last_ms: list[float] = []
        self._count = self._connected = 0
        self.ready, self.over = asyncio.Event(), asyncio.Event()

    def connected(self) -> None:
        self._connected += 1
        if self._connected == CLIENTS:
            self.ready.set()

    def came(self, frame: bytes) -> None:
        self._count += 1
        if self._count == CLIENTS:
            self.last_ms.append((time.monotonic() - json.loads(frame)["sent"]) * 1000)
            self._count = 0
            if len(self.last_ms) == EVENTS:
                self.over.set()


async def listen_to(port: int, process: int, tell: Any) -> tuple[list[float], float]:
    """Connect the clients, have the events sent; the times of the last client, and the memory of all, MiB."""
    loop = asyncio.get_running_loop()
    before = resident_mib(process)
    arrivals = Arrivals()
    for _ in range(CLIENTS // 50):
        clients = [loop.create_connection(lambda: Client(arrivals), "127.0.0.1", port) for _ in range(50)]
        await asyncio.gather(*clients)
    await asyncio.wait_for(arrivals.ready.wait(), 30)
    await asyncio.sleep(1)
    after = resident_mib(process)
    gc.freeze()
    tell()
    await asyncio.wait_for(arrivals.over.wait(), EVENTS * (PAUSE_S + 2))
    return arrivals.last_ms, after - before


def resident_mib(process: int) -> float:
    """The memory that a process has in use."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def measure(kind: str) -> tuple[list[float], float]:
    """Run one server with all its clients."""
    import uvloop

    with server("benchmarks.ws_fanout", "--serve", kind) as running:
        return uvloop.run(listen_to(running.port, running.pid, running.tell))


def compare() -> None:
    """Print the table."""
    print(f"one event of {len(json.dumps(event()))} bytes to {CLIENTS} clients, {EVENTS} times: the last client has it")
    floor = 0.0
    for kind in ("bare loop", "websockets", "bawaba"):
        times, memory = measure(kind)
        middle = statistics.median(times)
        floor = floor or middle
        print(
            f"{kind:10} p50 {middle:6.1f} ms, max {max(times):6.1f} ms, {middle / floor:4.1f} x the bare loop; "
            f"{memory:5.1f} MiB for the {CLIENTS}",
            flush=True,
        )
    met = "met" if middle <= BUDGET_MS and memory <= BUDGET_MIB else "NOT met"
    print(f"budget: p50 <= {BUDGET_MS} ms and <= {BUDGET_MIB} MiB: {met}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.port)
    else:
        compare()


if __name__ == "__main__":
    main()
