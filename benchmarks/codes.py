"""How long 100,000 codes and their stored QR codes take.

Floors: for codes, as many 8-byte words from the system generator as text; for QR codes, the writer alone; for the card
store, writing as many bytes into one file.
"""

from __future__ import annotations

import os
import random
import time
from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from zxingcpp import BarcodeFormat, create_barcode

from bawaba.core.keyring import Keyring
from bawaba.vouchers import codes, qr
from bawaba.vouchers.card_store import GROUP_CARDS, CardStore

COUNT = 100_000
PORTAL = "http://login.wifi"


def best_seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """Return the shortest of several runs, for the machine's other work only ever adds."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def random_words() -> list[str]:
    """As many random decimal texts with neither evenness, check digit nor uniqueness."""
    return [f"{word:012d}" for word in array("Q", random.SystemRandom().randbytes(8 * COUNT))]


def report(what: str, figure: float, floor: float) -> None:
    """Print one line: the figure, its floor and their ratio."""
    print(f"{what:28} {COUNT:,}: {figure:7.3f} s  floor {floor:7.3f} s  ratio {figure / floor:5.1f}")


def measure_codes(rng: random.Random) -> None:
    """Make codes of both styles, and read them as typed."""
    floor = best_seconds(random_words)
    for style in codes.CODES_POSSIBLE:
        report(f"codes, {style}", best_seconds(partial(codes.new_codes, rng, style, COUNT)), floor)
    typed = [f" {codes.grouped(code)} " for code in codes.new_codes(rng, "digits", COUNT)]
    report("codes, read as typed", best_seconds(lambda: [codes.parse(text) for text in typed]), floor)


def measure_qr(made: list[str]) -> list[qr.QrMatrix]:
    """Make QR codes in groups as a batch does."""
    texts = [qr.card_address(PORTAL, code) for code in made]
    floor = best_seconds(lambda: write_symbols(texts), rounds=1)
    matrices: list[qr.QrMatrix] = []
    start = time.perf_counter()
    for at in range(0, COUNT, GROUP_CARDS):
        matrices += qr.card_matrices(PORTAL, made[at : at + GROUP_CARDS])
    report("QR codes", time.perf_counter() - start, floor)
    return matrices


def write_symbols(texts: list[str]) -> None:
    """What the QR writer itself takes, without turning its symbols into bits."""
    for text in texts:
        create_barcode(text, BarcodeFormat.QRCode, ec_level="M", data_mask=0)


def measure_store(matrices: list[qr.QrMatrix]) -> None:
    """Keep and read back a batch; say what it takes on the disk."""
    with TemporaryDirectory(dir=".") as folder:
        store = CardStore(Path(folder), Keyring(bytes(32)))
        start = time.perf_counter()
        for at in range(0, COUNT, GROUP_CARDS):
            store.put_group(1, at // GROUP_CARDS, matrices[at : at + GROUP_CARDS])
        stored = time.perf_counter() - start
        start = time.perf_counter()
        assert sum(1 for _ in store.read(1, 0, COUNT)) == COUNT
        read = time.perf_counter() - start
        on_disk = sum(file.stat().st_blocks * 512 for file in Path(folder).rglob("*"))
        floor = best_seconds(lambda: write_one_file(Path(folder) / "floor", on_disk), rounds=3)
    report("card store, written", stored, floor)
    report("card store, read", read, floor)
    print(f"card store, on disk: {on_disk:,} bytes, {on_disk / COUNT:.0f} a card")


def write_one_file(path: Path, size: int) -> None:
    """The least that keeping so many bytes takes."""
    with path.open("wb") as file:
        file.write(bytes(size))
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    """Print figure, floor and ratio for each."""
    rng = random.SystemRandom()
    measure_codes(rng)
    measure_store(measure_qr(codes.new_codes(rng, "digits", COUNT)))


if __name__ == "__main__":
    main()
