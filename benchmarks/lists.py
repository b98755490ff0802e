"""Lists at 1,000,000 cards over the API: first page, deep page, filters, search.

    python -m benchmarks.lists           # --cards 100000 for a quick look

Budget: p99 at most 40 ms; page 10,000 at most 1.5 x page 1; no answer over 300 KB.
"""

from __future__ import annotations

import argparse
import base64

from sqlalchemy import select

from bawaba.vouchers import making, rules
from bawaba.vouchers.models import Batch, Voucher
from benchmarks.bulk import sign_in
from benchmarks.load import Result, request, run_once
from tests.product import Product, product

AT_ONCE = 20_000
COUNT = 300
LIMIT = 50


def main() -> None:
    """Print a line for each list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cards", type=int, default=1_000_000)
    parser.add_argument("--database", default="sqlite")
    options = parser.parse_args()
    with product(options.database) as running:
        fill(running, options.cards)
        token = sign_in(running)
        first = measure(running, token, f"/api/vouchers?limit={LIMIT}")
        print(f"page 1: {first}")
        deep = max(1, options.cards - min(10_000 * LIMIT, options.cards // 2))
        asked = {
            "page 10,000": f"/api/vouchers?limit={LIMIT}&cursor={cursor(deep)}",
            "used": f"/api/vouchers?limit={LIMIT}&status=used",
            "unused": f"/api/vouchers?limit={LIMIT}&status=unused",
            "disabled (none)": f"/api/vouchers?limit={LIMIT}&status=disabled",
            "expired (none)": f"/api/vouchers?limit={LIMIT}&status=expired",
            "serial begins with": f"/api/vouchers?limit={LIMIT}&q=B007-01",
            "one batch": f"/api/vouchers?limit={LIMIT}&batch_id=3",
            "500 rows": "/api/vouchers?limit=500",
        }
        for name, path in asked.items():
            result = measure(running, token, path)
            print(f"{name}: {result}; {result.percentile(50) / first.percentile(50):.2f} x page 1", flush=True)


def measure(running: Product, token: str, path: str) -> Result:
    """Ask one list over and over, four at once."""
    data = request("GET", path, headers={"Authorization": f"Bearer {token}"})
    largest = 0

    def seen(number: int, status: int, body: bytes) -> None:
        nonlocal largest
        largest = max(largest, len(body))

    run_once("127.0.0.1", running.port, lambda _: data, 20, 4)
    result = run_once("127.0.0.1", running.port, lambda _: data, COUNT, 4, seen)
    print(f"    {path}: {largest / 1000:.0f} KB", flush=True)
    return result


def fill(running: Product, count: int) -> None:
    """So many cards in batches of 20,000, straight into the database; one in ten used."""
    rt, cast = running.rt, running.cast
    version = cast.make_plan()
    base = making.card_row(version, cast.site.id, None, 0, "", rt.clock.now(), None, 100)
    for batch_number in range(1, count // AT_ONCE + 1):
        batch_id = rt.transact(_batch, cast.site.id, version.id, batch_number, rt.clock.now())
        new = making.new_codes(rt, "letters", AT_ONCE, "")
        rows = [
            base
            | {
                "batch_id": batch_id,
                "number": n,
                "serial": rules.serial_of(batch_number, n),
                "code_digest": code.digest,
                "code_sealed": code.sealed,
                "status": "used" if n % 10 == 0 else "unused",
            }
            for n, code in enumerate(new, start=1)
        ]
        rt.transact(making.CARDS.run, rows)
    assert rt.read(lambda db: db.scalar(select(Voucher.id).order_by(Voucher.id.desc()).limit(1))) == count


def _batch(db, site_id: int, version_id: int, number: int, now) -> int:
    batch = Batch(
        site_id=site_id, number=number, plan_version_id=version_id, quantity=AT_ONCE, created=AT_ONCE, state="ready",
        code_style="digits", price_minor=100, currency="YER", created_at=now, ready_at=now,
    )  # fmt: skip
    db.add(batch)
    db.flush()
    return batch.id


def cursor(row_id: int) -> str:
    """The cursor after a row, as the API gives it out."""
    return base64.urlsafe_b64encode(f"a{row_id}".encode()).decode().rstrip("=")


if __name__ == "__main__":
    main()
