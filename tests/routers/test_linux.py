"""The Linux gateway keeps the promises of every router: the real agent, the real kernel, real traffic."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from bawaba.routers.driver import (
    Client,
    Connection,
    RouterAuthFailed,
    RouterProtocolError,
    RouterUnreachable,
)
from bawaba.routers.drivers import linux
from bawaba.routers.drivers.linux import Driver
from tests import needs
from tests.lab import INTERNET4, PRIVATE4, Lab, ask_agent
from tests.routers.contract import DriverContract, grant

pytestmark = pytest.mark.netns


def connection(path: Path, install: str = "install8") -> Connection:
    return Connection(1, str(path), None, None, None, {}, install)


class Gateway:
    """The far end: a gateway in a town of its own."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def driver(self, install: str = "install8") -> Driver:
        return Driver(connection(self.lab.socket, install))

    def move(self, mac: str, up: int, down: int) -> None:
        guest = next(guest for guest in self.lab.guests if guest.mac == mac)
        if up:
            blob = self.lab.folder / f"up-{up}"
            blob.write_bytes(bytes(up))
            guest.curl(f"http://{INTERNET4}/", "-X", "POST", "--data-binary", f"@{blob}", timeout=1.5)
        if down:
            guest.curl(f"http://{INTERNET4}/big/{down}", "-o", "/dev/null", timeout=1.5)

    def reboot(self) -> None:
        self.lab.kill_agent()
        self.lab.nft("flush", "ruleset")
        self.lab.start_agent()

    def vanish(self) -> None:
        self.lab.kill_agent()


@pytest.fixture(scope="module")
def town() -> Iterator[Lab]:
    """A gateway with two phones, for all tests of this file."""
    needs.require("netns")
    with Lab(guests=2) as lab:
        lab.start_agent()
        yield lab


class TestLinux(DriverContract):
    devices = (Client("02:bb:00:00:00:00", "10.77.0.10"), Client("02:bb:00:00:00:01", "10.77.0.11"))

    @pytest.fixture
    def far_end(self, town: Lab) -> Iterator[Gateway]:
        gateway = Gateway(town)
        yield gateway
        if town.agent is None or town.agent.poll() is not None:
            town.start_agent()

        async def clear() -> None:
            driver = gateway.driver()
            await asyncio.gather(*(driver.kick(session) for session in await driver.sessions()))
            await driver.set_devices([], [])
            await driver.close()

        asyncio.run(clear())

    def test_it_knows_who_has_an_address_and_believes_nobody(self, far_end, town):
        guest = town.guests[0]
        guest.curl(f"http://{INTERNET4}/", timeout=2)
        found = self.run(far_end, lambda driver: driver.locate(ip=guest.ip4))
        assert found is not None and found.mac == guest.mac
        assert self.run(far_end, lambda driver: driver.locate(ip="10.77.0.200")) is None

    def test_the_kernel_ends_the_session_when_its_time_is_over_with_nobody_watching(self, far_end, town):
        guest = town.guests[0]
        self.run(far_end, lambda driver: driver.admit(grant(1, uptime_s=2), self.devices[0]))
        assert guest.is_online()
        town.kill_agent()
        time.sleep(2)
        assert not guest.is_online()

    def test_newer_limits_keep_the_meters(self, far_end, town):
        self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
        far_end.move(self.devices[0].mac, 0, 500_000)
        before = self.online(far_end)["session:1"].down
        self.run(far_end, lambda driver: driver.admit(grant(1, 2, uptime_s=1800, bytes_total=10**7), self.devices[0]))
        assert self.online(far_end)["session:1"].down >= before >= 500_000

    def test_the_agents_death_costs_neither_sessions_nor_counts(self, far_end, town):
        self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
        far_end.move(self.devices[0].mac, 0, 500_000)
        before = self.online(far_end)["session:1"]
        town.kill_agent()
        town.start_agent()
        after = self.online(far_end)["session:1"]
        assert (after.epoch, after.client.mac) == (before.epoch, before.client.mac)
        assert after.down >= before.down >= 500_000
        assert town.guests[0].is_online()

    def test_private_networks_are_refused_to_guests_who_are_online(self, far_end, town):
        self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
        assert town.guests[0].is_online()
        assert town.guests[0].curl(f"http://{PRIVATE4}/", timeout=1.5).refused

    def test_after_a_reboot_one_list_lets_everybody_in_again_and_a_second_changes_nothing(self, far_end, town):
        wanted = [(grant(51, bytes_total=10**7), self.devices[0]), (grant(52), self.devices[1])]
        self.run(far_end, lambda driver: driver.sync(wanted))
        before = self.online(far_end)
        far_end.reboot()
        assert not any(guest.is_online() for guest in town.guests)
        for _ in range(2):
            assert self.run(far_end, lambda driver: driver.sync(wanted)) == []
        assert all(guest.is_online() for guest in town.guests)
        after = self.online(far_end)
        assert {key: after[key].epoch > before[key].epoch for key in before} == {"session:51": True, "session:52": True}
        (gone,) = self.run(far_end, lambda driver: driver.sync(wanted[1:]))
        assert gone.key == "session:51" and gone.down > 0
        assert not town.guests[0].is_online() and town.guests[1].is_online()

    def test_an_agent_that_hangs_is_given_up_in_time_and_asked_anew_when_it_is_back(self, far_end, town, monkeypatch):
        monkeypatch.setattr(linux, "CALL_S", 0.5)

        async def hang(driver: Driver) -> None:
            await driver.health()
            os.killpg(town.agent.pid, signal.SIGSTOP)
            try:
                began = time.monotonic()
                with pytest.raises(RouterUnreachable) as late:
                    await driver.admit(grant(1), self.devices[0])
                assert time.monotonic() - began < 2 and not late.value.outcome_known
            finally:
                os.killpg(town.agent.pid, signal.SIGCONT)
            monkeypatch.undo()
            assert (await driver.admit(grant(1), self.devices[0])).key == "session:1"

        self.run(far_end, hang)
        assert list(self.online(far_end)) == ["session:1"]

    def test_two_hundred_admits_at_once_all_hold(self, far_end, town):
        async def all_at_once(driver: Driver) -> None:
            clients = [Client(f"02:cc:00:00:00:{number:02x}", None) for number in range(200)]
            await asyncio.gather(*(driver.admit(grant(100 + n), client) for n, client in enumerate(clients)))

        self.run(far_end, all_at_once)
        assert len(self.online(far_end)) == 200

    @pytest.mark.parametrize(
        "message",
        [
            b"not json\n",
            b'{"id": 1, "verb": "apply", "ops": [{"op": "admit", "mark": 5, "mac": "x; flush ruleset"}]}\n',
            b'{"id": 1, "verb": "apply", "ops": "admit"}\n',
            b'{"id": 1, "verb": "shell", "command": "id"}\n',
            b'{"id": 1, "verb": "apply", "ops": [{"op": "remove", "mac": ["02:bb:00:00:00:00"]}]}\n',
            b"[" * 100_000 + b"\n",
        ],
    )
    def test_odd_words_at_its_socket_change_nothing(self, far_end, town, message):
        self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
        answer = ask_agent(town.socket, message)
        assert '"ok":false' in answer or not answer
        assert list(self.online(far_end)) == ["session:1"]
        assert town.guests[0].is_online()


