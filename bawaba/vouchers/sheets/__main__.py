"""Set one sheet or picture. The job and its cards come in on standard input: no code shows in a list of processes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bawaba.vouchers.sheets.job import read_card, read_job


def main() -> None:
    """Read, set, write; anything that goes wrong ends the process with an error."""
    parser = argparse.ArgumentParser(prog="python -m bawaba.vouchers.sheets", description=__doc__)
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--out", type=Path, help="the PDF to write")
    form.add_argument("--picture", action="store_true", help="write the one card as PNG to standard output")
    wanted = parser.parse_args()
    job, labels = read_job(sys.stdin.buffer.readline())
    cards = map(read_card, sys.stdin.buffer)
    if wanted.picture:
        from bawaba.vouchers.sheets.typesetting import set_picture

        sys.stdout.buffer.write(set_picture(job, labels, next(cards)))
        return
    from bawaba.vouchers.sheets.rendering import render

    with wanted.out.open("wb") as file:
        render(job, labels, cards, file)


if __name__ == "__main__":
    main()
