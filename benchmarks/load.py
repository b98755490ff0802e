"""A small HTTP/1.1 load generator: keep-alive connections, one process, asyncio.

Benchmarks call `run` with a factory that makes the bytes of each request. To load any one address by hand:

    python -m benchmarks.hello --url http://127.0.0.1:5000/healthz --count 20000 --in-flight 16
"""

from __future__ import annotations

import asyncio
import gc
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

RequestFactory = Callable[[int], bytes]
AnswerHandler = Callable[[int, int, bytes], None]


@dataclass
class Result:
    """What `run` saw. Times are from the request's first byte out to the answer's last byte in."""

    seconds: float = 0.0
    times_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.times_ms) / self.seconds if self.seconds else 0.0

    def percentile(self, percent: float) -> float:
        """The time, in ms, that so many percent of the answers did not exceed."""
        ordered = sorted(self.times_ms)
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan

    def __str__(self) -> str:
        statuses = " ".join(f"{status}:{number}" for status, number in sorted(self.statuses.items()))
        broken = f", {self.broken} broken connections" if self.broken else ""
        times = f"p50 {self.percentile(50):.2f} ms, p99 {self.percentile(99):.2f} ms, max {self.percentile(100):.2f} ms"
        return f"{self.rate:,.0f}/s, {times} ({statuses}{broken})"


def request(
    method: str, path: str, *, host: str = "127.0.0.1", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> bytes:
    """The bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method in {"POST", "PUT", "PATCH"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Connection(asyncio.Protocol):
    """One keep-alive connection that asks, waits for the whole answer, and asks again."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._buffer = b""
        self._number = -1
        self._begun = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are no subclass of it
        self._ask()

    def _ask(self) -> None:
        assert self._transport is not None
        self._number = self._run.next_number()
        if self._number < 0:
            self._transport.close()
            return
        data = self._run.factory(self._number)
        self._begun = time.perf_counter()
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        status = int(head[9:12])
        length, whole = _body_length(head, status), False
        if length is None:
            whole = self._buffer.endswith(b"0\r\n\r\n")
        else:
            whole = len(self._buffer) >= end + 4 + length
        if not whole:
            return
        self._run.answered(self._number, self._begun, status, self._buffer[end + 4 :])
        self._buffer, self._number = b"", -1
        if b"\r\nconnection: close" in head:
            return  # the server closes, and `connection_lost` opens another
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.closed(unanswered=self._number >= 0)


def _body_length(head: bytes, status: int) -> int | None:
    """The length of the answer's body; None when it comes in chunks."""
    at = head.find(b"\r\ncontent-length:")
    if at >= 0:
        return int(head[at + 17 :].split(b"\r\n", 1)[0])
    return None if b"\r\ntransfer-encoding: chunked" in head and status not in {204, 304} else 0


class _Run:
    def __init__(
        self, host: str, port: int, factory: RequestFactory, count: int, on_answer: AnswerHandler | None
    ) -> None:
        self._host, self._port = host, port
        self.factory = factory
        self._count, self._next, self._open = count, 0, 0
        self._on_answer = on_answer
        self.result = Result()
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    def next_number(self) -> int:
        if self._next >= self._count:
            return -1
        self._next += 1
        return self._next - 1

    def answered(self, number: int, begun: float, status: int, body: bytes) -> None:
        self.result.times_ms.append((time.perf_counter() - begun) * 1000)
        self.result.statuses[status] += 1
        if self._on_answer is not None:
            self._on_answer(number, status, body)

    async def connect(self) -> None:
        self._open += 1
        try:
            await asyncio.get_running_loop().create_connection(lambda: _Connection(self), self._host, self._port)
        except OSError:
            self.closed(unanswered=True)

    def closed(self, *, unanswered: bool) -> None:
        self._open -= 1
        self.result.broken += unanswered
        if self._next < self._count and self.result.broken < 1000:
            task = asyncio.ensure_future(self.connect())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif self._open == 0 and not self._over.done():
            self._over.set_result(None)

    async def finish(self) -> None:
        await self._over


async def run(
    host: str,
    port: int,
    factory: RequestFactory,
    count: int,
    in_flight: int,
    on_answer: AnswerHandler | None = None,
) -> Result:
    """Send `count` requests over `in_flight` connections; `factory(number)` makes the bytes of each.

    `on_answer(number, status, body)` sees each answer. A connection that breaks is opened again and counted.
    """
    this = _Run(host, port, factory, count, on_answer)
    gc.collect()
    gc.disable()  # its pauses would be booked to the server
    begun = time.perf_counter()
    try:
        await asyncio.gather(*(this.connect() for _ in range(min(in_flight, count))))
        await this.finish()
    finally:
        gc.enable()
    this.result.seconds = time.perf_counter() - begun
    return this.result


def run_once(
    host: str, port: int, factory: RequestFactory, count: int, in_flight: int, on_answer: AnswerHandler | None = None
) -> Result:
    """`run` for a program that has no loop."""
    import uvloop

    return uvloop.run(run(host, port, factory, count, in_flight, on_answer))
