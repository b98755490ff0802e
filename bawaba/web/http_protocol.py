"""uvicorn's HTTP/1.1, with bounds against who means harm or has gone to sleep on an open network."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_HEAD_BYTES = 32 * 1024
HEAD_DEADLINE_S = 15.0
NEWCOMER_S = 1.0  # for the request of who had just come in when we were asked to stop


class HttpProtocol(HttpToolsProtocol):
    """Bounds the size of a request's head, and how long we wait for it; and answers who came in before the end.

    uvicorn by itself gathers headers without end, waits for a first request for ever, and at its end closes a
    connection whose first request is on the way, which its client sees as a reset.
    """

    _head_bytes = 0
    _head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_deadline is None:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._head_arrived()
            if getattr(self.cycle, "response_complete", True):  # no cycle before the first request
                self.send_400_response("The head of the request is too large.")
            else:
                self.transport.abort()

    def on_message_begin(self) -> None:
        self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_arrived()
        super().on_headers_complete()

    def shutdown(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.loop.call_later(NEWCOMER_S, super().shutdown)
        else:
            super().shutdown()

    def _expect_head(self) -> None:
        if self._head_deadline is None:
            self._head_deadline = self.loop.call_later(HEAD_DEADLINE_S, self._give_up)

    def _head_arrived(self) -> None:
        self._head_bytes = 0
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _give_up(self) -> None:
        self._head_deadline = None
        self.transport.abort()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Forgets a handshake once it was accepted, headers too: 4 KB for each socket that stays open."""

    def start_keepalive(self) -> None:
        self.request.headers.clear()  # the parser keeps the request itself
        del self.request, self.response
        self.scope["headers"] = []
        super().start_keepalive()


def server_options() -> dict[str, Any]:
    """The keyword arguments for `uvicorn.Config` that all of `bawaba.web` and `bawaba.realtime` count on."""
    return {
        "loop": "uvloop",
        "http": HttpProtocol,
        "ws": WebSocketProtocol,
        "ws_max_size": 64 * 1024,
        "ws_per_message_deflate": False,  # each compressing socket holds more memory than all else of it
        "proxy_headers": False,  # bawaba.web.proxies decides whom to believe
        "server_header": False,
        "access_log": False,
        "log_config": None,
        "lifespan": "on",
        "timeout_graceful_shutdown": 5,  # a socket that reads nothing would hold up the end for ever
    }
