"""The binary API on one connection: many questions at once, told apart by their tags (RouterOS manual, API).

Whatever the router does, only `GatewayError`s come out. A connection on which a deadline fired is closed, for the late
answer is worth nothing and the router may hang.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from bawaba.routers.driver import GatewayError, RouterAuthFailed, RouterProtocolError, RouterRejected, RouterUnreachable
from bawaba.routers.drivers.routeros import reach
from bawaba.routers.drivers.routeros.reach import Way
from bawaba.routers.drivers.routeros.refusals import INTERRUPTED, refusal, worst
from bawaba.routers.drivers.routeros.wire import Sentences, encoded, text_of

CONNECT_S = 3.0
TLS_S = 3.0
CALL_S = 5.0
LIST_S = 20.0
LINK_TIMES = 4  # a slow link may take so many times its measured time to connect
NEWS_MOST = 1000  # changes kept for a listener who does not come; the oldest go first
READING = ("print", "listen", "login", "cancel")
Row = dict[str, str]
Words = tuple[str, ...]


def command(path: str, arguments: Mapping[str, str] | None = None, *queries: str) -> Words:
    """The words of a command. What is empty is left out: some arguments refuse to be."""
    given = [f"={name}={value}" for name, value in (arguments or {}).items() if value != ""]
    return (path, *given, *queries)


def reading(path: str, names: str, *queries: str) -> Words:
    """The words that read these properties of a menu's rows."""
    return (f"{path}/print", f"=.proplist={names}", *queries)


@dataclass(slots=True)
class Reply:
    """A whole answer."""

    rows: list[Row] = field(default_factory=list)
    ret: str = ""


@dataclass(slots=True, eq=False)
class Exchange:
    """A question on its way."""

    tag: str
    path: str
    answer: asyncio.Future[Reply]
    on_row: Callable[[Row], None]
    reply: Reply
    traps: list[GatewayError] = field(default_factory=list)

    @property
    def reads(self) -> bool:
        """Whether asking again can do no harm."""
        return self.path.rpartition("/")[2] in READING

    def fail(self, reason: GatewayError) -> None:
        """End it with an error that says whether it may have been done."""
        if not self.answer.done():
            self.answer.set_exception(_same(reason, outcome_known=self.reads))
            self.answer.exception()  # whoever waits has it; it is no secret that nobody may


def _same(reason: GatewayError, *, outcome_known: bool) -> GatewayError:
    error = type(reason)(str(reason), outcome_known=outcome_known)
    error.__cause__ = reason.__cause__
    return error