@contextlib.asynccontextmanager
async def one_who_answers(path: Path, answer: bytes) -> AsyncIterator[None]:
    """Somebody at the socket who says the same to everything."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while await reader.readline():
                writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(serve, str(path))
    try:
        yield
    finally:
        server.close()


@pytest.mark.parametrize("verb", ["probe", "sessions", "owned", "health", "admit", "kick", "drop"])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\n",
        b"[1]\n",
        b'{"ok": true}\n',
        b'{"id": 1, "ok": true}\n',
        b'{"id": 1, "ok": true, "sessions": [{"owner": "install8"}], "results": ["yes"], "abilities": 5}\n',
        b'{"id": 1, "ok": true, "sessions": 5, "results": [{"ok": true}], "abilities": {}}\n',
    ],
)
def test_an_answer_that_makes_no_sense_is_said_to_be_that(tmp_path, verb, answer):
    async def ask() -> None:
        driver = Driver(connection(tmp_path / "socket"))
        given: dict[str, tuple[Any, ...]] = {
            "admit": (grant(1), Client("02:bb:00:00:00:00")),
            "kick": (Client("02:bb:00:00:00:00"),),
            "drop": (["session:1"],),
        }
        async with one_who_answers(tmp_path / "socket", answer):
            try:
                told = await asyncio.wait_for(getattr(driver, verb)(*given.get(verb, ())), 5)
                if verb == "drop" and told[0].error:
                    raise told[0].error
            finally:
                await driver.close()

    with pytest.raises(RouterProtocolError):
        asyncio.run(ask())


def test_a_socket_that_we_may_not_use_is_for_a_person_to_mend(tmp_path):
    async def ask() -> None:
        driver = Driver(connection(tmp_path / "socket"))
        async with one_who_answers(tmp_path / "socket", b""):
            (tmp_path / "socket").chmod(0)
            os.seteuid(65534)
            try:
                with pytest.raises(RouterAuthFailed, match="Permission denied"):
                    await driver.health()
            finally:
                os.seteuid(0)

    asyncio.run(ask())
