"""Each page of owners and operators: server p95, bytes and requests, beside `/healthz` in the same run.

    python -m benchmarks.pages

A shop in the evening (plans, cards, guests online, a week of sales) on SQLite, one request in flight. The weight is
what a browser with an empty cache loads in all, zipped as it goes out; one that was here before loads the page alone.
"""

from __future__ import annotations

import gzip
import re
import statistics
import time

import httpx

from tests.pages.shop import fill
from tests.product import ADMIN, PASSWORD, Product, product

COUNT, WARM_UP = 60, 5
PAGES = (
    *("/login", "/dashboard", "/counter", "/check", "/cards", "/cards/1", "/cards/new", "/batches", "/batches/1"),
    *("/sessions", "/sales", "/routers", "/routers/1", "/routers/1/history", "/jobs", "/devices", "/plans"),
    *("/plans/new", "/people", "/site", "/notifications", "/backups", "/styleguide", "/account"),
)
LOADED = re.compile(r'(?:src|href)="(/static/[^"#]+)')


def main() -> None:
    """Print a line for each page."""
    with product() as running:
        fill(running)
        p50, p95 = times(client(running), "/healthz")
        print(f"/healthz: p50 {p50:.1f}, p95 {p95:.1f} ms", flush=True)
        for path in PAGES:
            measure(running, path)


def client(running: Product, *, signed_in: bool = True) -> httpx.Client:
    """A browser's session."""
    made = httpx.Client(base_url=f"http://127.0.0.1:{running.port}", headers={"Accept": "text/html"}, timeout=20)
    if signed_in:
        made.post("/login", data={"username": ADMIN, "password": PASSWORD})
    return made


def measure(running: Product, path: str) -> None:
    """One page: how long, how heavy, how many requests."""
    browser = client(running, signed_in=path != "/login")
    page = browser.get(path)
    page.raise_for_status()
    own = len(gzip.compress(page.content, 6))
    files = {address: browser.get(address).content for address in sorted(set(LOADED.findall(page.text)))}
    loaded = sum(len(gzip.compress(body, 9)) for body in files.values())
    p50, p95 = times(browser, path)
    print(
        f"{path:22} p50 {p50:5.1f}, p95 {p95:5.1f} ms; page {own:6,} bytes; with all that it loads "
        f"{own + loaded:7,} bytes in {1 + len(files)} requests",
        flush=True,
    )


def times(browser: httpx.Client, path: str) -> tuple[float, float]:
    """Milliseconds until the whole answer is there: in the middle, and 19 of 20 times."""
    for _ in range(WARM_UP):
        browser.get(path)
    taken = []
    for _ in range(COUNT):
        began = time.perf_counter()
        browser.get(path)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1]


if __name__ == "__main__":
    main()
