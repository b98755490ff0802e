"""Reports over a year at 1,000,000 cards and sales and as many sessions, over the API, with the cache and without.

    python -m benchmarks.reports           # --cards 100000 for a quick look, --sessions 5000000, --database postgresql

Budget: at most 300 ms. The floor is what adding the rows up themselves takes in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import time
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import text

from bawaba.core.statement import BulkInsert
from bawaba.reports import counting
from bawaba.vouchers import rules
from benchmarks.bulk import sign_in
from benchmarks.lists import _batch
from tests.product import Product, product

AT_ONCE = 20_000
A_BATCH = 2_000
ROUTERS, PLANS, SELLERS = 5, 8, 3
TIMES = 20
VOUCHERS = BulkInsert(
    "voucher",
    "site_id batch_id number plan_version_id serial code_digest code_sealed status over_at used_seconds bytes_up "
    "bytes_down devices_seen moves_that_day price_minor currency note created_at",
)
SALES = BulkInsert("sale", "voucher_id site_id plan_version_id price_minor currency sold_by sold_at told")
SESSIONS = BulkInsert(
    "guest_session",
    "site_id voucher_id router_id client_mac state start_time ended_at used_seconds bytes_up bytes_down seen_up "
    "seen_down seen_epoch rev created_at told told_day told_hour told_router_id told_seconds told_up told_down",
)
RAW = (
    "SELECT plan_version_id, currency, COUNT(*), SUM(price_minor) FROM sale WHERE site_id = 1 GROUP BY 1, 2",
    "SELECT router_id, COUNT(*), SUM(used_seconds), SUM(bytes_down) FROM guest_session WHERE site_id = 1 GROUP BY 1",
)


def main() -> None:
    """Print a line for each report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cards", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--database", default="sqlite")
    options = parser.parse_args()
    with product(options.database) as running:
        began = time.monotonic()
        fill(running, options.cards, options.sessions)
        print(f"filled in {time.monotonic() - began:.0f} s", flush=True)
        began = time.monotonic()
        counting.count_all(running.rt)
        took = time.monotonic() - began
        print(f"all sums made in {took:.0f} s: {(options.cards + options.sessions) / took:,.0f} rows/s", flush=True)
        for sql in RAW:
            print(f"floor, {sql[:60]}…: {measure(partial(running.rt.read, ask, sql), 3)}", flush=True)
        token, today = sign_in(running), running.rt.clock.now().date()
        year = f"from={today - timedelta(days=364)}&to={today}"
        paths = [f"/api/sales?by={by}&{year}" for by in ("day", "plan", "batch")]
        paths += [
            f"/api/reports?by={by}&{year}" for by in ("day", "month", "plan", "batch", "router", "seller", "hour")
        ]
        for path in [*paths, "/api/reports/stock"]:
            print(f"{path.replace('&' + year, '')}: {over_http(running, token, path)}", flush=True)


def over_http(running: Product, token: str, path: str) -> str:
    """Asked again and again: each time after a sale (nothing is cached), then with nothing new."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{running.port}{path}", headers={"Authorization": f"Bearer {token}"}
    )

    def get() -> None:
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()

    def sell() -> None:
        running.rt.transact(lambda db: db.execute(text("UPDATE sale SET told = told WHERE id = 1")))
        running.rt.transact(lambda db: db.execute(text("UPDATE guest_session SET told = told WHERE id = 1")))
        running.rt.transact(lambda db: db.execute(text("UPDATE voucher SET note = note WHERE id = 1")))

    return f"after a write {measure(get, TIMES, sell)}; with nothing new {measure(get, TIMES)}"


def measure(deed: Callable[[], Any], times: int, before: Callable[[], None] = lambda: None) -> str:
    """The median and the longest of some tries, in milliseconds."""
    took = []
    for _ in range(times):
        before()
        began = time.perf_counter()
        deed()
        took.append((time.perf_counter() - began) * 1000)
    return f"p50 {statistics.median(took):.1f} ms, longest {max(took):.1f} ms"


def ask(db: Any, sql: str) -> list[Any]:
    """The rows of a question."""
    return list(db.execute(text(sql)))


def fill(running: Product, cards: int, sessions: int) -> None:
    """Cards in batches of 2,000, half of them sold and used over the last year, and as many sessions as asked for."""
    rt, cast = running.rt, running.cast
    site_id, now = cast.site.id, rt.clock.now()
    versions = [cast.make_plan(name=f"Plan {number}", price_minor=100 * number).id for number in range(1, PLANS + 1)]
    routers = [cast.router.id] + [cast.make_router(site_id).id for _ in range(ROUTERS - 1)]
    step = timedelta(days=364) / cards
    start = now - timedelta(days=364)
    for first in range(0, cards, AT_ONCE):
        batches = {
            number: rt.transact(_batch, site_id, versions[number % PLANS], number + 1, now)
            for number in range(first // A_BATCH, (first + AT_ONCE) // A_BATCH)
        }
        rt.transact(VOUCHERS.run, [_card(n, site_id, batches, versions, now) for n in range(first, first + AT_ONCE)])
        rt.transact(
            SALES.run,
            [
                {"voucher_id": n + 1, "site_id": site_id, "plan_version_id": versions[n // A_BATCH % PLANS],
                 "price_minor": 100, "currency": "YER", "sold_by": n % SELLERS or None, "sold_at": start + step * n,
                 "told": 0}
                for n in range(first, first + AT_ONCE)
            ],
        )  # fmt: skip
    step = timedelta(days=364) / sessions
    for first in range(0, sessions, AT_ONCE):
        numbers = range(first, min(sessions, first + AT_ONCE))
        rt.transact(
            SESSIONS.run,
            [_session(n, n * cards // sessions + 1, site_id, routers, start + step * n) for n in numbers],
        )
    rt.transact(lambda db: db.execute(text("ANALYZE"))) if not rt.database.is_sqlite else None


def _card(number: int, site_id: int, batches: dict[int, int], versions: list[int], now: Any) -> dict[str, Any]:
    batch, place = divmod(number, A_BATCH)
    is_left = number % 2 == 0
    return {
        "site_id": site_id, "batch_id": batches[batch], "number": place + 1,
        "plan_version_id": versions[batch % PLANS], "serial": rules.serial_of(batch + 1, place + 1),
        "code_digest": number.to_bytes(32), "code_sealed": b"sealed", "status": "unused" if is_left else "used",
        "over_at": now + timedelta(days=number % 400) if is_left else now, "used_seconds": 0, "bytes_up": 0,
        "bytes_down": 0, "devices_seen": 1, "moves_that_day": 0, "price_minor": 100, "currency": "YER", "note": "",
        "created_at": now,
    }  # fmt: skip


def _session(number: int, voucher_id: int, site_id: int, routers: list[int], at: Any) -> dict[str, Any]:
    return {
        "site_id": site_id, "voucher_id": voucher_id, "router_id": routers[number % ROUTERS],
        "client_mac": "02:00:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(4)),
        "state": "ended", "start_time": at, "ended_at": at + timedelta(hours=1), "used_seconds": 3600,
        "bytes_up": 10**6, "bytes_down": 10**8, "seen_up": 0, "seen_down": 0, "seen_epoch": 0, "rev": 1,
        "created_at": at, "told": 0, "told_day": 0, "told_hour": 0, "told_router_id": 0, "told_seconds": 0,
        "told_up": 0, "told_down": 0,
    }  # fmt: skip


if __name__ == "__main__":
    main()
