"""Several processes of one installation: what one says, the pages of all hear. A real Redis carries it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import redis
from engineio.payload import Payload

from bawaba.core.broadcast import OPERATORS, Audience
from bawaba.realtime import fanout
from bawaba.realtime.service import RealtimeSender
from tests.realtime.conftest import House, until
from tests.realtime.test_socketio import Listener
from tests.realtime.test_ws import Said, close_code, heard, router_status, session_update
from tests.services import free_port, server

Payload.max_decode_packets = 5000
OpenHouses = Callable[..., House]


def listening(house: House) -> House:
    """The house once its subscription stands."""
    relay = house.realtime._fanout
    assert relay is not None
    assert until(relay._listening.is_set)
    return house


@pytest.fixture
def two(open_houses: OpenHouses, redis_url: str) -> tuple[House, House]:
    """Two processes' worth of the installation."""
    return listening(open_houses(redis_url=redis_url)), listening(open_houses(redis_url=redis_url))


def test_news_reach_the_pages_of_both_once(two: tuple[House, House]) -> None:
    here, there = two
    with here.ws("omar") as near, there.ws("omar") as far, there.ws("salem") as other_site:
        here.rt.publish(router_status(1, site_id=1))
        there.rt.publish(router_status(2, site_id=1))
        assert sorted(m["router_id"] for m in heard(near)) == [1, 2]
        assert sorted(m["router_id"] for m in heard(far)) == [1, 2]
        assert heard(other_site) == []


def test_one_session_s_updates_are_held_whichever_process_says_them(two: tuple[House, House]) -> None:
    here, there = two
    with there.ws("omar") as omar:
        here.rt.publish(session_update(7, 1))
        assert [m["session"]["bytes_down"] for m in heard(omar)] == [1]
        there.rt.publish(session_update(7, 2))
        here.rt.publish(session_update(7, 3))
        assert heard(omar) == []
        here.rt.publish(session_update(7, 4, urgent=True))
        assert [m["session"]["bytes_down"] for m in heard(omar)] == [4]


def test_ending_a_person_ends_them_everywhere(two: tuple[House, House]) -> None:
    here, there = two
    with there.ws("omar") as omar:
        here.realtime.hub.end_user(2)
        assert close_code(omar) == 4401


def test_what_flask_emits_reaches_both(two: tuple[House, House]) -> None:
    here, there = two
    near, far = (Listener(house, "hana", "/", transports=["websocket"]) for house in two)
    here.realtime.socketio.emit("new_voucher", {"id": 1}, room="admins")
    there.realtime.socketio.emit("nobody hears", {}, room="nobody")
    assert near.all() == far.all() == [("new_voucher", {"id": 1})]
    near.client.disconnect()
    far.client.disconnect()


def test_with_more_processes_only_websockets_may_carry_socketio(two: tuple[House, House]) -> None:
    polling = httpx.get(f"{two[0].served.url}/socket.io/?EIO=4&transport=polling")
    assert polling.status_code == 400


def test_a_worker_s_news_reach_the_pages(open_houses: OpenHouses, redis_url: str) -> None:
    web, worker = listening(open_houses(redis_url=redis_url)), open_houses(redis_url=redis_url)
    sender = RealtimeSender(worker.rt)

    async def work() -> None:
        await sender.start()
        await asyncio.to_thread(worker.rt.publish, router_status(5))
        await asyncio.sleep(0.3)
        await sender.stop()

    with web.ws("omar") as omar:
        asyncio.run(work())
        assert [m["router_id"] for m in heard(omar)] == [5, 5]  # the worker's house here sends its own as well


def test_after_redis_was_away_everybody_reads_afresh(
    open_houses: OpenHouses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "LONGEST_PAUSE_S", 0.3)
    with restartable_redis(tmp_path) as (url, start, stop):
        start()
        here, there = listening(open_houses(redis_url=url)), listening(open_houses(redis_url=url))
        with here.ws("omar") as near, there.ws("omar") as far:
            stop()
            time.sleep(0.2)
            here.rt.publish(router_status(1))
            assert [m["router_id"] for m in heard(near)] == [1]  # the own process goes on as it was
            assert heard(far) == []
            start()
            assert any(m["type"] == "resync" for m in heard(near, 1.5))
            assert any(m["type"] == "resync" for m in heard(far, 1.5))
            here.rt.publish(router_status(2))
            assert [m["router_id"] for m in heard(far, 1.0) if m["type"] == "router_status"][-1] == 2


def test_more_than_redis_takes_is_said_to_be_lost(
    open_houses: OpenHouses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "MOST_WAITING", 50)
    with restartable_redis(tmp_path) as (url, start, _):
        here = open_houses(redis_url=url)  # starts although Redis is not there
        with here.ws("omar") as near:
            for number in range(200):
                here.rt.publish(router_status(number))
            assert len(heard(near)) == 200
        start()
        there = listening(open_houses(redis_url=url))
        listening(here)
        with there.ws("omar") as far:
            here.rt.publish(Said({"type": "router_status", "last": True}, Audience(frozenset({OPERATORS}))))
            assert until(lambda: any(m.get("last") for m in heard(far, 0.2)), 8)


@contextmanager
def restartable_redis(folder: Path) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """A Redis that can be stopped and started again on its port."""
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    command = ["redis-server", *f"--port {port} --bind 127.0.0.1 --appendonly no --dir {folder}".split(), "--save", ""]
    with redis.Redis.from_url(url) as client, ExitStack() as running:

        def start() -> None:
            running.enter_context(server(command, client.ping, folder / "log"))

        yield url, start, running.close


pytestmark = pytest.mark.redis
