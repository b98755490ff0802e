"""All of real time for one process: the hub, `/ws`, Socket.IO, and the way to the other processes."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from bawaba.accounts.events import AccessChanged
from bawaba.core.broadcast import Broadcast
from bawaba.core.runtime import Runtime
from bawaba.realtime.entrance import CookieCheck, Entrance, TokenCheck
from bawaba.realtime.fanout import Fanout
from bawaba.realtime.hub import Hub
from bawaba.realtime.socketio import SocketIO
from bawaba.realtime.socketio_server import Server
from bawaba.realtime.ws import WebSockets
from bawaba.web.proxies import Proxies


def connect_events(rt: Runtime, hub: Hub) -> Callable[[], None]:
    """Have the hub hear every `Broadcast` of this process, and whose access changed; the answer ends it."""

    def hear(event: Broadcast) -> None:
        if hub.anybody_listens:
            hub.publish(event.message(), event.audience(), urgent=event.urgent)

    def shut_out(event: AccessChanged) -> None:
        hub.end_user(event.user_id, event.login_id)

    endings = [rt.events.subscribe(Broadcast, hear), rt.events.subscribe(AccessChanged, shut_out)]

    def stop() -> None:
        for ending in endings:
            ending()

    return stop


class Realtime:
    """Real time in a web process. `websocket` and `socketio_server` are ASGI applications for the front.

    `socketio` is Flask-SocketIO's API. `start` and `stop` run in the server's loop, before the first request and after
    the last.
    """

    def __init__(
        self,
        rt: Runtime,
        flask_app: Flask,
        *,
        authenticate_cookie: CookieCheck,
        authenticate_token: TokenCheck,
    ) -> None:
        entrance = Entrance(
            authenticate_cookie=authenticate_cookie,
            authenticate_token=authenticate_token,
            clock=rt.clock,
            proxies=Proxies(rt.config.trusted_proxies),
            public_url=rt.config.public_url,
        )
        self.hub = Hub()
        self.websocket = WebSockets(entrance)
        alone = not rt.config.redis_url  # with more processes only a WebSocket stays with the one it began with
        self.socketio_server = Server(flask_app, entrance, polling=alone)
        self.socketio = SocketIO(flask_app, self.socketio_server, self.hub)
        self.hub.add_outlet(self.websocket)
        self.hub.add_outlet(self.socketio_server)
        self._fanout = None if alone else Fanout(rt.config.redis_url, self.hub)
        connect_events(rt, self.hub)

    async def start(self) -> None:
        """Begin to hand out news."""
        self.hub.start()
        self.socketio.server.start()
        if self._fanout is not None:
            self._fanout.start()

    async def stop(self) -> None:
        """End, and take nothing more."""
        if self._fanout is not None:
            await self._fanout.stop()
        self.hub.stop()
        self.socketio.server.stop()
        await self.socketio_server.shutdown()


class RealtimeSender:
    """Real time in a process without pages: its news go to the web processes. `start` and `stop` run in a loop."""

    def __init__(self, rt: Runtime) -> None:
        self.hub = Hub()
        self._fanout = Fanout(rt.config.redis_url, self.hub) if rt.config.redis_url else None
        connect_events(rt, self.hub)

    async def start(self) -> None:
        """Begin to send news."""
        self.hub.start()
        if self._fanout is not None:
            self._fanout.start()

    async def stop(self) -> None:
        """Send nothing more."""
        if self._fanout is not None:
            await self._fanout.stop()
        self.hub.stop()
