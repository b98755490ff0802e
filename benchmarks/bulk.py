"""100,000 cards through the public API, with guests redeeming meanwhile, beside the floor of codes and inserts.

    python -m benchmarks.bulk            # --quantity 10000 for a quick look

Budget: at most 4 x the floor and 6 s; t(100,000) / t(10,000) at most 12; redeems meanwhile p99 at most 100 ms.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from random import SystemRandom
from typing import Any

from bawaba.vouchers import codes
from benchmarks.redeem import cards
from tests.product import ADMIN, PASSWORD, Product, product

PAUSE_S = 0.02
GUESTS = 4000


def main() -> None:
    """Print a line for each database."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quantity", type=int, default=100_000)
    quantity = parser.parse_args().quantity
    floor = sqlite_floor(quantity)
    print(f"floor (SQLite): {quantity:,} codes made, hashed and inserted in {floor:.2f} s", flush=True)
    for database in ("sqlite", "postgresql"):
        with product(database) as running:
            token, plan_id = sign_in(running), running.cast.make_plan().plan_id
            small = make(running, token, plan_id, max(1, quantity // 10))
            alone = make(running, token, plan_id, quantity)
            busy, times = make_while_guests_redeem(running, token, plan_id, quantity)
        times.sort()
        p99 = times[int(len(times) * 0.99)] * 1000
        print(
            f"{database}: {quantity:,} cards in {alone:.2f} s, {alone / floor:.1f} x the floor, "
            f"{alone / small:.1f} x the time of {quantity // 10:,}; with guests {busy:.2f} s, "
            f"{len(times)} redeems meanwhile: p50 {times[len(times) // 2] * 1000:.1f} ms, p99 {p99:.1f} ms",
            flush=True,
        )


def sqlite_floor(quantity: int) -> float:
    """The least that making cards can be: codes by the system's chance, a hash each, one durable insert."""
    import hashlib

    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "floor.db")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE card (id INTEGER PRIMARY KEY, serial TEXT, digest BLOB UNIQUE, sealed BLOB)")
        began = time.perf_counter()
        made = codes.new_codes(SystemRandom(), "digits", quantity)
        rows = [(f"B001-{n}", hashlib.sha256(code.encode()).digest(), bytes(40)) for n, code in enumerate(made)]
        with connection:
            connection.executemany("INSERT INTO card (serial, digest, sealed) VALUES (?, ?, ?)", rows)
        seconds = time.perf_counter() - began
        connection.close()
    return seconds


def make(running: Product, token: str, plan_id: int, quantity: int) -> float:
    """Order a batch and wait until it is ready; seconds."""
    began = time.perf_counter()
    batch = call(running, "/api/vouchers/bulk", {"plan_id": plan_id, "quantity": quantity}, token)
    while batch["state"] == "making":
        time.sleep(PAUSE_S)
        batch = call(running, f"/api/batches/{batch['id']}", None, token)
    assert (batch["state"], batch["created"]) == ("ready", quantity)
    return time.perf_counter() - began


def make_while_guests_redeem(running: Product, token: str, plan_id: int, quantity: int) -> tuple[float, list[float]]:
    """The same with a guest every 20 ms; seconds, and how long each guest waited."""
    waiting, over, times = cards(running, GUESTS), threading.Event(), []

    def guests() -> None:
        for number, code in enumerate(waiting):
            if over.is_set():
                return
            mac = f"02:00:5e:40:{number >> 8:02x}:{number & 255:02x}"
            began = time.perf_counter()
            call(running, "/api/voucher/redeem", {"code": code, "client_mac": mac})
            times.append(time.perf_counter() - began)
            time.sleep(PAUSE_S)

    thread = threading.Thread(target=guests)
    thread.start()
    seconds = make(running, token, plan_id, quantity)
    over.set()
    thread.join()
    return seconds, times


def sign_in(running: Product) -> str:
    """An access token."""
    return str(call(running, "/api/auth/login", {"username": ADMIN, "password": PASSWORD})["access_token"])


def call(running: Product, path: str, body: Any = None, token: str = "") -> Any:
    """One call of the API."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = json.dumps(body).encode() if body is not None else None
    asked = urllib.request.Request(f"http://127.0.0.1:{running.port}{path}", data, headers)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
