"""The API service on a socket: sentences in, answers out, many at once by tag, and all that can go wrong on the way."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from bawaba.routers.simulators.routeros import versions, wire
from bawaba.routers.simulators.routeros.commands import (
    Answer,
    Command,
    Follow,
    Login,
    Sentence,
    done,
    execute,
    record,
    refused,
)
from bawaba.routers.simulators.routeros.errors import BAD_LOGIN, NO_RIGHTS, Trap
from bawaba.routers.simulators.routeros.faults import Fault
from bawaba.routers.simulators.routeros.router import Router

NONSENSE = b"\xffHTTP/1.1 400 Bad Request\r\n\r\n"  # begins with a control byte that nobody has defined
FOLLOW_EVERY_S = 0.25


@dataclass(slots=True)
class Reply:
    """An answer to one tag, on its way."""

    tag: str | None
    sentences: list[Sentence]
    slow_s: float = 0.0  # a fault: later than all others, which are not held up
    ready_at: float = 0.0  # when the router has done it, on the loop's clock
    half: bool = False
    close: bool = False


class Service:
    """One router's API service: what its connections share."""

    def __init__(self, router: Router, name: str) -> None:
        self.router = router
        self.name = name  # api or api-ssl
        self.connections: set[Connection] = set()
        self.busy_until = 0.0

    def connection(self) -> asyncio.Protocol:
        """A protocol for a new connection."""
        return Connection(self)

    def is_full(self) -> bool:
        """Whether `max-sessions` are connected."""
        table = self.router.table("/ip/service")
        limit = table.named(self.name)[0].values.get("max-sessions", "0")
        full = 0 < int(limit) <= len(self.connections) and self.router.version >= versions.MAX_SESSIONS
        return full or self.router.faults.connection == "full"

    def cut(self) -> None:
        """Reset every connection."""
        for connection in list(self.connections):
            connection.reset()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._router = service.router
        self._reader = wire.SentenceReader()
        self._follows: dict[str | None, tuple[Follow, Any]] = {}
        self._out: deque[tuple[float, Reply]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._deaf = False  # hears nothing any more
        self._gone = False
        self._follow_task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        peer = transport.get_extra_info("peername")
        self._login = Login(peer[0] if peer else "127.0.0.1")
        if self._router.faults.connection == "accept-silence":
            self._deaf = True
        elif self._service.is_full():
            self._deaf = True
            if self._router.behaviour.over_ceiling == "close":
                transport.close()
        self._service.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self._service.connections.discard(self)
        for tag in list(self._follows):
            self._unfollow(tag)
        if self._timer is not None:
            self._timer.cancel()

    def reset(self) -> None:
        """RST: nothing that was not sent yet arrives."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._gone = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._is_over():
            return
        replies: list[Reply] = []
        try:
            for sentence in self._reader.feed(data):
                words = [word.decode("utf-8", "surrogateescape") for word in sentence]
                reply = self._obey(Command.parse(words))
                if reply is not None:
                    replies.append(reply)
                if self._is_over() or (reply is not None and reply.close):
                    break
        except wire.BadFraming:
            self._transport.close()
            return
        if not self._gone:
            self._send_all(replies)

    def _is_over(self) -> bool:
        return self._deaf or self._gone

    # -- commands

    def _obey(self, command: Command) -> Reply | None:
        with self._router.lock:
            fault = self._router.faults.strike(command.word)
            record(self._router, command, was_done=fault is None or fault.kind not in NOT_DONE)
            if fault is not None and fault.kind in NOT_DONE:
                return self._fail_instead(fault, command)
            if command.word == "/cancel":
                return self._cancel(command)
            reply = self._answer(command)
        return reply if fault is None else self._fail_after(fault, reply)

    def _answer(self, command: Command) -> Reply:
        answer: Answer = execute(self._router, self._login, command)
        if answer.follow is not None:
            self._watch(command.tag, answer.follow)
        busy_s = self._router.behaviour.add_s if command.word.endswith("/add") else 0.0
        self._service.busy_until = max(self._loop.time(), self._service.busy_until) + busy_s
        return Reply(command.tag, answer.sentences, ready_at=self._service.busy_until, close=answer.close)

    def _fail_instead(self, fault: Fault, command: Command) -> Reply | None:
        """The command is not done."""
        if fault.kind == "cut-before":
            self.reset()
            return None
        if fault.kind == "deaf":
            self._deaf = True
            return None
        if fault.kind == "fatal":
            return Reply(
                command.tag,
                [["!fatal", "too many commands before login" if not self._login.known else "busy"]],
                close=True,
            )
        words = {
            "trap": fault.text,
            "disk-full": "failure: not enough space on disk",
            "no-rights": NO_RIGHTS,
            "auth": BAD_LOGIN,
        }
        return Reply(command.tag, refused(Trap(words[fault.kind])))

    def _fail_after(self, fault: Fault, reply: Reply) -> Reply | None:
        """The command is done, and its answer suffers."""
        if fault.kind == "cut-after":
            self.reset()
            return None
        if fault.kind == "silent":
            return None
        if fault.kind == "garbage":
            self._transport.write(NONSENSE)
            return None
        if fault.kind == "slow":
            reply.slow_s = fault.seconds
        reply.half = fault.kind == "half-reply"
        return reply

    def _cancel(self, command: Command) -> Reply:
        wanted = command.arguments.get("tag")
        for tag in [tag for tag in self._follows if wanted in (None, tag)]:
            self._unfollow(tag)
            self._send_all([Reply(tag, refused(Trap("interrupted", 2)))])
        return Reply(command.tag, [done()])

    # -- streams

    def _watch(self, tag: str | None, follow: Follow) -> None:
        def watcher(menu: Any, row: Any, gone: bool) -> None:
            sentence = follow.show(row, gone)
            if sentence is not None:
                self._loop.call_soon_threadsafe(self._stream, tag, sentence)

        follow.menu.watchers.append(watcher)
        self._follows[tag] = (follow, watcher)
        if self._follow_task is None:
            self._follow_task = self._loop.create_task(self._keep_looking())

    def _unfollow(self, tag: str | None) -> None:
        follow, watcher = self._follows.pop(tag)
        follow.menu.watchers.remove(watcher)
        if not self._follows and self._follow_task is not None:
            self._follow_task.cancel()
            self._follow_task = None

    def _stream(self, tag: str | None, sentence: Sentence) -> None:
        if tag in self._follows and not self._gone:
            self._send_all([Reply(tag, [sentence])])

    async def _keep_looking(self) -> None:
        """Sessions end by the clock; who listens hears of it without asking."""
        while True:
            await asyncio.sleep(FOLLOW_EVERY_S)
            with self._router.lock:
                self._router.hotspot.look()

    # -- answers

    def _send_all(self, replies: list[Reply]) -> None:
        for reply in [reply for reply in replies if reply.slow_s]:
            self._loop.call_later(reply.slow_s, self._write, [reply])
        now = [reply for reply in replies if not reply.slow_s]
        delay_s, time = self._router.behaviour.delay_s, self._loop.time()
        if not delay_s and not self._out and all(reply.ready_at <= time for reply in now):
            self._write(now)
            return
        self._out.extend((max(time, reply.ready_at) + delay_s, reply) for reply in now)
        self._arm()

    def _arm(self) -> None:
        if self._out and self._timer is None:
            self._timer = self._loop.call_at(self._out[0][0], self._due)

    def _due(self) -> None:
        self._timer = None
        ready = []
        while self._out and self._out[0][0] <= self._loop.time():
            ready.append(self._out.popleft()[1])
        self._write(ready)
        self._arm()

    def _write(self, replies: list[Reply]) -> None:
        if self._gone or not replies:
            return
        half = next((reply for reply in replies if reply.half), None)
        data = b"".join(self._mixed([reply for reply in replies if reply is not half]))
        if half is not None:
            whole = b"".join(_encode(sentence, half.tag) for sentence in half.sentences)
            self._pieces(data + whole[: max(1, len(whole) // 2)])
            self._loop.call_later(0.02, self.reset)  # long enough for the half to leave
            return
        self._pieces(data)
        if any(reply.close for reply in replies):
            self._transport.close()

    def _mixed(self, replies: list[Reply]) -> list[bytes]:
        """The sentences, those of different tags by turns."""
        tagged = [reply for reply in replies if reply.tag is not None]
        if len(tagged) < 2 or len(tagged) < len(replies) or not self._router.behaviour.interleave:
            return [_encode(sentence, reply.tag) for reply in replies for sentence in reply.sentences]
        columns = zip_longest(*([_encode(sentence, reply.tag) for sentence in reply.sentences] for reply in tagged))
        return [data for turn in columns for data in turn if data is not None]

    def _pieces(self, data: bytes) -> None:
        size = self._router.behaviour.split_bytes or len(data)
        for start in range(0, len(data), size or 1):
            self._transport.write(data[start : start + size])


NOT_DONE = frozenset({"cut-before", "deaf", "fatal", "trap", "disk-full", "no-rights", "auth"})


def _encode(sentence: Sentence, tag: str | None) -> bytes:
    words = [word.encode("utf-8", "surrogateescape") for word in sentence]
    if tag is not None:
        words.append(b".tag=" + tag.encode("utf-8", "surrogateescape"))
    return wire.encode(words)
