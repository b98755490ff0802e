"""The guest's pages over HTTP, beside a Flask hello on the same server in the same run, and their bytes on the wire.

    python -m benchmarks.portal

Budget: server p95 <= 20 ms with 8 in flight, <= 14 KB on the wire, one request a page. The load generator shares the
machine's cores with the server, so its own time is in the figures; the server's CPU time says more on a busy machine.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

from bawaba.sessions import redeem
from benchmarks.hello import server
from benchmarks.load import Result, request, run_once
from tests.cast import HOUR, MIB, phones
from tests.product import Product, product

COUNT, WARM_UP, IN_FLIGHT = 4000, 400, 8
GUESTS = phones(200)
HEADERS = {"Accept": "text/html", "Accept-Language": "ar", "User-Agent": "CaptiveNetworkSupport-407.40.1 wispr"}


def main() -> None:
    """Print a line for each page and database."""
    hello = measure_hello()
    print(f"Flask hello: {told(hello)}", flush=True)
    for database in ("sqlite", "postgresql"):
        with product(database) as running:
            for name, factory in pages(running).items():
                run_once("127.0.0.1", running.port, factory, WARM_UP, IN_FLIGHT)
                before = cpu_seconds(running)
                result = run_once("127.0.0.1", running.port, factory, COUNT, IN_FLIGHT)
                cpu_us = (cpu_seconds(running) - before) / COUNT * 1e6
                print(
                    f"{database:10}  {name:9} {told(result)}; {cpu_us:.0f} us CPU; {result.rate / hello.rate:.2f} x "
                    f"hello; {wire_bytes(running.port, factory(0)):,} bytes on the wire",
                    flush=True,
                )


def measure_hello() -> Result:
    """The same bridge and server, with nothing behind them."""
    data = request("GET", "/")
    with server("benchmarks.hello", "--serve", "Flask, bridge") as running:
        run_once("127.0.0.1", running.port, lambda _: data, WARM_UP, IN_FLIGHT)
        return run_once("127.0.0.1", running.port, lambda _: data, COUNT, IN_FLIGHT)


def pages(running: Product) -> dict[str, Callable[[int], bytes]]:
    """What is asked for: each moment of a visit by 200 phones."""
    rt, cast = running.rt, running.cast
    version = cast.make_plan(duration_seconds=3 * HOUR, quota_bytes=1024 * MIB)
    fresh = cast.make_voucher(version=version)

    def page(path: str, prefix: str = "") -> Callable[[int], bytes]:
        def ask(number: int) -> bytes:
            told = urlencode(
                {"client_mac": prefix + GUESTS[number % len(GUESTS)][len(prefix) :], "client_ip": "10.7.0.9"}
            )
            return request("GET", f"{path}?{told}", headers=HEADERS)

        return ask

    def mistyped(number: int) -> bytes:
        form = {"code": "1234 5678 9012", "client_mac": GUESTS[number % len(GUESTS)]}
        headers = {**HEADERS, "Content-Type": "application/x-www-form-urlencoded"}
        return request("POST", "/api/voucher/redeem", headers=headers, body=urlencode(form).encode())

    for mac in GUESTS:
        redeem.redeem(rt, cast.make_voucher(version=version).code, redeem.Guest(cast.router.id, mac, "10.7.0.9"))
    return {
        "/": page("/", prefix="06"),
        "/c/<code>": page(f"/c/{fresh.code}", prefix="06"),
        "/status": page("/status"),
        "a refusal": mistyped,
    }


def told(result: Result) -> str:
    """The figures of the budget."""
    odd = {status: count for status, count in result.statuses.items() if status != 200}
    more = f" ({odd})" if odd or result.broken else ""
    return f"{result.rate:,.0f}/s, p50 {result.percentile(50):.1f} ms, p95 {result.percentile(95):.1f} ms{more}"


def cpu_seconds(running: Product) -> float:
    """The processor time of the server until now."""
    fields = Path(f"/proc/{running.processes[0].pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wire_bytes(port: int, asked: bytes) -> int:
    """All bytes of one answer, head and body."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(asked.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        return sum(len(piece) for piece in iter(lambda: connection.recv(65536), b""))


if __name__ == "__main__":
    main()
