"""Set one sheet: the job and its cards come in on standard input, so that no code shows in a list of processes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bawaba.vouchers.sheets.job import read_card, read_job
from bawaba.vouchers.sheets.rendering import render


def main() -> None:
    """Read, set, write; anything that goes wrong ends the process with an error."""
    parser = argparse.ArgumentParser(prog="python -m bawaba.vouchers.sheets", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the PDF to write")
    out = parser.parse_args().out
    job, labels = read_job(sys.stdin.buffer.readline())
    with out.open("wb") as file:
        render(job, labels, map(read_card, sys.stdin.buffer), file)


if __name__ == "__main__":
    main()
