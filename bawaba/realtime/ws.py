"""`/ws`: plain WebSockets for our own pages and for other programs."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import structlog

from bawaba.realtime.audience import Identity, hears, is_of
from bawaba.realtime.entrance import AUTH_DEADLINE_S, Entrance, FrameBudget
from bawaba.realtime.hub import RESYNC, as_text
from bawaba.realtime.throttle import Message
from bawaba.web.bridge import Receive, Send
from bawaba.web.proxies import Scope

MOST_QUEUED = 256
MOST_QUEUED_CHARACTERS = 1 << 20
CATCH_UP_S = 10.0
CLOSE_S = 1.0
MOST_FRAME_LENGTH = 4096

POLICY, TOO_BIG, TRY_AGAIN, UNAUTHENTICATED = 1008, 1009, 1013, 4401  # RFC 6455 7.4, and API.md's own
RESYNC_TEXT = as_text(RESYNC)
READY_TEXT = as_text({"type": "ready"})

log = structlog.get_logger(__name__)


class Client:
    """One connected socket. What it cannot take at once waits in a bounded queue; others never wait for it."""

    __slots__ = ("_ending", "_expiry", "_lag", "_queue", "_queued", "_send", "_writer", "identity")

    def __init__(self, send: Send) -> None:
        self.identity: Identity | None = None
        self._send = send
        self._queue: list[str] = []  # a deque would cost each of a thousand idle clients 0.6 KB
        self._queued = 0
        self._writer: asyncio.Task[None] | None = None
        self._lag: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    def tell(self, text: str) -> None:
        """Send, or queue. Who has fallen behind loses what waits, and is told once to read afresh."""
        if self._lag is not None or self._ending is not None:
            return
        if len(self._queue) >= MOST_QUEUED or self._queued + len(text) > MOST_QUEUED_CHARACTERS:
            self._fall_behind()
            return
        self._queue.append(text)
        self._queued += len(text)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())

    def expire_in(self, seconds: float) -> None:
        """Close when the token ends."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = asyncio.get_running_loop().call_later(seconds, self.end, UNAUTHENTICATED)

    @property
    def is_ending(self) -> bool:
        """Has it been told to close?"""
        return self._ending is not None

    def end(self, code: int) -> None:
        """Close the socket; its handler sees it close and cleans up."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._close(code))

    def clean_up(self) -> None:
        """Forget all that was to happen with it."""
        for timer in (self._lag, self._expiry):
            if timer is not None:
                timer.cancel()
        if self._writer is not None:
            self._writer.cancel()
        self._queue.clear()

    async def _write(self) -> None:
        try:
            while self._queue:
                text = self._queue.pop(0)
                self._queued -= len(text)
                await self._send({"type": "websocket.send", "text": text})
                if self._lag is not None and text is RESYNC_TEXT:
                    self._lag.cancel()
                    self._lag = None
        except OSError:  # it is gone; its handler will see that too
            self._queue.clear()
        finally:
            self._writer = None

    def _fall_behind(self) -> None:
        self._queue.clear()
        self._queue.append(RESYNC_TEXT)
        self._queued = len(RESYNC_TEXT)
        self._lag = asyncio.get_running_loop().call_later(CATCH_UP_S, self.end, TRY_AGAIN)
        log.info("a slow page lost news and is to read afresh", user_id=self.identity and self.identity.user_id)

    async def _close(self, code: int) -> None:
        if self._writer is not None:
            self._writer.cancel()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._send({"type": "websocket.close", "code": code})
        except (TimeoutError, OSError):
            abort(self._send)


class WebSockets:
    """The ASGI application behind `/ws`, and the hub's outlet to all who are connected to it."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self._clients: set[Client] = set()

    @property
    def is_empty(self) -> bool:
        return not self._clients

    @property
    def count(self) -> int:
        """How many are connected."""
        return len(self._clients)

    def deliver(self, message: Message) -> None:
        audience, text = message.audience, message.text
        for client in self._clients:
            if client.identity is not None and hears(client.identity, audience):
                client.tell(text)

    def resync(self) -> None:
        for client in self._clients:
            client.tell(RESYNC_TEXT)

    def end_user(self, user_id: int, login_id: int | None) -> None:
        for client in self._clients:
            if client.identity is not None and is_of(client.identity, user_id, login_id):
                client.end(UNAUTHENTICATED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # the wish to connect
        client = Client(send)
        try:
            if await self._accept(client, scope, send):
                await self._listen(client, receive)
        except OSError:
            log.debug("a socket broke")
        finally:
            self._clients.discard(client)
            client.clean_up()

    async def _accept(self, client: Client, scope: Scope, send: Send) -> bool:
        caller = self._entrance.caller(scope)
        if caller is None:
            await send({"type": "websocket.close"})  # before it was accepted: HTTP 403
            return False
        identity = await self._entrance.by_cookie(scope, caller)
        await send({"type": "websocket.accept"})
        if identity is not None:
            self._let_in(client, identity)
        return True

    def _let_in(self, client: Client, identity: Identity) -> None:
        client.identity = identity
        client.expire_in(self._entrance.seconds_left(identity.expires_at))
        self._clients.add(client)

    async def _listen(self, client: Client, receive: Receive) -> None:
        """Read frames until the socket closes. `auth` is the only one that means something; it may come again."""
        loop = asyncio.get_running_loop()
        budget = FrameBudget()
        if client.identity is None:
            client.expire_in(AUTH_DEADLINE_S)
        while (message := await receive())["type"] != "websocket.disconnect":
            frame = message.get("text") or message.get("bytes") or ""
            if client.is_ending:
                continue  # what it says while it closes is not heard
            if len(frame) > MOST_FRAME_LENGTH:
                client.end(TOO_BIG)
            elif not budget.spend(loop.time()):
                client.end(POLICY)
            elif (said := _parse(frame)) is not None and said.get("type") == "auth":
                await self._authenticate(client, said.get("token"))
            elif client.identity is None:
                client.end(UNAUTHENTICATED)

    async def _authenticate(self, client: Client, token: object) -> None:
        identity = await self._entrance.by_token(token)
        if identity is None:
            client.end(UNAUTHENTICATED)
            return
        self._let_in(client, identity)
        client.tell(READY_TEXT)


def _parse(frame: str | bytes) -> dict[str, Any] | None:
    try:
        said = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return None
    return said if isinstance(said, dict) else None


def abort(send: Send) -> None:
    """Cut a connection whose other end takes nothing more.

    ASGI has no word for it: closing waits until all that was sent is taken. `send` is a method of uvicorn's protocol.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()
