"""A thousand routers with a hundred guests each, looked at every half minute: what it costs of one core.

    python -m benchmarks.watching            # --routers 100 --guests 100 --minutes 2

The routers are simulated MikroTiks in a process of their own, over the real API; the product polls them as it always
does, books what guests moved in SQLite, and keeps its samples. Budget: every router once in 30 s, on one core; a poll
of 100 sessions end to end in 2 ms of CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from bawaba import migrations, wiring
from bawaba.core import log
from bawaba.core.config import Config
from bawaba.core.runtime import Runtime
from bawaba.routers.drivers.routeros import words
from bawaba.routers.models import Router
from bawaba.routers.part import part
from bawaba.routers.simulators.routeros.router import Router as Simulated
from bawaba.routers.simulators.routeros.running import Simulators
from bawaba.sessions.models import GuestSession
from benchmarks import accounting
from tests.cast import Cast

PERIOD_S = 30.0
USER, SECRET = "bawaba", "a password"
SETTLE_S = 45.0  # connections are opened, the first round is over


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routers", type=int, default=1000)
    parser.add_argument("--guests", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--serve", metavar="INSTALL", help=argparse.SUPPRESS)
    told = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, told.routers * 3 + 500), hard), hard))
    if told.serve:
        serve(told.serve, told.routers, told.guests)
        return
    with tempfile.TemporaryDirectory(prefix="bawaba-bench-") as folder:
        config = Config(data_dir=Path(folder))
        migrations.migrate(config.sqlalchemy_url)
        rt = wiring.build(config)
        try:
            with simulated(rt.keyring.fingerprint[:8], told.routers, told.guests) as ports:
                fill(Cast(rt), ports, told.guests)
                watch(rt, told.routers, told.guests, told.minutes * 60)
        finally:
            wiring.stop(rt)


def watch(rt: Runtime, routers: int, guests: int, seconds: float) -> None:
    """Let the product poll for a while, and say what that took."""
    log.configure("error")
    looked: list[tuple[int, float]] = []
    poll = part(rt).on_poll
    assert poll is not None

    async def timed(runtime: Runtime, router_id: int) -> None:
        began = time.perf_counter()
        await poll(runtime, router_id)
        looked.append((router_id, time.perf_counter() - began))

    part(rt).on_poll = timed
    wiring.start_background(rt)
    time.sleep(SETTLE_S)
    looked.clear()
    began, busy = time.perf_counter(), time.process_time()
    lag = asyncio.run_coroutine_threadsafe(_lag(seconds), part(rt).loop._loop).result(seconds + 60)
    took, cpu = time.perf_counter() - began, time.process_time() - busy
    times = sorted(1000 * one for _router, one in looked)
    p50, p99 = (times[int(len(times) * part)] for part in (0.5, 0.99))
    up = rt.read(lambda db: len(db.scalars(select(Router.id).where(Router.status == "up")).all())) - 1
    print(
        f"{routers} routers x {guests} sessions: {len(looked) * PERIOD_S / took:,.0f} polls in {PERIOD_S:.0f} s, "
        f"{up} up; "
        f"{100 * cpu / took:.0f} % of one core, {1000 * cpu / max(1, len(looked)):.2f} ms of CPU a poll; "
        f"a poll took p50 {p50:.0f} ms, p99 {p99:.0f} ms; the loop was late by {1000 * lag:.0f} ms at worst; "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB",
        flush=True,
    )


async def _lag(seconds: float) -> float:
    """How late the router loop's clock ran at worst."""
    worst, until = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        await asyncio.sleep(0.05)
        worst = max(worst, time.perf_counter() - began - 0.05)
    return worst


def fill(cast: Cast, ports: list[int], guests: int) -> None:
    """The routers, and a session for each of their guests."""
    rt, count = cast.rt, len(ports) * guests
    sealed = rt.keyring.encrypt(SECRET.encode(), b"router password")
    first = cast.router.id + 1
    base = {"site_id": cast.site.id, "driver": "routeros", "address": "127.0.0.1", "username": USER}
    base |= {"password_sealed": sealed, "options": {"tls": False}, "health": {}, "created_at": rt.clock.now()}

    def add_routers(db: Session) -> None:
        db.execute(insert(Router), [base | {"id": first + n, "name": f"R{n}", "port": p} for n, p in enumerate(ports)])

    rt.transact(add_routers)
    accounting.fill(cast, count)

    def spread(db: Session) -> None:
        for number in range(len(ports)):
            ids = (number * guests + 1, (number + 1) * guests)
            db.query(GuestSession).filter(GuestSession.id.between(*ids)).update({"router_id": first + number})

    rt.transact(spread)


@contextmanager
def simulated(install: str, routers: int, guests: int) -> Iterator[list[int]]:
    """The routers' API ports; they are a process of their own."""
    command = [sys.executable, "-m", "benchmarks.watching", "--serve", install]
    command += ["--routers", str(routers), "--guests", str(guests)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdin is not None
    try:
        yield json.loads(child.stdout.readline())
    finally:
        child.stdin.close()
        child.wait(30)


def serve(install: str, routers: int, guests: int) -> None:
    """Be the routers until standard input ends."""
    ports: dict[str, int | None] = {"api_port": 0, "tls_port": None}
    with Simulators() as simulators:
        made = [simulators.start(username=USER, password=SECRET, licence_level=6, ports=ports) for _ in range(routers)]
        for number, router in enumerate(made):
            router.add("/ip/hotspot/user/profile", name="bw-0-0-1x", **{"shared-users": "1"})
            for guest in range(guests):
                key = f"session:{number * guests + guest + 1}"
                _let_in(router, install, key, guest)
        print(json.dumps([router.api_port for router in made]), flush=True)
        sys.stdin.read()


def _let_in(router: Simulated, install: str, key: str, guest: int) -> None:
    """One of our guests: its user as the driver writes it, and its phone online by it."""
    name, comment = words.session_user(install, key), str(words.Tag(install, key, 1, 1))
    address = f"10.5.{51 + guest // 250}.{guest % 250 + 1}"
    phone = router.join(f"02:00:5E:40:{guest >> 8:02X}:{guest & 255:02X}", address)
    about = {"email": words.mark(install, "session"), "comment": comment, "limit-uptime": "3h"}
    router.add("/ip/hotspot/user", name=name, profile="bw-0-0-1x", **about)
    with router.lock:
        host = router.hotspot.host_of(phone)
        assert host is not None
        router.hotspot.login(name, lambda _secret: True, host, "http-pap")
    phone.flow(up=100, down=2000)


if __name__ == "__main__":
    main()