class Line(asyncio.Protocol):
    """An open connection and those who wait for an answer on it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.ended: GatewayError | None = None
        self.timed_out = False
        self._sentences = Sentences()
        self._waiting: dict[str, Exchange] = {}
        self._tags = itertools.count(1)
        self._out: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for sentence in self._sentences.feed(data):
                self._take(sentence)
        except RouterProtocolError as error:
            self.end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        reason = RouterUnreachable(f"the router closed the connection{f': {exc}' if exc else ''}")
        reason.__cause__ = exc
        self.end(reason)

    def ask(self, words: Words, on_row: Callable[[Row], None] | None = None) -> Exchange:
        """Send a question; what is sent in the same moment goes out together."""
        tag, reply = str(next(self._tags)), Reply()
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        exchange = Exchange(tag, words[0], answer, on_row or reply.rows.append, reply)
        if self.ended is not None:
            exchange.fail(self.ended)
            return exchange
        self._waiting[tag] = exchange
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(encoded((*words, f".tag={tag}")))
        return exchange

    def end(self, reason: GatewayError) -> None:
        """Let go of the connection; all who wait hear why. The first reason stays."""
        if self.ended is not None:
            return
        self.ended = reason
        if self.transport is not None:
            self.transport.abort()
        waiting, self._waiting = list(self._waiting.values()), {}
        for exchange in waiting:
            exchange.fail(reason)

    def _flush(self) -> None:
        sentences, self._out = self._out, []
        if self.ended is None and self.transport is not None:
            self.transport.write(b"".join(sentences))

    def _take(self, sentence: list[str]) -> None:
        kind, tag, row = sentence[0], "", {}
        for word in sentence:
            if word[0] == "=":
                end = word.find("=", 1)
                if end > 0:
                    value = word[end + 1 :]
                    row[word[1:end]] = value if value.isascii() else text_of(value)
            elif word.startswith(".tag="):
                tag = word[5:]
        if kind == "!fatal":
            self.end(RouterUnreachable(f"the router ended the connection: {' '.join(map(text_of, sentence[1:]))}"))
        elif kind[0] != "!":
            raise RouterProtocolError("the router's answer makes no sense")
        elif (exchange := self._exchange(tag)) is not None:
            self._told(exchange, kind, row)

    def _exchange(self, tag: str) -> Exchange | None:
        """Whose answer this is. One without a tag belongs to the only one who waits."""
        if not tag and len(self._waiting) == 1:
            return next(iter(self._waiting.values()))
        return self._waiting.get(tag)

    def _told(self, exchange: Exchange, kind: str, row: Row) -> None:
        if kind == "!re":
            exchange.on_row(row)
        elif kind == "!trap":
            exchange.traps.append(_trap(row))
        elif kind == "!done":
            del self._waiting[exchange.tag]
            exchange.reply.ret = row.get("ret", "")
            if exchange.answer.done():
                return
            if exchange.traps:
                exchange.answer.set_exception(worst(exchange.traps))
                exchange.answer.exception()
            else:
                exchange.answer.set_result(exchange.reply)


def _trap(row: Row) -> GatewayError:
    if row.get("category") == INTERRUPTED:
        return Interrupted("interrupted")
    return refusal(row.get("message", ""), row.get("category"))


class Interrupted(RouterRejected):
    """Ended because we cancelled it."""


class Api:
    """A router's API, connected when first needed and again when it was lost."""

    def __init__(self, way: Way, connect_s: float = CONNECT_S) -> None:
        self.way = way
        self._connect_s = connect_s  # at least so long a connection may take
        self.link_s = 0.0  # how long the last connection took to open
        self._line: Line | None = None
        self._opening = asyncio.Lock()
        self.on_connect: Callable[[], None] = lambda: None

    async def ask(self, words: Words, deadline_s: float = CALL_S) -> Reply:
        """Ask one thing."""
        (answer,) = await self.ask_all([words], deadline_s)
        return raised(answer)

    async def read(self, *questions: Words, deadline_s: float = CALL_S) -> list[list[Row]]:
        """Read several menus in one round trip."""
        return [raised(answer).rows for answer in await self.ask_all(questions, deadline_s)]

    async def ask_all(self, questions: Sequence[Words], deadline_s: float = CALL_S) -> list[Reply | GatewayError]:
        """Ask several things at once; the answers in their order. A connection that had died unnoticed is made anew,
        once, where only reading was asked for."""
        used = self._line if self._line is not None and self._line.ended is None else None
        answers = await self._ask_once(questions, deadline_s)
        if used is None or used.ended is None or used.timed_out or not all(map(_may_ask_again, questions, answers)):
            return answers
        return await self._ask_once(questions, deadline_s)

    async def _ask_once(self, questions: Sequence[Words], deadline_s: float) -> list[Reply | GatewayError]:
        line = await self.line()
        exchanges = [line.ask(words) for words in questions]
        await self.wait(line, exchanges, deadline_s)
        return [_settled(exchange) for exchange in exchanges]

    async def wait(self, line: Line, exchanges: Iterable[Exchange], deadline_s: float) -> None:
        """Wait until these have ended, well or not; past the deadline the connection ends with them."""
        open_ones = [exchange for exchange in exchanges if not exchange.answer.done()]
        if not open_ones:
            return
        _, late = await asyncio.wait([exchange.answer for exchange in open_ones], timeout=deadline_s)
        if late:
            line.timed_out = True
            path = next(exchange.path for exchange in open_ones if exchange.answer in late)
            line.end(RouterUnreachable(f"no answer to {path} in {deadline_s:g} s"))

    async def listen(self, path: str, names: str) -> AsyncGenerator[Row, None]:
        """Every change of a menu from now on, until the caller stops; `.dead` is in a row that has gone."""
        line, news, came = await self.line(), deque[Row](maxlen=NEWS_MOST), asyncio.Event()

        def keep(row: Row) -> None:
            news.append(row)
            came.set()

        listening = line.ask((f"{path}/listen", f"=.proplist={names}"), keep)
        listening.answer.add_done_callback(lambda _: came.set())
        try:
            while True:
                await came.wait()
                came.clear()
                while news:
                    yield news.popleft()
                if listening.answer.done():
                    listening.answer.result()
                    return
        finally:
            if not listening.answer.done():
                line.ask(("/cancel", f"=tag={listening.tag}"))

    async def line(self) -> Line:
        """The connection, signed in."""
        if self._line is not None and self._line.ended is None:
            return self._line
        async with self._opening:
            if self._line is None or self._line.ended is not None:
                self._line = await self._connected()
                self.on_connect()
            return self._line

    async def close(self) -> None:
        """Let go of the connection."""
        if self._line is not None:
            self._line.end(RouterUnreachable("the connection was closed by us"))

    async def _connected(self) -> Line:
        line = await self._dialled()
        try:
            if self.way.tls:
                await _secured(line, self.way)
            else:
                assert line.transport is not None
                ours, peer = (line.transport.get_extra_info(name)[0] for name in ("sockname", "peername"))
                reach.check_plain(self.way, ours, peer)
            await self._sign_in(line)
        except BaseException:
            line.end(RouterUnreachable("the connection was given up"))
            raise
        return line

    async def _dialled(self) -> Line:
        way, began = self.way, time.monotonic()
        limit_s = max(self._connect_s, LINK_TIMES * self.link_s)
        try:
            async with asyncio.timeout(limit_s):
                transport, line = await asyncio.get_running_loop().create_connection(Line, way.host, way.port)
        except TimeoutError as error:
            raise RouterUnreachable(f"{way.host} port {way.port} does not answer") from error
        except (OSError, ValueError) as error:
            raise RouterUnreachable(f"{way.host} port {way.port}: {error}") from error
        self.link_s = time.monotonic() - began
        _notice_silence(transport.get_extra_info("socket"))
        return line

    async def _sign_in(self, line: Line) -> None:
        """Both ways to log in: name and password, or from before 6.43 the answer to a challenge."""
        name, password = f"=name={self.way.username}", self.way.password
        first = ("/login",) if self.way.old_login else ("/login", name, f"=password={password}")
        challenge = await self._login(line, first)
        if challenge:
            await self._login(line, ("/login", name, f"=response={answer_to(challenge, password)}"))

    async def _login(self, line: Line, words: Words) -> str:
        exchange = line.ask(words)
        await self.wait(line, [exchange], CALL_S)
        answer = _settled(exchange)
        if isinstance(answer, RouterRejected):
            raise RouterAuthFailed(f"the router does not let us in: {answer}") from answer
        return raised(answer).ret


