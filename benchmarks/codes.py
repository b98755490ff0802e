"""How long 100,000 codes take, beside the floor: the same count of 8-byte words from the system generator as text."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable
from functools import partial

from bawaba.vouchers import codes

COUNT = 100_000
ROUNDS = 7


def best_seconds(work: Callable[[], object]) -> float:
    """Return the shortest of several runs, for the machine's other work only ever adds."""
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def floor() -> list[str]:
    """As many random decimal texts with neither evenness, check digit nor uniqueness."""
    return [f"{word:012d}" for word in array("Q", random.SystemRandom().randbytes(8 * COUNT))]


def main() -> None:
    """Print figure, floor and ratio for each style."""
    rng = random.SystemRandom()
    least = best_seconds(floor)
    for style in codes.CODES_POSSIBLE:
        figure = best_seconds(partial(codes.new_codes, rng, style, COUNT))
        print(f"codes {style:8} {COUNT:,}: {figure:.3f} s  floor {least:.3f} s  ratio {figure / least:.1f}")
    typed = [f" {codes.grouped(code)} " for code in codes.new_codes(rng, "digits", COUNT)]
    figure = best_seconds(lambda: [codes.parse(text) for text in typed])
    print(f"codes parse    {COUNT:,}: {figure:.3f} s  floor {least:.3f} s  ratio {figure / least:.1f}")


if __name__ == "__main__":
    main()
