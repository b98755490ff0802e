"""The MikroTik driver against simulated routers in a process of their own, without the manager's database.

    python -m benchmarks.routeros

Each figure beside a floor of the same run: 1,000 cards put on a router (no delay, and 20 ms away), ten routers side by
side beside one of them, and one poll of a router with 100 guests, in milliseconds of CPU. The floors send the same
sentences, made beforehand, and count the answers without reading them.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Callable, Coroutine, Sequence
from multiprocessing.connection import Connection as Pipe
from typing import Any

import uvloop

from bawaba.routers.driver import Client, Connection, Grant, Limits
from bawaba.routers.drivers.routeros import Driver
from bawaba.routers.drivers.routeros.box import ACTIVE, ACTIVE_NAMES, USER, USER_NAMES
from bawaba.routers.drivers.routeros.client import Words, command, reading
from bawaba.routers.drivers.routeros.wire import encoded
from bawaba.routers.simulators.routeros.running import Simulators
from bawaba.routers.simulators.routeros.settings import Behaviour

CARDS = 1000
ROUTERS = 10
GUESTS = 100
POLLS = 50
ROUNDS = 3
FAR_S = 0.02
SLOW_S = 0.004  # what a small router takes for a card; else the simulators would be what is measured
MIB = 1 << 20


def main() -> None:
    """Print a line for each figure."""
    with Far() as far:
        for delay_s, budget_s in ((0.0, 0.5), (FAR_S, 3.0)):
            times = [uvloop.run(put_on(far.routers(1, delay_s))) for _ in range(ROUNDS)]
            floors = [uvloop.run(floor_put(far.routers(1, delay_s)[0])) for _ in range(ROUNDS)]
            tell(f"{CARDS} cards put, {delay_s * 1000:.0f} ms away", times, floors, budget_s, "s")
        one, many = (
            [uvloop.run(put_on(far.routers(number, FAR_S, SLOW_S))) for _ in range(ROUNDS)] for number in (1, ROUTERS)
        )
        what = (
            f"{CARDS} cards on each of {ROUTERS} routers, 20 ms away, {SLOW_S * 1000:g} ms a card (floor: one router)"
        )
        tell(what, many, one, 1.5 * statistics.median(one), "s")
        port = far.routers(1, 0.0)[0]
        polls, floors = uvloop.run(polled(port))
        tell(f"one poll of {GUESTS} guests, CPU", polls, floors, 2.0, "ms")


def tell(what: str, times: Sequence[float], floors: Sequence[float], budget: float | None, unit: str) -> None:
    """One line."""
    measured, floor = statistics.median(times), statistics.median(floors)
    met = "" if budget is None else f", budget {budget:g} {unit}: {'met' if measured <= budget else 'NOT met'}"
    print(f"{what}: {measured:.2f} {unit} (floor {floor:.2f} {unit}, {measured / floor:.1f} x{met})", flush=True)


class Far:
    """The process in which the routers are."""

    def __enter__(self) -> Far:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        self._process.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._pipe.send(None)
        self._process.join(10)

    def routers(self, number: int, delay_s: float, add_s: float = 0.0) -> list[int]:
        """So many new routers, this far away and this slow; their ports."""
        self._pipe.send((number, delay_s, add_s))
        ports: list[int] = self._pipe.recv()
        return ports


def _serve(pipe: Pipe) -> None:
    with Simulators() as simulators:
        routers: list[Any] = []
        while (wanted := pipe.recv()) is not None:
            for router in routers:
                simulators.stop(router)
            number, delay_s, add_s = wanted
            behaviour = [Behaviour(delay_s=delay_s, add_s=add_s) for _ in range(number)]
            routers = [
                simulators.start(
                    behaviour=one, ports={"api_port": 0, "tls_port": None}, password="secret", licence_level=6
                )
                for one in behaviour
            ]
            for router in routers:
                for place in range(GUESTS):
                    router.join(mac(place), address(place)).flow(1000, 10_000)
            pipe.send([router.api_port for router in routers])


def mac(place: int) -> str:
    """A guest's MAC."""
    return f"02:00:00:00:00:{place:02x}"


def address(place: int) -> str:
    """Its address."""
    return f"10.5.51.{place + 1}"


def driver_to(port: int) -> Driver:
    """A driver to a router on this machine."""
    return Driver(Connection(port, "127.0.0.1", port, "admin", "secret", {"tls": False}, "install8"))


def cards() -> list[Grant]:
    """A batch, as a router-held site brings it."""
    limits = Limits(uptime_s=3600, bytes_total=500 * MIB, rate_up_kbps=1000, rate_down_kbps=4000)
    return [Grant(f"card:{n}", 1, f"{4000000000 + n}", f"{4000000000 + n}", limits) for n in range(CARDS)]


async def put_on(ports: Sequence[int]) -> float:
    """Seconds for the cards on all of these routers, side by side."""
    drivers, batch = [driver_to(port) for port in ports], cards()
    await asyncio.gather(*(driver.health() for driver in drivers))
    began = time.perf_counter()
    answers = await asyncio.gather(*(driver.put(batch) for driver in drivers))
    took_s = time.perf_counter() - began
    assert all(result.ok for answer in answers for result in answer)
    await asyncio.gather(*(driver.close() for driver in drivers))
    return took_s


async def polled(port: int) -> tuple[list[float], list[float]]:
    """Milliseconds of CPU for each poll, and for each floor: the same two lists, not read."""
    driver = driver_to(port)
    for place in range(GUESTS):
        limits = Limits(uptime_s=3600, bytes_total=MIB * MIB)
        await driver.admit(Grant(f"session:{place}", 1, limits=limits), Client(mac(place), address(place)))
    polls = [await _cpu_ms(driver.sessions) for _ in range(POLLS)]
    await driver.close()
    lists = [reading(ACTIVE, ACTIVE_NAMES), reading(USER, USER_NAMES, "?email=session@install8.bawaba")]
    reader, writer = await _signed_in(port)
    floors = [await _cpu_ms(lambda: _exchange(reader, writer, lists)) for _ in range(POLLS)]
    writer.close()
    return polls, floors


async def _cpu_ms(work: Callable[[], Coroutine[Any, Any, object]]) -> float:
    began = time.process_time()
    await work()
    return (time.process_time() - began) * 1000


async def floor_put(port: int) -> float:
    """Seconds for the bare sentences of as many users, 64 on their way, answers only counted."""
    adds = [
        command(f"{USER}/add", {"name": f"{4000000000 + n}", "password": "x", "limit-uptime": "3600s"})
        for n in range(CARDS)
    ]
    reader, writer = await _signed_in(port)
    began = time.perf_counter()
    await _exchange(reader, writer, adds)
    took_s = time.perf_counter() - began
    writer.close()
    return took_s


async def _signed_in(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _exchange(reader, writer, [("/login", "=name=admin", "=password=secret")])
    return reader, writer


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, questions: Sequence[Words], window: int = 64
) -> None:
    sentences = [encoded((*words, f".tag={place}")) for place, words in enumerate(questions)]
    sent = answered = 0
    while answered < len(sentences):
        more = sentences[sent : answered + window]
        if more:
            writer.write(b"".join(more))
            sent += len(more)
        answered += (await reader.read(1 << 18)).count(b"\x05!done")


if __name__ == "__main__":
    main()
