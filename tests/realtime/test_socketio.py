"""Socket.IO: Flask-SocketIO's API over python-socketio's asyncio server, seen by the real python-socketio client."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import engineio.client
import flask_socketio
import httpx
import pytest
import requests
import websocket
from engineio.payload import Payload
from flask import request, session
from socketio import Client
from socketio.exceptions import ConnectionError as NotConnected
from socketio.exceptions import SocketIOError
from socketio.exceptions import TimeoutError as NoAnswer
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from bawaba.core.broadcast import ADMINS, Audience
from bawaba.realtime import entrance, socketio_server
from tests.realtime.conftest import House, until
from tests.realtime.test_ws import Said, close_code, router_status, session_update

# The product leaves out what only the client needs; the client in this process wants it back.
engineio.client.requests, engineio.client.websocket = requests, websocket
Payload.max_decode_packets = 5000

Join = Callable[..., "Listener"]


class Listener:
    """A connected client that keeps what it hears."""

    def __init__(self, house: House, token: str, namespace: str, **options: Any) -> None:
        self.client = Client(reconnection=False)
        self.namespace = namespace
        self.heard: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.ended = threading.Event()
        self.client.on("*", lambda event, *args: self.heard.put((event, *args)), namespace=namespace)
        self.client.on("disconnect", lambda *_: self.ended.set(), namespace=namespace)
        self.client.connect(
            options.pop("url", house.served.url),
            auth={"token": token},
            namespaces=[namespace],
            wait_timeout=5,
            **options,
        )

    def all(self, seconds: float = 0.3) -> list[tuple[str, Any]]:
        """All that came until it is silent for a while."""
        events = []
        try:
            while True:
                events.append(self.heard.get(timeout=seconds))
        except queue.Empty:
            return events


@pytest.fixture
def join(house: House) -> Iterator[Join]:
    """Connect a client, signed in."""
    with ExitStack() as stack:

        def start(token: str, namespace: str = "/", **options: Any) -> Listener:
            listener = Listener(house, token, namespace, **options)
            stack.callback(listener.client.disconnect)
            return listener

        yield start


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]])
def test_the_same_news_reach_the_same_people(house: House, join: Join, transports: list[str]) -> None:
    hana, omar, salem = (join(who, transports=transports) for who in ("hana", "omar", "salem"))

    house.rt.publish(Said({"type": "new_voucher", "voucher": {"id": 1}}, Audience(frozenset({ADMINS}), 1)))
    house.rt.publish(router_status(11, site_id=1))
    house.rt.publish(router_status(22, site_id=2))
    house.rt.publish(Said({"type": "batch_progress", "batch_id": 5}, Audience(frozenset({ADMINS}), 1, user_id=2)))

    status_1 = ("router_status", {"type": "router_status", "router_id": 11, "status": "up"})
    status_2 = ("router_status", {"type": "router_status", "router_id": 22, "status": "up"})
    progress = ("batch_progress", {"type": "batch_progress", "batch_id": 5})
    voucher = ("new_voucher", {"type": "new_voucher", "voucher": {"id": 1}})
    assert hana.all() == [voucher, status_1, status_2, progress]
    assert omar.all() == [status_1, progress]
    assert salem.all() == [status_2]


def test_ws_and_socketio_hear_the_same_throttled_updates(house: House, join: Join) -> None:
    omar = join("omar")
    for bytes_down in (1, 2, 3):
        house.rt.publish(session_update(7, bytes_down))
    house.rt.publish(session_update(7, 4, urgent=True))
    assert [body["session"]["bytes_down"] for _, body in omar.all()] == [1, 4]


@pytest.mark.parametrize("token", ["nobody", "", None])
def test_without_a_good_token_nobody_comes_in(house: House, join: Join, token: Any) -> None:
    with pytest.raises(NotConnected):
        join(token)
    assert until(lambda: house.realtime.socketio_server.is_empty)


def test_a_foreign_page_is_refused(house: House) -> None:
    socketio = f"{house.served.url}/socket.io/?EIO=4&transport=polling"
    assert httpx.get(socketio, headers={"Origin": "http://evil.example"}).status_code == 403
    ours = httpx.get(socketio, headers={"Origin": house.served.url})
    assert ours.status_code == 200
    assert "access-control-allow-origin" not in ours.headers
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"{house.served.ws_url}/socket.io/?EIO=4&transport=websocket", origin=Origin("http://evil.example")),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_who_never_signs_in_is_closed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketio_server, "AUTH_DEADLINE_S", 0.3)
    url = f"{house.served.ws_url}/socket.io/?EIO=4&transport=websocket"
    with connect(url) as silent, connect(url) as refused:
        refused.send('40{"token": "nobody"}')
        for client in (silent, refused):
            began = time.monotonic()
            assert close_code(client) > 0
            assert time.monotonic() - began < 3
    assert until(lambda: not house.realtime.socketio_server.eio.sockets)


def test_it_ends_with_the_token(house: House, join: Join) -> None:
    house.lasting("omar", 0.5)
    omar = join("omar")
    house.rt.publish(router_status(1))
    assert omar.all(0.2)
    assert omar.ended.wait(5)
    assert house.realtime.socketio_server.is_empty


def test_a_person_s_connections_can_be_ended(house: House, join: Join) -> None:
    omar, hana = join("omar"), join("hana")
    house.realtime.hub.end_user(2)
    assert omar.ended.wait(5)
    house.rt.publish(router_status(1))
    assert hana.all()


def test_who_says_too_much_is_cut(house: House, join: Join) -> None:
    omar = join("omar", transports=["websocket"])
    with suppress(SocketIOError):  # it may be cut before all are sent
        for _ in range(entrance.FRAMES_AT_ONCE + 5):
            omar.client.emit("chatter", {})
    assert omar.ended.wait(5)


def test_who_takes_nothing_loses_news_and_is_told_so(house: House, join: Join) -> None:
    hana = join("hana", transports=["websocket"])
    url = f"{house.served.url}/socket.io/?EIO=4&transport=polling"
    sid = httpx.get(url).text.split('"sid":"')[1].split('"')[0]
    httpx.post(f"{url}&sid={sid}", content='40{"token":"omar"}')
    assert "40{" in httpx.get(f"{url}&sid={sid}").text  # omar is in, and polls no more for now
    for number in range(600):
        house.rt.publish(router_status(number))
    time.sleep(0.3)

    waiting = httpx.get(f"{url}&sid={sid}").text
    house.rt.publish(router_status(1000))

    assert waiting == '42["resync",{"type":"resync"}]'
    assert '"router_id":1000' in httpx.get(f"{url}&sid={sid}").text
    assert len(hana.all()) == 601


def test_what_keeps_a_slow_connection_alive_is_not_dropped() -> None:
    packets = engineio.packet
    ping = packets.Packet(packets.PING)
    answer = packets.Packet(packets.MESSAGE, '3["the answer to a call"]')
    waiting: asyncio.Queue[Any] = asyncio.Queue()
    for packet in (ping, packets.Packet(packets.MESSAGE, '2["news",{}]'), answer, None):
        waiting.put_nowait(packet)

    socketio_server._drop_events(waiting)

    assert [waiting.get_nowait() for _ in range(waiting.qsize())] == [ping, answer, None]


def test_who_stays_behind_is_cut(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketio_server, "CATCH_UP_S", 0.3)
    monkeypatch.setattr(socketio_server, "CLOSE_S", 0.1)
    url = f"{house.served.url}/socket.io/?EIO=4&transport=polling"
    sid = httpx.get(url).text.split('"sid":"')[1].split('"')[0]
    httpx.post(f"{url}&sid={sid}", content='40{"token":"omar"}')
    for number in range(600):
        house.rt.publish(router_status(number))
    assert until(lambda: house.realtime.socketio_server.is_empty)
    assert httpx.get(f"{url}&sid={sid}").status_code == 400


# Flask-SocketIO's API: what its documentation promises


def test_emit_to_a_room_from_a_flask_view(house: House, join: Join) -> None:
    socketio = house.realtime.socketio

    @house.app.post("/make")
    def make() -> str:
        socketio.emit("new_voucher", {"type": "new_voucher", "voucher": {"id": 9}}, room="admins")
        socketio.emit("session_update", {"type": "session_update"}, to="operators")
        socketio.send({"a": 1}, json=True, to="admins")
        return "made"

    hana, omar = join("hana"), join("omar")
    httpx.post(f"{house.served.url}/make")

    assert hana.all() == [
        ("new_voucher", {"type": "new_voucher", "voucher": {"id": 9}}),
        ("session_update", {"type": "session_update"}),
        ("json", {"a": 1}),
    ]
    assert omar.all() == [("session_update", {"type": "session_update"})]


def test_a_handler_runs_in_a_thread_with_flask_s_context_and_answers(house: House, join: Join) -> None:
    @house.realtime.socketio.on("ask")
    def ask(data: dict[str, Any]) -> dict[str, Any]:
        session.setdefault("asked", 0)
        session["asked"] += 1
        return {
            "thread": threading.current_thread().name.split("_")[0],
            "address": request.remote_addr,
            "sid": bool(request.sid),  # type: ignore[attr-defined]
            "asked": session["asked"],
            "data": data,
        }

    house.app.secret_key = "x" * 32
    omar = join("omar")
    first, second = omar.client.call("ask", {"n": 1}, timeout=5), omar.client.call("ask", {"n": 2}, timeout=5)

    assert first == {"thread": "socketio", "address": "127.0.0.1", "sid": True, "asked": 1, "data": {"n": 1}}
    assert second["asked"] == 2


def test_join_leave_and_close_room(house: House, join: Join) -> None:
    socketio = house.realtime.socketio

    @socketio.on("join")
    def on_join(name: str) -> list[str]:
        flask_socketio.join_room(name)
        flask_socketio.emit("joined", name, to=name)
        return sorted(set(flask_socketio.rooms()) - {request.sid})  # type: ignore[attr-defined]

    @socketio.on("leave")
    def on_leave(name: str) -> None:
        flask_socketio.leave_room(name)

    hana, omar = join("hana"), join("omar")
    assert hana.client.call("join", "lobby", timeout=5) == ["admins", "lobby", "operators"]
    assert omar.client.call("join", "lobby", timeout=5) == ["lobby", "operators"]
    assert hana.all() == [("joined", "lobby"), ("joined", "lobby")]
    assert omar.all() == [("joined", "lobby")]

    omar.client.call("leave", "lobby", timeout=5)
    socketio.emit("word", 1, to="lobby")
    assert (hana.all(), omar.all()) == ([("word", 1)], [])

    socketio.close_room("lobby")
    socketio.emit("word", 2, to="lobby")
    assert hana.all() == []


def test_answers_broadcasts_and_who_is_left_out(house: House, join: Join) -> None:
    @house.realtime.socketio.on("say")
    def say(text: str) -> None:
        flask_socketio.emit("mine", text)
        flask_socketio.emit("all", text, broadcast=True, include_self=False)
        flask_socketio.send(text, broadcast=True)

    hana, omar = join("hana"), join("omar")
    omar.client.emit("say", "سلام")
    assert omar.all() == [("mine", "سلام"), ("message", "سلام")]
    assert hana.all() == [("all", "سلام"), ("message", "سلام")]


def test_call_and_callback_bring_the_client_s_answer(house: House, join: Join) -> None:
    socketio = house.realtime.socketio
    answers: queue.Queue[Any] = queue.Queue()

    @socketio.on("start")
    def start() -> str:
        flask_socketio.emit("question", 1, callback=answers.put)
        return str(request.sid)  # type: ignore[attr-defined]

    @house.app.get("/call/<sid>")
    def call(sid: str) -> str:
        return str(socketio.call("question", 2, to=sid, timeout=5))

    omar = join("omar")
    omar.client.on("question", lambda number: number * 10)
    sid = omar.client.call("start", timeout=5)

    assert answers.get(timeout=5) == 10
    assert httpx.get(f"{house.served.url}/call/{sid}").text == "20"
    with pytest.raises(NoAnswer):
        socketio.call("question", 3, to="somebody who is not there", timeout=0.2)


def test_connect_and_disconnect_handlers_come_after_the_check(house: House, join: Join) -> None:
    seen: queue.Queue[Any] = queue.Queue()

    @house.realtime.socketio.on("connect")
    def on_connect(auth: dict[str, Any]) -> bool | None:
        seen.put(("connect", auth["token"]))
        return False if auth["token"] == "salem" else None

    @house.realtime.socketio.on("disconnect")
    def on_disconnect(reason: str) -> None:
        seen.put(("disconnect", reason))

    omar = join("omar")
    for refused in ("nobody", "salem"):
        with pytest.raises(NotConnected):
            join(refused)
    omar.client.disconnect()

    assert [seen.get(timeout=5) for _ in range(2)] == [("connect", "omar"), ("connect", "salem")]
    assert seen.get(timeout=5)[0] == "disconnect"
    assert until(lambda: house.realtime.socketio_server.is_empty)


def test_namespaces_are_guarded_too(house: House, join: Join) -> None:
    socketio = house.realtime.socketio

    class Chat(flask_socketio.Namespace):  # type: ignore[misc] # it has no types
        def on_say(self, text: str) -> str:
            flask_socketio.emit("said", text)
            return text.upper()

    socketio.on_namespace(Chat("/chat"))

    @socketio.on("ping", namespace="/other")
    def on_ping() -> str:
        return "pong"

    omar, other = join("omar", "/chat"), join("omar", "/other")
    assert omar.client.call("say", "hi", namespace="/chat", timeout=5) == "HI"
    assert omar.all() == [("said", "hi")]
    assert other.client.call("ping", namespace="/other", timeout=5) == "pong"
    for namespace in ("/chat", "/other", "/nowhere"):
        with pytest.raises(NotConnected):
            join("nobody", namespace)
    house.rt.publish(router_status(1))
    assert omar.all() == []  # news are in the main namespace


def test_a_handler_may_send_its_client_away(house: House, join: Join) -> None:
    @house.realtime.socketio.on("bye")
    def bye() -> None:
        flask_socketio.disconnect()

    omar = join("omar")
    omar.client.emit("bye")
    assert omar.ended.wait(5)


def test_a_handler_that_fails_is_handed_to_the_error_handler(house: House, join: Join) -> None:
    @house.realtime.socketio.on_error()
    def on_error(error: Exception) -> str:
        return f"failed: {error}"

    @house.realtime.socketio.on("fail")
    def fail() -> None:
        raise ValueError("no")

    assert join("omar").client.call("fail", timeout=5) == "failed: no"
