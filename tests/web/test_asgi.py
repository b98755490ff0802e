"""The front: what runs before the first request and after the last, and who answers what."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from bawaba.web.asgi import Front, Hook
from tests.serving import serving


def answers(name: str) -> Any:
    """An ASGI application that says its name."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": name.encode()})

    return app


def front(startup: list[Hook], shutdown: list[Hook]) -> Front:
    apps = {name: answers(name) for name in ("static", "websocket", "socketio")}
    return Front(answers("pages"), **apps, startup=startup, shutdown=shutdown)


def test_each_address_has_its_part() -> None:
    with serving(front([], []), lifespan="on") as served:
        paths = {
            "/": "pages",
            "/static": "pages",
            "/static/a.css": "static",
            "/socket.io/": "socketio",
            "/socket.io/x": "socketio",
            "/socket.iox": "pages",
            "/ws": "pages",
        }
        assert {path: httpx.get(served.url + path).text for path in paths} == paths


def test_hooks_run_in_order_and_each_ending_whatever_the_others_do() -> None:
    ran = []

    def hook(name: str, fails: bool = False) -> Hook:
        async def run() -> None:
            ran.append(name)
            if fails:
                raise RuntimeError(name)

        return run

    with serving(front([hook("a"), hook("b")], [hook("c", fails=True), hook("d")]), lifespan="on"):
        assert ran == ["a", "b"]
    assert ran == ["a", "b", "c", "d"]


def test_a_start_that_fails_serves_nothing() -> None:
    async def fail() -> None:
        raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="did not start"), serving(front([fail], []), lifespan="on"):
        pass
