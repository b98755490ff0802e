"""One poll of a router with 10,000 sessions: every counter moved, booked in one transaction.

    python -m benchmarks.accounting      # --sessions 100 for a small router

Budget: at least 10,000 sessions a second in process; a router with 100 sessions in 2 ms of CPU.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from bawaba import migrations, wiring
from bawaba.core.config import Config
from bawaba.routers.driver import Client, RouterSession
from bawaba.sessions import accounting
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import making
from tests.cast import Cast
from tests.services import running_postgres

ROUNDS = 5


def main() -> None:
    """Print a line for each database."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=10_000)
    count = parser.parse_args().sessions
    for database in ("sqlite", "postgresql"):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bawaba-bench-")))
            url = f"sqlite:///{folder / 'bawaba.db'}"
            if database == "postgresql":
                url = stack.enter_context(stack.enter_context(running_postgres()).database())
            migrations.migrate(url)
            rt = wiring.build(Config(data_dir=folder, database_url=url))
            stack.callback(wiring.stop, rt)
            cast = Cast(rt)
            fill(cast, count)
            floor = min(floor_of(cast, count) for _ in range(ROUNDS))
            wall, cpu = [], []
            for number in range(1, ROUNDS + 1):
                seen = [reading(session_id, number) for session_id in range(1, count + 1)]
                began, busy = time.perf_counter(), time.process_time()
                now = rt.clock.now()
                settled = rt.transact(accounting.settle, cast.router.id, seen, now, now)
                wall.append(time.perf_counter() - began)
                cpu.append(time.process_time() - busy)
                assert len(settled.moved) == count and not settled.ended
            best = min(wall)
            print(
                f"{database}: {count:,} sessions settled in {best * 1000:.1f} ms ({count / best:,.0f}/s), "
                f"{min(cpu) * 1000:.1f} ms of CPU here; floor of one executemany {floor * 1000:.1f} ms, "
                f"{best / floor:.1f} x the floor",
                flush=True,
            )


def fill(cast: Cast, count: int) -> None:
    """So many guests online, each by a card of their own."""
    rt, version = cast.rt, cast.make_plan(quota_bytes=10**12)
    now = rt.clock.now()
    base = making.card_row(version, cast.site.id, None, 0, "", now, None, 100)
    new = making.new_codes(rt, "letters", count, "")
    used = {"status": "used", "over_at": now + timedelta(hours=3)}
    rt.transact(
        making.CARDS.run,
        [
            base | used | {"code_digest": code.digest, "code_sealed": code.sealed, "number": n, "serial": f"X-{n}"}
            for n, code in enumerate(new)
        ],
    )
    rt.transact(_sessions, cast, count, now)


def _sessions(db: Session, cast: Cast, count: int, now: Any) -> None:
    rows = [
        {
            "site_id": cast.site.id,
            "voucher_id": number,
            "router_id": cast.router.id,
            "client_mac": f"02:00:5e:60:{number >> 8:02x}:{number & 255:02x}",
            "state": "online",
            "start_time": now - timedelta(seconds=60),
            "seen_epoch": 1,
            "active_at": now,
            "created_at": now,
        }
        for number in range(1, count + 1)
    ]
    db.execute(insert(GuestSession), rows)


def reading(session_id: int, number: int) -> RouterSession:
    """What the router says of a session at its so-manieth poll."""
    return RouterSession(
        str(session_id), f"session:{session_id}", None, Client("02:00:5e:00:00:01"), None, 60,
        number * 1000, number * 9000, 1,
    )  # fmt: skip


def floor_of(cast: Cast, count: int) -> float:
    """One UPDATE for each session, by executemany, and nothing else."""
    rows = [
        {"id": n, "up": 0, "down": 0, "seen_up": 0, "seen_down": 0, "epoch": 1, "now": cast.now, "active_at": cast.now}
        for n in range(1, count + 1)
    ]
    began = time.perf_counter()
    cast.rt.transact(accounting.BOOK_SESSIONS.run_many, rows)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
