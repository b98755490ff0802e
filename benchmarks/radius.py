"""Authentications and accounting through the real FreeRADIUS, beside FreeRADIUS alone and beside our own HTTP.

    python -m benchmarks.radius

Floors in the same run: FreeRADIUS with the same configuration that accepts everybody without asking us, and the same
questions sent to us over HTTP without FreeRADIUS. The rivals' figures are in the design's budgets: 4/s (openwisp-radius
over REST), 32/s (PHPNuxBill), 1,616/s (FreeRADIUS on PostgreSQL, which lets 64 racing guests in on one card).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bawaba.radius.configuration import MAIN
from bawaba.radius.door import USER, secret_of
from benchmarks.load import request as http_request
from benchmarks.load import run_once
from benchmarks.redeem import cards
from tests.product import Product, product
from tests.radius.conftest import Gateway
from tests.radius.freeradius import FreeRadius, configured, request, together
from tests.radius.nas import SECRET
from tests.services import server

COUNT = 2000
WARM_UP = 200
SENDERS = 2  # radclient is slow with long lists
IN_FLIGHT = (16, 64)
APPROVED = re.compile(r"Accepted\s*:\s*(\d+)|Total approved auths:\s*(\d+)")
ALONE = re.compile(r"\trest \{\n\t+fail = 1.*?\n\t\t\}\n", re.DOTALL)


def main() -> None:
    """Print a line for each database and number of requests in flight."""
    with product() as running, _freeradius(running, alone=True) as radius:
        for flight in IN_FLIGHT:
            print(
                f"FreeRADIUS alone         {flight:3} in flight: {authentications(running, radius, flight)}", flush=True
            )
    for database, processes in (("sqlite", 1), ("postgresql", 1)):
        with product(database, processes) as running, _freeradius(running) as radius:
            for flight in IN_FLIGHT:
                print(f"{database}: HTTP without it  {flight:3} in flight: {over_http(running, flight)}", flush=True)
                print(
                    f"{database}: authentications  {flight:3} in flight: {authentications(running, radius, flight)}",
                    flush=True,
                )
            print(f"{database}: accounting starts 16 in flight: {starts(running, radius, 16)}", flush=True)


@contextmanager
def _freeradius(running: Product, *, alone: bool = False) -> Iterator[FreeRadius]:
    """FreeRADIUS in front of the product; `alone`: it accepts everybody by itself."""
    gateway = Gateway(running.rt, running.cast)
    running.cast.router = gateway.router
    with tempfile.TemporaryDirectory(prefix="bawaba-bench-") as folder:
        made = configured(running.rt, running.port, Path(folder))
        if alone:
            main = made.folder / MAIN
            accept = "\tupdate control {\n\t\t\t&Auth-Type := Accept\n\t\t}\n"
            text, changed = ALONE.subn(accept, main.read_text())
            assert changed == 1
            main.write_text(text)

        def ready() -> None:
            if "Ready to process requests" not in made.log.read_text():
                raise OSError("not yet")

        with server(["freeradius", "-f", "-l", "stdout", "-d", folder], ready, made.log):
            yield made


def authentications(running: Product, radius: FreeRadius, flight: int) -> str:
    """Fresh cards, each by a device of its own; and what one costs our own process, whatever else runs here."""
    _sent(radius, _questions(running, WARM_UP), "auth", flight)
    questions, before_s = _questions(running, COUNT), _cpu_s(running)
    said = _sent(radius, questions, "auth", flight)
    return f"{said}, {(_cpu_s(running) - before_s) / COUNT * 1000:.2f} ms of our CPU each"


def _cpu_s(running: Product) -> float:
    """The processor's time that the server has had so far."""
    words = Path(f"/proc/{running.processes[0].pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def starts(running: Product, radius: FreeRadius, flight: int) -> str:
    """Accounting-Start for guests who have just been accepted, known by card and device."""
    questions = _questions(running, COUNT)
    _sent(radius, questions, "auth", flight)
    reports = [
        re.sub(
            r"Message-Authenticator = 0x00\n", f'Acct-Status-Type = Start\nAcct-Session-Id = "{number:08x}"\n', packet
        )
        for number, packet in enumerate(questions)
    ]
    return _sent(radius, reports, "acct", flight)


def over_http(running: Product, flight: int) -> str:
    """The same questions as FreeRADIUS's, straight to us."""
    codes = cards(running, COUNT)
    key = b64encode(f"{USER}:{secret_of(running.rt.keyring)}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {key}"}

    def factory(number: int) -> bytes:
        code = codes[number % COUNT]
        values = {"User-Name": code, "Calling-Station-Id": _mac(code), "Framed-IP-Address": "10.77.0.9"}
        body = json.dumps({name: {"type": "string", "value": [value]} for name, value in values.items()}).encode()
        path = f"/api/radius/{running.cast.router.id}/authorize"
        return http_request("POST", path, headers=headers, body=body)

    return str(run_once("127.0.0.1", running.port, factory, COUNT, flight))


def _questions(running: Product, count: int) -> list[str]:
    codes = cards(running, count)
    return [request("127.0.0.1", User_Name=code, Calling_Station_Id=_mac(code)) for code in codes]


def _mac(code: str) -> str:
    """A device of its own for each card."""
    digits = f"02{int(code):010x}"[:12]
    return "-".join(digits[place : place + 2] for place in range(0, 12, 2))


def _sent(radius: FreeRadius, packets: list[str], kind: str, flight: int) -> str:
    """Send all, by radclients side by side, and say how fast; lost or refused ones are said too."""
    port = radius.auth_port if kind == "auth" else radius.acct_port
    command = [
        "radclient",
        "-q",
        "-s",
        "-t",
        "5",
        "-r",
        "3",
        "-p",
        str(flight // SENDERS),
        f"127.0.0.1:{port}",
        kind,
        SECRET,
    ]

    def one(share: int) -> str:
        told = together(packets[share::SENDERS])
        return subprocess.run(command, input=told, capture_output=True, text=True, check=False).stdout

    began = time.perf_counter()
    with ThreadPoolExecutor(SENDERS) as pool:
        said = list(pool.map(one, range(SENDERS)))
    took = time.perf_counter() - began
    done = sum(int(next(filter(None, found))) for words in said for found in APPROVED.findall(words))
    lost = f", {len(packets) - done} not accepted" if done < len(packets) else ""
    return f"{len(packets) / took:,.0f}/s{lost}"


if __name__ == "__main__":
    main()
