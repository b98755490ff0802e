"""Redeems many codes at once from this process (for test_parallel): one answer a line, as it came.

Standard input has one `code mac` a line; the process says "ready", and begins when it is sent "go".
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from bawaba import wiring
from bawaba.core.clock import ManualClock
from bawaba.core.config import Config
from bawaba.core.errors import Problem
from bawaba.sessions.redeem import Guest, redeem

THREADS = 20

data_dir, url, router_id, later_s = sys.argv[1:]
clock = ManualClock()
clock.advance(float(later_s))
rt = wiring.build(Config(data_dir=Path(data_dir), database_url=url), clock=clock, rng=Random(7))


def ask(line: str) -> str:
    """Redeem one code; what came of it."""
    code, mac = line.split()
    try:
        return redeem(rt, code, Guest(int(router_id), mac, "10.0.0.9")).status
    except Problem as problem:
        return problem.code


def say(text: str) -> None:
    """A line to whoever started us."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read, wait for the word, ask all at once."""
    lines = []
    say("ready")
    for line in sys.stdin:
        if line.strip() == "go":
            break
        lines.append(line)
    with ThreadPoolExecutor(THREADS) as pool:
        say("\n".join(pool.map(ask, lines)))
    wiring.stop(rt)


main()
