"""Redeeming over HTTP, beside the database's own floor and a Flask hello on the same server in the same run.

    python -m benchmarks.redeem

Rates move with whatever else the machine does; the CPU of ours that a redemption costs, and its statements and round
trips, do so much less.

Budget (in-flight 16 and 64, SQLite FULL and PostgreSQL): at least 0.25 x a Flask hello, p99 <= 5 x p50; with two
processes on PostgreSQL the aim is FreeRADIUS's 1,600 a second.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from bawaba.sessions import redeem
from bawaba.sessions.redeem import Guest
from bawaba.vouchers import making
from benchmarks.hello import server
from benchmarks.load import Result, request, run_once
from tests.product import Product, product

CARDS = 3000
IN_FLIGHT = (1, 16, 64)
WARM_UP = 300
PHONES = itertools.count(1)
ASKS = ("Bind", "Query")  # PostgreSQL's messages that carry a statement (manual, 55.7)


def main() -> None:
    """Print a line for each database and number of requests in flight."""
    hello = {flight: measure_hello(flight) for flight in IN_FLIGHT}
    for flight, result in hello.items():
        print(f"Flask hello        {flight:3} in flight: {result}", flush=True)
    for database, processes in (("sqlite", 1), ("postgresql", 1), ("postgresql", 2)):
        with product(database, processes) as running:
            floor = sql_floor(running)
            print(f"{database}: a redemption is {told_of_the_database(running, database)}", flush=True)
            print(f"{database}: floor of durable commits, 16 threads: {floor:,.0f}/s", flush=True)
            for flight in IN_FLIGHT:
                result, cpu_ms = measure(running, flight)
                ratio, spread = result.rate / hello[flight].rate, result.percentile(99) / result.percentile(50)
                print(
                    f"{database} x {processes}  {flight:3} in flight: {result}; {cpu_ms:.2f} ms of our CPU each, "
                    f"{ratio:.2f} x hello, {result.rate / floor:.2f} x floor, p99 = {spread:.1f} x p50",
                    flush=True,
                )


def measure_hello(flight: int) -> Result:
    """The same bridge and server, with nothing behind them."""
    data = request("GET", "/")
    with server("benchmarks.hello", "--serve", "Flask, bridge") as running:
        run_once("127.0.0.1", running.port, lambda _: data, 2000, 16)
        return run_once("127.0.0.1", running.port, lambda _: data, 10_000, flight)


def told_of_the_database(running: Product, database: str) -> str:
    """How many statements one redemption of a fresh card sends, and how many times it waits for PostgreSQL."""
    codes = cards(running, 5)
    for code in codes[1:]:
        redeem.redeem(running.rt, code, phone(running))
    raw = running.rt.transact(lambda db: db.info["raw"])
    if database == "sqlite":
        statements: list[str] = []
        raw.set_trace_callback(statements.append)
        redeem.redeem(running.rt, codes[0], phone(running))
        raw.set_trace_callback(None)
        return f"{len(statements)} statements"
    with tempfile.TemporaryFile("w+") as said:
        raw.pgconn.trace(said.fileno())
        redeem.redeem(running.rt, codes[0], phone(running))  # by the same connection, which was free
        raw.pgconn.untrace()
        said.seek(0)
        words = [line.split("\t") for line in said]
    sent, waited = (sum(len(word) > 3 and word[3] in known for word in words) for known in (ASKS, ("ReadyForQuery",)))
    return f"{sent} statements in {waited} round trips"


def phone(running: Product) -> Guest:
    """A guest whom nobody knows."""
    return Guest(running.cast.router.id, mac_of(next(PHONES)), "10.77.0.9")


def mac_of(number: int) -> str:
    """A locally administered address."""
    return ":".join(f"{number:012x}"[i : i + 2] for i in range(0, 12, 2)).replace("00:", "02:", 1)


def cpu_s(running: Product) -> float:
    """The processor time that the servers have used until now."""
    stats = [Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split() for process in running.processes]
    return sum(int(words[11]) + int(words[12]) for words in stats) / os.sysconf("SC_CLK_TCK")


def measure(running: Product, flight: int) -> tuple[Result, float]:
    """Redeem fresh cards, each by a phone of its own; what came, and the servers' CPU for each in ms."""
    count = CARDS if flight > 1 else CARDS // 5
    codes = cards(running, count + WARM_UP)
    told: list[str] = []

    def factory(number: int) -> bytes:
        mac = mac_of(next(PHONES))
        body = json.dumps({"code": codes.pop(), "client_mac": mac, "client_ip": "10.77.0.9"}).encode()
        return request("POST", "/api/voucher/redeem", headers={"Content-Type": "application/json"}, body=body)

    def answered(number: int, status: int, body: bytes) -> None:
        told.append(json.loads(body).get("status", "refused"))

    run_once("127.0.0.1", running.port, factory, WARM_UP, flight)
    before_s = cpu_s(running)
    if len(running.ports) == 1:
        result = run_once("127.0.0.1", running.port, factory, count, flight, answered)
    else:
        result = over_all_ports(running, factory, count, flight)
    if told and told.count("online") < len(told):
        print(f"    of {len(told)}: { ({word: told.count(word) for word in sorted(set(told))}) }")
    return result, (cpu_s(running) - before_s) / count * 1000


def over_all_ports(running: Product, factory: object, count: int, flight: int) -> Result:
    """Half of the requests to each process, as a proxy would do it."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(running.ports)) as pool:
        share = len(running.ports)
        parts = list(
            pool.map(
                lambda port: run_once("127.0.0.1", port, factory, count // share, max(1, flight // share)),  # type: ignore[arg-type]
                running.ports,
            )
        )
    whole = Result(time.perf_counter() - began)
    for part in parts:
        whole.times_ms += part.times_ms
        whole.statuses.update(part.statuses)
        whole.broken += part.broken
    return whole


def cards(running: Product, count: int) -> list[str]:
    """Fresh cards, straight into the database."""
    rt, version = running.rt, running.cast.make_plan()
    new = making.new_codes(rt, "digits", count, "")
    base = making.card_row(version, running.cast.site.id, None, 0, "", rt.clock.now(), None, 100)
    rows = [
        base | {"code_digest": code.digest, "code_sealed": code.sealed, "number": n, "serial": f"X{version.id}-{n}"}
        for n, code in enumerate(new)
    ]
    rt.transact(making.CARDS.run, rows)
    return [code.text for code in new]


def sql_floor(running: Product) -> float:
    """Durable single-row commits a second, 16 threads, through the same `transact`."""

    def one(number: int) -> None:
        running.rt.transact(bump, number)

    def bump(db: Session, number: int) -> None:
        db.connection().exec_driver_sql(f"UPDATE voucher SET note = 'floor' WHERE id = {number}")

    count = 2000
    with ThreadPoolExecutor(16) as pool:
        began = time.perf_counter()
        list(pool.map(one, range(count)))
    assert running.rt.read(lambda db: db.execute(text("SELECT 1")).scalar()) == 1
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
