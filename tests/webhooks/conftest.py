"""A real server that takes webhooks, and a webhook that tells it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bawaba.core.actor import SYSTEM
from bawaba.core.runtime import Runtime
from bawaba.webhooks import rules, service
from bawaba.webhooks.models import Webhook
from tests.staff import app, hana, omar  # noqa: F401


@dataclass
class Taken:
    """One message as it arrived."""

    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> dict[str, Any]:
        """The body, read."""
        said: dict[str, Any] = json.loads(self.body)
        return said


@dataclass
class Receiver:
    """The other side: what it was sent, and what it answers."""

    port: int
    taken: list[Taken] = field(default_factory=list)
    status: int = 200
    location: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/bawaba?shop=1"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            there.taken.append(Taken(dict(self.headers), body))
            self.send_response(there.status)
            if there.location:
                self.send_header("Location", there.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    there = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    yield there
    server.shutdown()
    thread.join()
    server.server_close()


def subscribe(rt: Runtime, url: str, **more: Any) -> tuple[Webhook, str]:
    """A webhook that is told of everything, and its secret."""
    facts = {"name": "Shop", "url": url, "events": list(rules.KINDS), "allow_private": True, "enabled": True}
    return service.add_webhook(rt, SYSTEM, facts | more)
