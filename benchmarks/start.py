"""Cold start and idle memory of `bawaba serve` on the embedded default, beside an empty Python and a bare Flask.

    python -m benchmarks.start

Budget: 3 s to the first answer (aim 2.5), 130 MiB idle (aim 110).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.product import serving
from tests.services import free_port

ROUNDS = 5
SETTLE_S = 3.0


def main() -> None:
    """Print start and memory."""
    bare = [import_time("pass") for _ in range(ROUNDS)]
    flask = [import_time("import flask, sqlalchemy.orm") for _ in range(ROUNDS)]
    with tempfile.TemporaryDirectory(prefix="bawaba-bench-") as name:
        folder = Path(name)
        first, _ = start(folder)
        rounds = [start(folder) for _ in range(ROUNDS)]
    again = statistics.median(seconds for seconds, _ in rounds)
    memory = statistics.median(mib for _, mib in rounds)
    floor = statistics.median(flask)
    print(f"Python alone {statistics.median(bare):.2f} s; Flask and SQLAlchemy imported {floor:.2f} s")
    print(f"first start, database made: {first:.2f} s; later starts: {again:.2f} s, {again / floor:.1f} x the imports")
    print(f"idle memory after {SETTLE_S:.0f} s: {memory:.0f} MiB")


def start(folder: Path) -> tuple[float, float]:
    """Seconds to the first answer, and MiB resident once it is idle."""
    began = time.perf_counter()
    with serving(folder, "", free_port()) as process:
        seconds = time.perf_counter() - began
        time.sleep(SETTLE_S)
        return seconds, resident_mib(process.pid)


def resident_mib(pid: int) -> float:
    """VmRSS of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def import_time(code: str) -> float:
    """Seconds that a Python needs for this."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
