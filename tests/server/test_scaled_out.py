"""Scaled out: two `bawaba web`, two `bawaba worker`, one PostgreSQL, one Redis and a MikroTik. Any of them may die."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from sqlalchemy import select, text

from bawaba import migrations, wiring
from bawaba.accounts import people
from bawaba.core.config import Config
from bawaba.routers.models import Router
from bawaba.routers.service import PASSWORD as ROUTER_PASSWORD
from bawaba.sessions.models import GuestSession
from tests import needs
from tests.cast import HOUR, Cast
from tests.product import ADMIN, PASSWORD, wait_for_answer

CARDS = 40
TAKEN_OVER_S = 45.0  # a lease of 30 s, looked for every 10


class House:
    """The processes, and what a test does with them."""

    def __init__(self, stack: ExitStack, url: str, redis_url: str, folder: Path, box: Any) -> None:
        self._numbers = itertools.count(1)
        self.folder, self.url, self.redis_url, self.box = folder, url, redis_url, box
        where: dict[str, Any] = {"data_dir": folder, "database_url": url, "redis_url": redis_url}
        config = Config(**where, admin_username=ADMIN, admin_password=PASSWORD, public_url="http://login.wifi")
        migrations.migrate(config.sqlalchemy_url)
        self.rt = wiring.build(config)
        stack.callback(wiring.stop, self.rt)
        people.ensure_admin(self.rt)
        self.cast = Cast(self.rt)
        self.rt.transact(lambda db: db.delete(db.get_one(Router, self.cast.router.id)))
        sealed = self.rt.keyring.encrypt(b"secret", ROUTER_PASSWORD)
        way = {"address": "127.0.0.1", "port": box.api_port, "username": "admin", "password_sealed": sealed}
        self.router = self.cast.make_router(self.cast.site.id, driver="routeros", options={"tls": False}, **way)
        self.plan = self.cast.make_plan(duration_seconds=HOUR, price_minor=100)
        self.sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=500)) for _ in range(2)]
        self.ports = [each.getsockname()[1] for each in self.sockets]
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        stack.callback(self.end_all)
        for name in ("web 0", "web 1", "worker 0", "worker 1"):
            self.start(name)

    def start(self, name: str) -> None:
        """One process, until it answers (a web) or is under way (a worker)."""
        kind, number = name.split()
        environ = {key: value for key, value in os.environ.items() if not key.startswith("BAWABA_")}
        environ |= {
            "BAWABA_DATA_DIR": str(self.folder),
            "BAWABA_DATABASE_URL": self.url,
            "BAWABA_REDIS_URL": self.redis_url,
            "BAWABA_PUBLIC_URL": "http://login.wifi",
            "BAWABA_LOG_LEVEL": "error",
        }
        port = self.ports[int(number)] if kind == "web" else None
        environ |= {"BAWABA_PORT": str(port)} if port else {"BAWABA_WORKER_NAME": number}
        words, kept = [sys.executable, "-m", "bawaba", kind], []
        if port:  # as systemd would: it holds the socket, and who connects between two processes waits
            kept = [self.sockets[int(number)].fileno()]
            words = ["bash", "-c", f'exec 3<&{kept[0]}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"', *words]
        self.running[name] = subprocess.Popen(words, env=environ, stdout=subprocess.DEVNULL, pass_fds=kept)
        if port:
            wait_for_answer(port)

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop one process; its exit code."""
        process = self.running.pop(name)
        process.send_signal(how)
        return process.wait(30)

    def end_all(self) -> None:
        for name in list(self.running):
            self.end(name)

    def ask(self, number: int, method: str, path: str, body: Any = None, token: str = "") -> Any:
        """One request to one of the two."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"http://127.0.0.1:{self.ports[number]}{path}"
        answer = httpx.request(method, url, json=body, headers=headers, timeout=30)
        return answer.json()

    def token(self, number: int = 0) -> str:
        login = {"username": ADMIN, "password": PASSWORD}
        return str(self.ask(number, "POST", "/api/auth/login", login)["access_token"])

    def phone(self) -> Any:
        """Somebody new in the WiFi, with an address of loopback's so that requests really come from there."""
        number = next(self._numbers)
        return self.box.join(f"02:00:5e:40:{number >> 8:02x}:{number & 255:02x}", f"127.9.{number >> 8}.{number & 255}")

    def redeem(self, number: int, code: str, phone: Any) -> str:
        """A phone types a code; the word that it gets."""
        with httpx.Client(transport=httpx.HTTPTransport(local_address=phone.ip), timeout=30) as client:
            url = f"http://127.0.0.1:{self.ports[number]}/api/voucher/redeem"
            answer = client.post(url, json={"code": code, "router": str(self.router.id)}).json()
        return str(answer.get("status") or answer["error"])

    def holder(self) -> str:
        """The worker that has the router, by its name."""
        owner = self.rt.read(lambda db: db.scalar(select(Router.lease_owner).where(Router.id == self.router.id)))
        return f"worker {owner.split(':')[1]}" if owner else ""

    def polled_at(self) -> Any:
        return self.rt.read(lambda db: db.scalar(select(Router.last_seen_at).where(Router.id == self.router.id)))


