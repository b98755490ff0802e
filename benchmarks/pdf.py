"""Cards as PDF: 10,000 of them set in the child process, and printed through the product.

    python -m benchmarks.pdf             10,000 cards
    python -m benchmarks.pdf --full      and 100,000, which must take no more memory
    python -m benchmarks.pdf --decode    and read every QR code of 10,000 cards back from the rendered pages

The floor is what no sheet can do without: the same QR masks, packed page by page and written to a file.
Budget: 10,000 cards in 5 s and 100 MiB.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import cv2
import pypdfium2

from bawaba import migrations, wiring
from bawaba.core.config import Config
from bawaba.core.runtime import Runtime
from bawaba.vouchers import codes, making, printing, qr
from bawaba.vouchers.card_store import GROUP_CARDS
from bawaba.vouchers.sheets import LAYOUTS, PrintCard, SheetJob, card_line, job_line
from tests.cast import Cast, person
from tests.vouchers.paper import PORTAL, a_job
from tests.vouchers.qr_reader import read_qr

USUAL = 10_000
MANY = 100_000
DECODE_DOTS_AN_INCH = 300


@dataclass
class MadeSheet:
    """What setting one sheet took."""

    seconds: float
    peak_mib: float
    size: int


def main() -> None:
    """Print a line for each measurement."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pdf")
    parser.add_argument("--full", action="store_true", help=f"also {MANY:,} cards")
    parser.add_argument("--decode", action="store_true", help="read every QR code back")
    wanted = parser.parse_args()
    with TemporaryDirectory() as folder:
        for count in (USUAL, MANY) if wanted.full else (USUAL,):
            lines = Path(folder) / "cards"
            write_lines(lines, count)
            floor = floor_seconds(lines, Path(folder) / "floor")
            for layout in LAYOUTS:
                report(layout, count, set_in_child(a_job(layout, "ar", count), lines, Path(folder) / "pdf"), floor)
        if wanted.decode:
            decode(Path(folder))
    measure_product()


def some_cards(count: int) -> Iterator[PrintCard]:
    """Cards as a batch makes them, a group in memory at a time."""
    rng = random.Random(1)
    for start in range(0, count, GROUP_CARDS):
        made = codes.new_codes(rng, "digits", min(GROUP_CARDS, count - start))
        for number, (code, symbol) in enumerate(zip(made, qr.card_matrices(PORTAL, made), strict=True), start + 1):
            yield PrintCard(f"B042-{number:04d}", code, symbol)


def write_lines(path: Path, count: int) -> None:
    """What the child reads, after its first line."""
    with path.open("wb") as file:
        file.writelines(map(card_line, some_cards(count)))


def floor_seconds(lines: Path, out: Path) -> float:
    """Pack and write the masks alone, as many at a time as a page has."""
    with lines.open("rb") as file:
        masks = [line.rsplit(b'"', 2)[1] for line in file]
    start = time.perf_counter()
    with out.open("wb") as file:
        left = iter(masks)
        while page := b"\n".join(islice(left, LAYOUTS["a4-3x8"].cards_a_page)):
            file.write(zlib.compress(page))
    return time.perf_counter() - start


def set_in_child(job: SheetJob, lines: Path, out: Path) -> MadeSheet:
    """Run the child as the server does, with its cards from a file, and watch its memory."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "bawaba.vouchers.sheets", "--out", str(out)]
    with lines.open("rb") as cards, subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        with watched(child.pid) as peak:
            child.stdin.write(job_line(job))
            while block := cards.read(1 << 16):
                child.stdin.write(block)
            child.stdin.close()
            if child.wait():
                raise SystemExit("the child failed")
    return MadeSheet(time.perf_counter() - start, max(peak), out.stat().st_size)


@contextmanager
def watched(pid: int) -> Iterator[list[float]]:
    """The peak of a process's resident memory, in MiB. (`ru_maxrss` also counts the parent it was forked from.)"""
    peak = [0.0]
    done = Event()

    def watch() -> None:
        while not done.wait(0.005):
            try:
                found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
            except (FileNotFoundError, ProcessLookupError):
                return
            if found:
                peak.append(int(found[1]) / 1024)

    thread = Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def report(what: str, count: int, made: MadeSheet, floor: float) -> None:
    """Print one line."""
    print(
        f"{what:8} {count:7,} cards: {made.seconds:6.2f} s, {made.peak_mib:5.1f} MiB, {made.size / 1e6:6.2f} MB"
        f"  floor {floor:5.2f} s  ratio {made.seconds / floor:5.1f}",
        flush=True,
    )


def decode(folder: Path) -> None:
    """Read every QR code of a sheet back with OpenCV."""
    layout = LAYOUTS["a4-3x8"]
    write_lines(folder / "cards", USUAL)
    set_in_child(a_job("a4-3x8", "ar", USUAL), folder / "cards", folder / "pdf")
    cards = some_cards(USUAL)
    symbol = layout.symbol_with_quiet_zone(25).mirrored(layout.card[0])
    dots = DECODE_DOTS_AN_INCH / 25.4
    wrong = []
    for page in pypdfium2.PdfDocument(folder / "pdf"):
        image = page.render(scale=DECODE_DOTS_AN_INCH / 72, grayscale=True).to_numpy()
        for place, card in enumerate(islice(cards, layout.cards_a_page)):
            x, y = layout.place(place, from_right=True)
            top, left = round((y + symbol.y) * dots), round((x + symbol.x) * dots)
            side = round(symbol.width * dots)
            part = image[top : top + side, left : left + side].reshape(side, side)
            if not read_qr(cv2.resize(part, None, fx=2, fy=2)).endswith(card.code):
                wrong.append(card.serial)
    print(f"a4-3x8   {USUAL:7,} cards: {USUAL - len(wrong):,} QR codes read back at {DECODE_DOTS_AN_INCH} dpi", wrong)


def measure_product() -> None:
    """Order, make and print a batch on SQLite: cards from the database, codes opened, QR images from the store."""
    with TemporaryDirectory(dir=".") as folder, product(Path(folder)) as rt:
        version = Cast(rt).make_plan()
        hana = person()
        batch = making.order_batch(rt, hana, making.BatchOrder(version.plan_id, USUAL))
        rt.parts["batch_maker"].make(batch.id)
        start = time.perf_counter()
        made = printing.print_sheet(rt, hana, printing.SheetOrder(batch.id, "a4-3x8"))
        seconds = time.perf_counter() - start
        print(f"print_sheet {USUAL:,} cards on SQLite: {seconds:.2f} s, {made.path.stat().st_size / 1e6:.2f} MB")


@contextmanager
def product(folder: Path) -> Iterator[Runtime]:
    """The product without its background work."""
    url = f"sqlite:///{folder.absolute() / 'bawaba.db'}"
    migrations.migrate(url)
    rt = wiring.build(Config(data_dir=folder, database_url=url, public_url=PORTAL))
    try:
        yield rt
    finally:
        wiring.stop(rt)


if __name__ == "__main__":
    main()
