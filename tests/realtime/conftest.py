"""Real time over real sockets: uvicorn, the front, Flask, and clients that others wrote."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from websockets.sync.client import ClientConnection, connect

from bawaba.core.clock import SystemClock
from bawaba.core.config import Config
from bawaba.core.database import Database
from bawaba.core.keyring import Keyring
from bawaba.core.runtime import Runtime
from bawaba.realtime.audience import Identity
from bawaba.realtime.service import Realtime
from bawaba.web.asgi import Front
from bawaba.web.bridge import WsgiBridge
from bawaba.web.proxies import Proxies, Scope
from bawaba.web.static_files import StaticFiles
from tests.serving import Served, serving

FAR = SystemClock().now() + timedelta(days=1)
ADMIN_ROOMS, OPERATOR_ROOMS = frozenset({"admins", "operators"}), frozenset({"operators"})
PEOPLE = {
    "hana": Identity(1, ADMIN_ROOMS, None, FAR),
    "omar": Identity(2, OPERATOR_ROOMS, frozenset({1}), FAR, login_id=20),
    "omar elsewhere": Identity(2, OPERATOR_ROOMS, frozenset({1}), FAR, login_id=21),
    "salem": Identity(3, OPERATOR_ROOMS, frozenset({2}), FAR),
}


@dataclass
class House:
    """One running installation, and how its people sign in: the token and the cookie are their names."""

    rt: Runtime
    app: Flask
    realtime: Realtime
    people: dict[str, Identity]
    served: Served = field(init=False)

    @contextmanager
    def ws(self, who: str | None = None, **options: Any) -> Iterator[ClientConnection]:
        """A `/ws` client, signed in by token when `who` is given."""
        with connect(f"{self.served.ws_url}/ws", **options) as client:
            if who is not None:
                client.send(f'{{"type": "auth", "token": "{who}"}}')
                assert client.recv(5) == '{"type":"ready"}'
            yield client

    def lasting(self, who: str, seconds: float) -> None:
        """Let a person's token end soon."""
        self.people[who] = replace(self.people[who], expires_at=self.rt.clock.now() + timedelta(seconds=seconds))


@contextmanager
def open_house(folder: Path, **settings: Any) -> Iterator[House]:
    """An installation until the block ends."""
    config = Config(data_dir=folder, **settings)
    database = Database(config.sqlalchemy_url, rng=random.Random(7))
    rt = Runtime(config, SystemClock(), random.Random(7), database, Keyring.open(folder / "bawaba.key"))
    app = Flask("house")
    people = dict(PEOPLE)

    @app.get("/hello")
    def hello() -> str:
        return "hello"

    async def by_cookie(scope: Scope) -> Identity | None:
        return people.get(dict(scope["headers"]).get(b"cookie", b"").decode().removeprefix("login="))

    async def by_token(token: str) -> Identity | None:
        return people.get(token)

    realtime = Realtime(rt, app, authenticate_cookie=by_cookie, authenticate_token=by_token)
    house = House(rt, app, realtime, people)
    bridge = WsgiBridge(app, proxies=Proxies(config.trusted_proxies))
    front = Front(
        bridge,
        static=StaticFiles(),
        websocket=realtime.websocket,
        socketio=realtime.socketio_server,
        startup=[realtime.start],
        shutdown=[realtime.stop],
    )
    try:
        with serving(front, lifespan="on") as house.served:
            yield house
    finally:
        bridge.close()
        database.close()


@pytest.fixture
def open_houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., House]]:
    """Open installations with settings."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(open_house(tmp_path_factory.mktemp("house"), **settings))


@pytest.fixture
def house(open_houses: Callable[..., House]) -> House:
    """One installation."""
    return open_houses()


def until(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
