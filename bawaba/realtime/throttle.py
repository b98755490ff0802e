"""At most one `session_update` for a session in five seconds; its start and its end at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bawaba.core.broadcast import Audience

EVERY_S = 5.0


@dataclass(slots=True)
class Message:
    """One JSON object for an audience. `text` is the object as it goes out, made once for everybody."""

    body: dict[str, Any]
    audience: Audience
    urgent: bool = False
    text: str = ""


@dataclass(slots=True)
class _Window:
    """The time after one update of a session, and the last update that came in it."""

    timer: asyncio.TimerHandle
    held: Message | None = None


class SessionThrottle:
    """Hands messages on to `send`, in the loop. Of a session's updates that come too soon the last one is held.

    Those held go to `later`: many may become due at the same moment.
    """

    def __init__(
        self, send: Callable[[Message], None], later: Callable[[Message], None], every_s: float = EVERY_S
    ) -> None:
        self._send, self._later, self._every_s = send, later, every_s
        self._windows: dict[object, _Window] = {}

    def take(self, message: Message) -> None:
        """Send it now, or hold it until the session's five seconds are over."""
        if message.body["type"] != "session_update":
            self._send(message)
            return
        session_id = message.body["session"]["id"]
        window = self._windows.get(session_id)
        if window is not None and not message.urgent:
            window.held = message
            return
        if window is not None:
            window.timer.cancel()  # what was held is older than this
        self._open_window(session_id)
        self._send(message)

    def clear(self) -> None:
        """Forget everything."""
        for window in self._windows.values():
            window.timer.cancel()
        self._windows.clear()

    def _open_window(self, session_id: object) -> None:
        timer = asyncio.get_running_loop().call_later(self._every_s, self._over, session_id)
        self._windows[session_id] = _Window(timer)

    def _over(self, session_id: object) -> None:
        held = self._windows.pop(session_id).held
        if held is not None:
            self._open_window(session_id)
            self._later(held)