def wait_until(true: Callable[[], Any], within_s: float = 20.0) -> Any:
    """Wait for something, and say what came."""
    until = time.monotonic() + within_s
    while not (found := true()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def house(postgres_server, redis_server, simulators, tmp_path_factory) -> Iterator[House]:
    """All of them running."""
    needs.require("postgres", "redis")
    with ExitStack() as stack:
        ports: dict[str, int | None] = dict.fromkeys(("api_port", "tls_port", "web_port", "web_tls_port"), 0)
        box = simulators.start(ports=ports, password="secret")
        stack.callback(simulators.stop, box)
        url = stack.enter_context(postgres_server.database())
        yield House(stack, url, redis_server, tmp_path_factory.mktemp("scaled"), box)


def test_what_is_ordered_at_one_is_made_by_a_worker_and_told_at_the_other(house: House):
    token = house.token()
    heard: list[dict[str, Any]] = []
    ready = threading.Event()

    async def listen() -> None:
        address = f"ws://127.0.0.1:{house.ports[1]}/ws"
        async with websockets.connect(address) as socket:
            await socket.send(json.dumps({"type": "auth", "token": token}))
            ready.set()
            async with asyncio.timeout(25):
                while not {"session_update", "router_status", "batch_progress"} <= {each["type"] for each in heard}:
                    heard.append(json.loads(await socket.recv()))

    listener = threading.Thread(target=lambda: asyncio.run(listen()), daemon=True)
    listener.start()
    assert ready.wait(10)

    made = house.ask(0, "POST", "/api/vouchers/bulk", {"plan_id": house.plan.plan_id, "quantity": CARDS}, token)
    batch_id = made["id"]
    wait_until(lambda: house.ask(1, "GET", f"/api/batches/{batch_id}", token=token)["state"] == "ready")

    phone = house.phone()
    card = house.cast.make_voucher()
    assert house.redeem(0, card.code, phone) == "online"
    assert phone.online
    house.ask(0, "PATCH", f"/api/routers/{house.router.id}", {"status": "maintenance"}, token)
    house.ask(0, "PATCH", f"/api/routers/{house.router.id}", {"status": "up"}, token)
    listener.join(30)
    assert {"session_update", "router_status", "batch_progress"} <= {each["type"] for each in heard}


def test_one_worker_has_the_router_and_when_it_is_killed_the_other_takes_it_over(house: House):
    holder = wait_until(house.holder, TAKEN_OVER_S)
    house.end(holder, signal.SIGKILL)
    killed_at = house.rt.clock.now()
    phone = house.phone()
    card = house.cast.make_voucher()
    assert house.redeem(1, card.code, phone) == "online"  # a web needs no worker to let a guest in
    wait_until(lambda: house.holder() not in ("", holder), TAKEN_OVER_S)
    wait_until(lambda: (house.polled_at() or killed_at) > killed_at, TAKEN_OVER_S)

    heir = house.holder()
    house.start(holder)
    assert house.end(heir) == 0
    wait_until(lambda: house.holder() == holder, 15.0)  # handed over at once, not after half a minute
    house.start(heir)


def test_every_process_is_replaced_while_guests_redeem_and_none_is_refused(house: House):
    """A rolling upgrade: the database is extended first, as a newer version would, then one process after the other."""
    token = house.token()
    stop, turns = threading.Event(), itertools.count()
    refused: list[tuple[int, str]] = []
    let_in: list[tuple[int, str]] = []

    def guests() -> None:
        while not stop.is_set():
            phone, card = house.phone(), house.cast.make_voucher()
            try:
                answer = house.redeem(next(turns) % 2, card.code, phone)
            except httpx.HTTPError as error:
                answer = repr(error)
            (let_in if answer in ("online", "opening") else refused).append((card.id, answer))

    def newer(db: Any) -> None:
        db.execute(text("ALTER TABLE voucher ADD COLUMN of_a_newer_version INTEGER"))
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    crowd = [threading.Thread(target=guests, daemon=True) for _ in range(3)]
    for thread in crowd:
        thread.start()
    house.rt.transact(newer)
    for name in ("web 0", "web 1", "worker 0", "worker 1"):
        assert house.end(name) in (0, -signal.SIGTERM)
        house.start(name)
    stop.set()
    for thread in crowd:
        thread.join(40)
    assert refused == []
    assert len(let_in) > 10
    ids = [card_id for card_id, _ in let_in]
    sessions = select(GuestSession.voucher_id).where(GuestSession.voucher_id.in_(ids))
    assert sorted(house.rt.read(lambda db: list(db.scalars(sessions)))) == sorted(ids)
    assert house.ask(1, "GET", "/api/me", token=token)["username"] == ADMIN


@pytest.mark.parametrize("kind", ["web", "worker"])
def test_without_what_processes_share_it_says_what_is_missing(kind, tmp_path):
    environ = {**os.environ, "BAWABA_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "bawaba", kind], env=environ, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
    assert "PostgreSQL" in done.stderr and "Redis" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_on_a_database_that_nobody_has_migrated_it_does_not_start(postgres_url, redis_url, tmp_path):
    environ = {**os.environ, "BAWABA_DATA_DIR": str(tmp_path), "BAWABA_DATABASE_URL": postgres_url}
    environ["BAWABA_REDIS_URL"] = redis_url
    done = subprocess.run(
        [sys.executable, "-m", "bawaba", "worker"], env=environ, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, "bawaba migrate" in done.stderr) == (2, True)
