"""Carries one message outward, in a process of its own that can be stopped at its deadline.

Apprise is loaded there and nowhere else. A guard in that process refuses every connection that does not leave for the
internet, whatever name or redirect led to it, unless an admin has allowed that for the channel.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import orjson

from bawaba.notifications import rules

DEADLINE_S = 25.0
MODULE = "bawaba.notifications.courier"
SENT, NOT_TAKEN, TIMED_OUT, PRIVATE_HOST, BAD_URL = "sent", "not_taken", "timed_out", "private_host", "bad_url"
TYPES = {"info": "info", "warning": "warning", "critical": "failure"}
PASSED_ON = ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "PYTHONPATH")


@dataclass(frozen=True, slots=True)
class Message:
    """A line, and what more there is to say."""

    title: str
    body: str


def carry(url: str, message: Message, severity: str, *, allow_private: bool, deadline_s: float = DEADLINE_S) -> str:
    """Send a message by an apprise URL; how that went, in a word: sent, not_taken, timed_out, private_host, bad_url."""
    words = {"title": message.title, "body": message.body or message.title}
    order = {"url": url, "type": TYPES[severity], "private": allow_private} | words
    return _run(orjson.dumps(order), deadline_s)


def check(url: str) -> str:
    """Whether apprise understands a URL (sent: yes), without sending anything."""
    return _run(orjson.dumps({"url": url, "check": True}), DEADLINE_S)


def _run(order: bytes, deadline_s: float) -> str:
    """The URL goes through a pipe, never on a command line. The child gets no settings of ours."""
    command = [sys.executable, "-m", MODULE]
    environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    pipes = {"input": order, "capture_output": True, "timeout": deadline_s}
    try:
        done = subprocess.run(command, env=environ, check=False, **pipes)  # type: ignore[call-overload]
    except subprocess.TimeoutExpired:
        return TIMED_OUT
    word = done.stdout.decode("ascii", "replace").strip()
    return word if word in {SENT, NOT_TAKEN, PRIVATE_HOST, BAD_URL} else NOT_TAKEN


class Guard:
    """Refuses connections to addresses that are not public (`socket.connect` of PEP 578's audit events)."""

    def __init__(self) -> None:
        self.refused = False
        self.on = False

    def watch(self, event: str, args: tuple[Any, ...]) -> None:
        """The audit hook."""
        if not self.on or event not in {"socket.connect", "socket.sendto"}:
            return
        address = args[1]
        if isinstance(address, tuple) and rules.is_public(str(address[0])):
            return
        self.refused = True
        raise PermissionError("this address is not on the internet")


def main() -> None:
    """Read an order, carry it out, write the word."""
    order = orjson.loads(sys.stdin.buffer.read())
    sys.stdout.write(_obey(order))


def _obey(order: dict[str, Any]) -> str:
    import apprise

    guard = Guard()
    sys.addaudithook(guard.watch)
    plugin = apprise.Apprise.instantiate(order["url"], suppress_exceptions=True)
    if plugin is None or _schemes(plugin) & rules.ON_THIS_MACHINE:
        return BAD_URL
    if order.get("check"):
        return SENT
    guard.on = not order["private"]
    sent = plugin.notify(title=order["title"], body=order["body"], notify_type=apprise.NotifyType(order["type"]))
    return SENT if sent else (PRIVATE_HOST if guard.refused else NOT_TAKEN)


def _schemes(plugin: Any) -> set[str]:
    named = [plugin.protocol, plugin.secure_protocol]
    return {scheme for some in named if some for scheme in ([some] if isinstance(some, str) else some)}


if __name__ == "__main__":
    main()