async def _secured(line: Line, way: Way) -> None:
    """Go over to TLS, and see whose certificate it is before anything is said."""
    assert line.transport is not None
    try:
        transport = await asyncio.get_running_loop().start_tls(
            line.transport, line, reach.context(), server_hostname="", ssl_handshake_timeout=TLS_S
        )
    except ssl.SSLError as error:
        raise RouterAuthFailed(f"no TLS with the router ({error.reason}): has its api-ssl a certificate?") from error
    except OSError as error:  # a time-out of the handshake is one too
        raise RouterUnreachable(f"no TLS with the router: {str(error) or 'no answer'}") from error
    if transport is None:
        raise RouterUnreachable("the router closed the connection before TLS was ready")
    line.transport = transport
    talk: ssl.SSLObject = transport.get_extra_info("ssl_object")
    reach.check_certificate(way, talk.getpeercert(binary_form=True))


def _notice_silence(connection: socket.socket) -> None:
    """Let the kernel notice within half a minute that the other end is gone."""
    for level, option, value in (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    ):
        connection.setsockopt(level, option, value)


def answer_to(challenge: str, password: str) -> str:
    """The answer to the old log-in's challenge: MD5 over a zero byte, the password and the challenge."""
    try:
        salt = bytes.fromhex(challenge)
    except ValueError as error:
        raise RouterProtocolError("the router's log-in makes no sense") from error
    return "00" + hashlib.md5(b"\0" + password.encode() + salt, usedforsecurity=False).hexdigest()


def _settled(exchange: Exchange) -> Reply | GatewayError:
    error = exchange.answer.exception()
    return cast(GatewayError, error) if error is not None else exchange.answer.result()


def raised(answer: Reply | GatewayError) -> Reply:
    """The answer, unless it is an error."""
    if isinstance(answer, GatewayError):
        raise answer
    return answer


def _may_ask_again(words: Words, answer: Reply | GatewayError) -> bool:
    lost = isinstance(answer, RouterUnreachable | RouterProtocolError)
    return lost and words[0].rpartition("/")[2] in READING
