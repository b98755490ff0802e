"""What watching costs: the CPU of the server for one redemption, with its requests traced and without, in one run.

    python -m benchmarks.tracing

Budget: tracing adds 10 % at most. The two servers take turns, so that what else the machine does hits both.
"""

from __future__ import annotations

import os
import statistics
from contextlib import ExitStack
from pathlib import Path

from benchmarks.redeem import WARM_UP, measure
from tests.product import Product, product

TURNS = 6
IN_FLIGHT = 16
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the medians for each database."""
    for database in ("sqlite", "postgresql"):
        print(f"{database}: {compare(database)}", flush=True)


def compare(database: str) -> str:
    """One server with tracing and one without, by turns."""
    with ExitStack() as stack:
        servers = {}
        for words, keep in (("traced", "2000"), ("not traced", "0")):
            servers[words] = stack.enter_context(product(database, settings={"BAWABA_TRACE_KEEP": keep}))
        costs: dict[str, list[float]] = {words: [] for words in servers}
        for _ in range(TURNS):
            for words, running in servers.items():
                costs[words].append(cost_us(running))
    traced, bare = (statistics.median(costs[words]) for words in ("traced", "not traced"))
    return f"{traced:.0f} us of CPU a redemption traced, {bare:.0f} us not traced: {traced / bare - 1:+.1%}"


def cost_us(running: Product) -> float:
    """Microseconds of the server's CPU for one redemption."""
    pid = running.processes[0].pid
    before = cpu_s(pid)
    result, _ = measure(running, IN_FLIGHT)
    return (cpu_s(pid) - before) / (len(result.times_ms) + WARM_UP) * 1e6


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used (proc(5))."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICKS


if __name__ == "__main__":
    main()
