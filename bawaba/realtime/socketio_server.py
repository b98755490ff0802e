"""The Socket.IO server in uvicorn's loop: the same news as on `/ws`, for the same people."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson
import structlog
from flask import Flask

from bawaba.realtime.audience import Identity, hears, is_of
from bawaba.realtime.entrance import AUTH_DEADLINE_S, Entrance, FrameBudget
from bawaba.realtime.hub import RESYNC, as_text
from bawaba.realtime.light_import import Refused, engineio, socketio
from bawaba.realtime.throttle import Message
from bawaba.realtime.ws import CATCH_UP_S, CLOSE_S, MOST_QUEUED, abort
from bawaba.web.bridge import Receive, Send
from bawaba.web.proxies import Scope

MOST_PACKET_BYTES = 64 * 1024
EVENT = "2"  # how an event begins in Socket.IO's protocol, revision 5

log = structlog.get_logger(__name__)


class Json:
    """orjson, as python-socketio wants it."""

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()

    @staticmethod
    def loads(text: str | bytes, **_: Any) -> Any:
        return orjson.loads(text)


@dataclass(slots=True)
class Person:
    """Somebody who was let into a namespace."""

    identity: Identity
    engine: str  # the Engine.IO session: the connection, which all of its namespaces share
    expiry: asyncio.TimerHandle
    lag: asyncio.TimerHandle | None = None


class Server(socketio.AsyncServer):  # type: ignore[misc] # it has no types
    """The ASGI application behind `/socket.io/`, and the hub's outlet to those who use it.

    Clients come in with `auth: {"token": …}` and are put in their rooms, in every namespace and before any handler of
    our own hears of them. python-socketio's own bounds are few, so who never signs in, says too much, or takes nothing
    is cut here.
    """

    def __init__(self, flask_app: Flask, entrance: Entrance, *, polling: bool = True) -> None:
        super().__init__(
            async_mode="asgi",
            json=Json,
            cors_allowed_origins=[],  # pages of other origins get no further than `__call__`
            max_http_buffer_size=MOST_PACKET_BYTES,
            transports=["polling", "websocket"] if polling else ["websocket"],
        )
        self._flask_app, self._entrance = flask_app, entrance
        self._people: dict[str, Person] = {}
        self._budgets: dict[str, FrameBudget] = {}
        self._sends: dict[str, Send] = {}  # by Engine.IO session: the way to its WebSocket
        self._tasks: set[asyncio.Future[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._entrance.caller(scope)
        if caller is None:
            await _forbid(scope, send)
            return
        scope = {**scope, "headers": caller.headers, "bawaba.caller": caller}
        upgraded = parse_qs(scope["query_string"].decode("latin-1")).get("sid", [""])[0]
        if scope["type"] == "websocket" and upgraded in self.eio.sockets:
            self._sends[upgraded] = send
        await self.handle_request(scope, receive, send)

    # What the hub asks of an outlet

    @property
    def is_empty(self) -> bool:
        return not self._people

    def deliver(self, message: Message) -> None:
        packet = _event(message.body["type"], message.text)
        audience = message.audience
        for sid, person in self._people.items():
            if hears(person.identity, audience):
                self._tell(sid, person, packet)

    def resync(self) -> None:
        for sid, person in self._people.items():
            self._tell(sid, person, RESYNC_PACKET)

    def end_user(self, user_id: int, login_id: int | None) -> None:
        for person in self._people.values():
            if is_of(person.identity, user_id, login_id):
                self.begin(self._end(person.engine))

    # What python-socketio calls

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        scope = environ["asgi.scope"]
        caller = scope["bawaba.caller"]
        environ["flask.app"] = self._flask_app
        environ["REMOTE_ADDR"], environ["wsgi.url_scheme"] = caller.address, caller.scheme
        environ["HTTP_HOST"] = caller.host
        self._budgets[eio_sid] = FrameBudget()
        if scope["type"] == "websocket":
            self._sends[eio_sid] = environ["asgi.send"]
        asyncio.get_running_loop().call_later(AUTH_DEADLINE_S, self._check_let_in, eio_sid)

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        budget = self._budgets.get(eio_sid)
        if budget is not None and not budget.spend(asyncio.get_running_loop().time()):
            self.begin(self._end(eio_sid))
            return
        await super()._handle_eio_message(eio_sid, data)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: Any) -> None:
        self._budgets.pop(eio_sid, None)
        await super()._handle_eio_disconnect(eio_sid, reason)
        self._sends.pop(eio_sid, None)
        if reason == self.reason.CLIENT_DISCONNECT and eio_sid in self.eio.sockets:
            self.eio.sockets[eio_sid].queue.put_nowait(None)  # else its long poll would be left waiting for 45 s

    async def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
        if event == "connect":
            await self._let_in(namespace, args[0], args[2] if len(args) > 2 else None)
        stays = False
        try:
            answer = await super()._trigger_event(event, namespace, *args)
            stays = event != "disconnect" and not (event == "connect" and answer is False)
            return answer
        finally:
            if event in self.reserved_events and not stays:
                self._forget(args[0])

    async def _let_in(self, namespace: str, sid: str, auth: Any) -> None:
        identity = await self._entrance.by_token(auth.get("token") if isinstance(auth, dict) else None)
        if identity is None:
            raise Refused("unauthenticated")
        engine = self.manager.eio_sid_from_sid(sid, namespace)
        if engine is None:
            raise Refused("unauthenticated")  # it left meanwhile
        seconds = self._entrance.seconds_left(identity.expires_at)
        expiry = asyncio.get_running_loop().call_later(seconds, lambda: self.begin(self._end(engine)))
        self._people[sid] = Person(identity, engine, expiry)
        for room in sorted(identity.rooms):
            await self.enter_room(sid, room, namespace=namespace)

    def _forget(self, sid: str) -> None:
        person = self._people.pop(sid, None)
        if person is not None:
            person.expiry.cancel()
            if person.lag is not None:
                person.lag.cancel()

    def _check_let_in(self, eio_sid: str) -> None:
        if eio_sid in self.eio.sockets and all(person.engine != eio_sid for person in self._people.values()):
            self.begin(self._end(eio_sid))

    # Who takes nothing

    def _tell(self, sid: str, person: Person, packet: Any) -> None:
        """Queue a packet. Who has fallen behind loses what waits, and is told once to read afresh."""
        connection = self.eio.sockets.get(person.engine)
        if connection is None or not self.manager.is_connected(sid, "/"):
            return  # it is on its way in or out, or in another namespace, where there are no news
        if person.lag is not None:
            if not connection.queue.empty():
                return
            person.lag.cancel()
            person.lag = None
        if connection.queue.qsize() < MOST_QUEUED:
            connection.queue.put_nowait(packet)
            return
        _drop_events(connection.queue)
        connection.queue.put_nowait(RESYNC_PACKET)
        person.lag = asyncio.get_running_loop().call_later(CATCH_UP_S, self._check_caught_up, person)
        log.info("a slow page lost news and is to read afresh", user_id=person.identity.user_id)

    def _check_caught_up(self, person: Person) -> None:
        person.lag = None
        connection = self.eio.sockets.get(person.engine)
        if connection is not None and not connection.queue.empty():
            self.begin(self._end(person.engine))

    async def _end(self, eio_sid: str) -> None:
        """Close a connection, and cut it when it does not go by itself."""
        connection = self.eio.sockets.get(eio_sid)
        if connection is None:
            return
        send = self._sends.get(eio_sid)
        await connection.close(wait=False, reason=self.reason.SERVER_DISCONNECT)
        connection.queue.put_nowait(None)  # its writer ends when it has said so
        await asyncio.sleep(CLOSE_S)
        self.eio.sockets.pop(eio_sid, None)
        if send is not None:
            abort(send)

    def begin(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something beside what goes on; in the loop only."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("something failed beside the Socket.IO server", exc_info=error)


def _event(name: str, text: str) -> Any:
    """An event as Engine.IO's queues take it, from a body that is JSON already."""
    return engineio.packet.Packet(engineio.packet.MESSAGE, f'{EVENT}["{name}",{text}]')


RESYNC_PACKET = _event(RESYNC["type"], as_text(RESYNC))


def _drop_events(queue: asyncio.Queue[Any]) -> None:
    """Take the events out of a client's queue, and leave what keeps the connection alive."""
    kept = []
    while not queue.empty():
        packet = queue.get_nowait()
        queue.task_done()
        if not (packet and isinstance(packet.data, str) and packet.data.startswith(EVENT)):
            kept.append(packet)
    for packet in kept:
        queue.put_nowait(packet)


async def _forbid(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})  # before it was accepted: HTTP 403
        return
    body = b'{"error":"forbidden","message":"This page may not connect here.","request_id":"","details":{}}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
