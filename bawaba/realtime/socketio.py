"""Flask-SocketIO's API for our own code: `socketio.emit("new_voucher", …, room="admins")`, `@socketio.on(…)`.

Flask-SocketIO expects a server that blocks. `LoopServer` looks like one and has the real one do everything in its loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask

from bawaba.realtime.hub import Hub
from bawaba.realtime.light_import import engineio, flask_socketio, socketio
from bawaba.realtime.socketio_server import Server

HANDLER_THREADS = 4
WAIT_S = 5.0

Handler = Callable[..., Any]


class LoopServer:
    """What Flask-SocketIO calls its server. May be used from any thread; handlers run in a few threads of their own."""

    reason = engineio.Server.reason
    async_mode = "asgi"

    def __init__(self, server: Server, hub: Hub) -> None:
        self._server, self._hub = server, hub
        self._executor = ThreadPoolExecutor(HANDLER_THREADS, "socketio")
        self._loop: asyncio.AbstractEventLoop | None = None
        self.eio, self.manager, self.environ = server.eio, server.manager, server.environ

    def start(self) -> None:
        """Begin; called in the loop."""
        self._loop = asyncio.get_running_loop()
        self._hub.when_told("emit", self._emit_for_others)

    def stop(self) -> None:
        """Take nothing more."""
        self._loop = None
        self._executor.shutdown(wait=False, cancel_futures=True)

    def on(self, event: str, handler: Handler | None = None, namespace: str | None = None) -> Any:
        """Register a handler that may block."""
        if handler is None:
            return lambda later: self.on(event, later, namespace)
        self._server.on(event, self.in_thread(handler), namespace=namespace)
        return handler

    def register_namespace(self, handler: Any) -> None:
        """Register a class of handlers that may block."""
        handler._set_server(self)
        self._server.register_namespace(_Namespace(handler, self))

    def emit(self, event: str, *args: Any, callback: Handler | None = None, **options: Any) -> None:
        """Send, here and in the other processes, without waiting for it. With a callback here only."""
        if callback is not None:
            self._begin(self._server.emit(event, *args, callback=self.in_thread(callback), **options))
            return
        self._begin(self._server.emit(event, *args, **options))
        self._hub.post(self._hub.tell_others, "emit", {"event": event, "args": args, "options": options})

    def call(self, event: str, *args: Any, timeout: float = 60, **options: Any) -> Any:
        """Send to one client and wait for its answer."""
        return self._wait(self._server.call(event, *args, timeout=timeout, **options), timeout + WAIT_S)

    def enter_room(self, sid: str, room: str, namespace: str | None = None) -> None:
        """Put a client in a room."""
        self._wait(self._server.enter_room(sid, room, namespace=namespace))

    def leave_room(self, sid: str, room: str, namespace: str | None = None) -> None:
        """Take a client out of a room."""
        self._wait(self._server.leave_room(sid, room, namespace=namespace))

    def close_room(self, room: str, namespace: str | None = None) -> None:
        """Take everybody out of a room."""
        self._wait(self._server.close_room(room, namespace=namespace))

    def disconnect(self, sid: str, namespace: str | None = None, **options: Any) -> None:
        """Send a client away."""
        self._wait(self._server.disconnect(sid, namespace=namespace, **options))

    def rooms(self, sid: str, namespace: str | None = None) -> Any:
        """The rooms that a client is in."""
        return self._server.rooms(sid, namespace=namespace)

    def transport(self, sid: str, namespace: str | None = None) -> Any:
        """polling or websocket."""
        return self._server.transport(sid, namespace=namespace)

    def get_environ(self, sid: str, namespace: str | None = None) -> Any:
        """The WSGI environment of a client's first request."""
        return self._server.get_environ(sid, namespace=namespace)

    def start_background_task(self, target: Handler, *args: Any, **options: Any) -> threading.Thread:
        """Run something in a thread of its own."""
        thread = threading.Thread(target=target, args=args, kwargs=options, daemon=True)
        thread.start()
        return thread

    def sleep(self, seconds: float = 0) -> None:
        """Sleep in the calling thread."""
        time.sleep(seconds)

    def in_thread(self, handler: Handler) -> Callable[..., Coroutine[Any, Any, Any]]:
        """The same handler for the loop, run in a thread."""

        async def run(*args: Any) -> Any:
            return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: handler(*args))

        return run

    def _emit_for_others(self, fields: dict[str, Any]) -> None:
        self._server.begin(self._server.emit(fields["event"], *fields["args"], **fields["options"]))

    def _begin(self, work: Coroutine[Any, Any, Any]) -> None:
        if self._loop is None:
            work.close()  # nobody can be connected
            return
        self._loop.call_soon_threadsafe(self._server.begin, work)

    def _wait(self, work: Coroutine[Any, Any, Any], timeout_s: float = WAIT_S) -> Any:
        if self._loop is None or self._loop is _loop_of_this_thread():
            work.close()
            raise RuntimeError("a server that runs is needed, and another thread than its own")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)


class _Namespace(socketio.AsyncNamespace):  # type: ignore[misc] # it has no types
    """A class of blocking handlers, for the loop."""

    def __init__(self, blocking: Any, server: LoopServer) -> None:
        super().__init__(blocking.namespace)
        self._trigger = server.in_thread(blocking.trigger_event)

    async def trigger_event(self, event: str, *args: Any) -> Any:
        return await self._trigger(event, *args)


class SocketIO(flask_socketio.SocketIO):  # type: ignore[misc] # it has no types
    """Flask-SocketIO over a server that runs in a loop.

    `flask_socketio.emit`, `send`, `call`, `join_room`, `leave_room`, `close_room`, `rooms` and `disconnect` work in
    handlers as they are documented there. `run` and `test_client` have no meaning here.
    """

    def __init__(self, flask_app: Flask, server: Server, hub: Hub) -> None:
        self._loop_server = LoopServer(server, hub)
        super().__init__(flask_app)

    def init_app(self, app: Flask, **options: Any) -> None:
        app.extensions["socketio"] = self
        self.server = self._loop_server
        self.async_mode = self.server.async_mode


def _loop_of_this_thread() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
