"""A small Unix socket through which a simulator that runs is told things: one JSON object a line, one answer a line.

`{"do": "fail", "kind": "cut-after", "match": "/ip/hotspot/user/add"}` is answered by `{"ok": true}`, `{"ok": true,
"rows": […]}` or `{"ok": false, "message": …}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bawaba.core.clock import SystemClock
from bawaba.routers.simulators.routeros.errors import LoginRefused, Trap
from bawaba.routers.simulators.routeros.faults import CONNECTION_KINDS

if TYPE_CHECKING:
    from bawaba.routers.simulators.routeros.guests import Phone
    from bawaba.routers.simulators.routeros.router import Router

Rows = list[dict[str, Any]] | None
FAULT_WORDS: dict[str, Callable[[Any], Any]] = {
    "skip": int,
    "times": lambda value: None if value == "always" else int(value),
    "seconds": float,
}


class HurriedClock(SystemClock):
    """The system's clock, that can be told to skip some time."""

    def __init__(self) -> None:
        super().__init__()
        self._skipped_s = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self._skipped_s)

    def monotonic(self) -> float:
        return super().monotonic() + self._skipped_s

    def skip(self, seconds: float) -> None:
        """Let time pass at once."""
        self._skipped_s += seconds


class Control:
    """What can be told to one router."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self._verbs: dict[str, Callable[[dict[str, Any]], Rows]] = {
            "fail": self._fail,
            "heal": lambda words: router.heal(),
            "join": lambda words: [_shown(router.join(words.get("mac"), words.get("ip")))],
            "leave": lambda words: self._phone(words).leave(),
            "come-back": lambda words: self._phone(words).come_back(),
            "move": self._move,
            "flow": lambda words: self._phone(words).flow(float(words.get("up", 0)), float(words.get("down", 0))),
            "login": self._login,
            "phones": lambda words: [_shown(phone) for phone in router.hotspot.phones.values()],
            "print": lambda words: list(router.find(words.pop("path"), **words)),
            "skip": self._skip,
            "clock": self._clock,
            "reboot": lambda words: router.reboot(saved=str(words.get("saved", "yes")) == "yes"),
            "power-off": lambda words: router.power_off(),
            "power-on": lambda words: router.power_on(),
            "licence": lambda words: router.change(licence_level=int(words["level"])),
            "behave": self._behave,
        }

    def obey(self, words: dict[str, Any]) -> dict[str, Any]:
        """Do one thing and say how it went."""
        do = words.pop("do", "")
        verb = self._verbs.get(do)
        if verb is None:
            return {"ok": False, "message": f"cannot {do}; can {', '.join(self._verbs)}"}
        try:
            rows = verb(words)
        except KeyError as error:
            return {"ok": False, "message": f"{do}: there is no {error.args[0]}"}
        except (Trap, LoginRefused, ValueError, TypeError) as error:
            return {"ok": False, "message": f"{do}: {error}"}
        return {"ok": True} if rows is None else {"ok": True, "rows": rows}

    def _fail(self, words: dict[str, Any]) -> None:
        kind = words.pop("kind")
        if kind in CONNECTION_KINDS:
            self.router.fail_connections(kind)
            return
        details = {name: FAULT_WORDS.get(name, str)(value) for name, value in words.items()}
        self.router.fail(kind, details.pop("match", "*"), **details)

    def _move(self, words: dict[str, Any]) -> Rows:
        up, down = self._phone(words).move(int(words.get("up", 0)), int(words.get("down", 0)))
        return [{"up": up, "down": down}]

    def _login(self, words: dict[str, Any]) -> Rows:
        """As if the guest had typed it on the router's own page."""
        hotspot, phone = self.router.hotspot, self._phone(words)
        with self.router.lock:
            phone.come_back()
            host = hotspot.host_of(phone)
            if host is None:
                raise LoginRefused("hotspot service is shutting down")
            secret = str(words.get("password", ""))
            hotspot.login(words["user"], lambda password: password == secret, host, "http-pap")
        return [_shown(phone)]

    def _skip(self, words: dict[str, Any]) -> None:
        clock = self.router.clock
        if not isinstance(clock, HurriedClock):
            raise ValueError("this router's clock is moved by hand")
        clock.skip(float(words["seconds"]))

    def _clock(self, words: dict[str, Any]) -> None:
        self.router.clock_offset_s = float(words["offset"])

    def _behave(self, words: dict[str, Any]) -> Rows:
        known = {field.name: getattr(self.router.behaviour, field.name) for field in fields(self.router.behaviour)}
        for name, value in words.items():
            setattr(self.router.behaviour, name, _like(known[name], value))
        return [{name: getattr(self.router.behaviour, name) for name in known}]

    def _phone(self, words: dict[str, Any]) -> Phone:
        named = str(words["phone"]).upper()
        for phone in self.router.hotspot.phones.values():
            if named in (phone.mac, phone.ip):
                return phone
        raise KeyError(f"phone {named}")


async def listen(control: Control, path: Path) -> asyncio.Server:
    """Listen on a Unix socket that only its owner may use."""
    path.unlink(missing_ok=True)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(json.dumps(_answer(control, line)).encode() + b"\n")
                await writer.drain()
        writer.close()

    before = os.umask(0o077)
    try:
        return await asyncio.start_unix_server(converse, path)
    finally:
        os.umask(before)


def tell(path: Path, words: dict[str, Any]) -> dict[str, Any]:
    """Tell a simulator that runs. Raises `OSError` when none does."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(path))
        sock.sendall(json.dumps(words).encode() + b"\n")
        answer: dict[str, Any] = json.loads(sock.makefile().readline())
        return answer


def _answer(control: Control, line: bytes) -> dict[str, Any]:
    try:
        words = json.loads(line)
    except ValueError:
        return {"ok": False, "message": "not JSON"}
    return control.obey(words) if isinstance(words, dict) else {"ok": False, "message": "not an object"}


def _like(known: Any, value: Any) -> Any:
    """A word from the command line as what it replaces is."""
    if isinstance(known, bool) or known is None:
        return str(value).lower() in ("yes", "true", "1")
    return type(known)(value)


def _shown(phone: Phone) -> dict[str, Any]:
    return {"mac": phone.mac, "ip": phone.ip, "online": phone.online, "user": phone.user}
