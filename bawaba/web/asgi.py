"""The front of the program: which of its parts answers what arrives on the port."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from bawaba.web.bridge import Receive, Send
from bawaba.web.proxies import Scope

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
Hook = Callable[[], Awaitable[None]]

log = structlog.get_logger(__name__)


class Front:
    """The whole program as one ASGI application, for uvicorn with `server_options()`.

    `/socket.io/` (HTTP and WebSocket) goes to `socketio`, `/ws` to `websocket`, `/static/` to `static`, and all other
    HTTP to `pages`, the bridge to Flask. `startup` runs in the server's loop before the first request, in order;
    a hook that raises stops the start. `shutdown` runs after the last one, in order, each whatever the others did.
    """

    def __init__(
        self,
        pages: AsgiApp,
        *,
        static: AsgiApp,
        websocket: AsgiApp,
        socketio: AsgiApp,
        startup: Sequence[Hook] = (),
        shutdown: Sequence[Hook] = (),
    ) -> None:
        self._pages, self._static, self._websocket, self._socketio = pages, static, websocket, socketio
        self._startup, self._shutdown = startup, shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._live(receive, send)
            return
        path: str = scope["path"]
        if path.startswith("/socket.io/"):
            await self._socketio(scope, receive, send)
        elif kind == "websocket":
            if path == "/ws":
                await self._websocket(scope, receive, send)
            else:
                await send({"type": "websocket.close"})  # before it was accepted: HTTP 403
        elif path.startswith("/static/"):
            await self._static(scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    for hook in self._startup:
                        await hook()
                    _settle()
                except Exception as error:
                    log.exception("the start failed")
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                for hook in self._shutdown:
                    try:
                        await hook()
                    except Exception:
                        log.exception("a part did not end well")
                await send({"type": "lifespan.shutdown.complete"})
                return


def _settle() -> None:
    """Take what the start has made out of the garbage collector's rounds: each would stop all for 50 ms and more."""
    gc.collect()
    gc.freeze()
