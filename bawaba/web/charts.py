"""Charts, worked out here so that they need no script: `charts.html` draws them, charts.js reads points out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Point = TypeVar("Point")
WIDTH, HEIGHT = 720, 160
TICKS = 7  # times that are written below a chart


@dataclass(frozen=True, slots=True)
class Chart:
    """The outlines of one or more series on one scale, in a box of `WIDTH` by `HEIGHT`; `top` is the scale's end."""

    top: float
    areas: tuple[str, ...]  # the `d` of an SVG path for each series; empty where there is nothing

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(self.areas)


def chart(*series: Sequence[float | None], least_top: float = 1.0, binary: bool = False) -> Chart:
    """Areas over a common scale that ends at a round number. A None is a gap: nobody knows what was there.

    `binary`: the scale's end is round in kB, MB, GB of 1,024.
    """
    known = [value for values in series for value in values if value is not None]
    top = round_up(max([*known, least_top]), binary=binary)
    return Chart(top, tuple(_area(values, top) for values in series))


def ticks(points: Sequence[Point], most: int = TICKS) -> list[Point]:
    """The first, the last and some evenly spaced in between, to be written below a chart."""
    if len(points) <= most:
        return list(points)
    return [points[round(place * (len(points) - 1) / (most - 1))] for place in range(most)]


def round_up(value: float, *, binary: bool = False) -> float:
    """The next of 1, 2, 5, 10, 20, 50…; in units of 1,024 where `binary`."""
    unit = 1024.0 ** max(0, math.floor(math.log(value, 1024))) if binary and value >= 1 else 1.0
    rest = value / unit
    power = 10.0 ** math.floor(math.log10(rest)) if rest > 0 else 1.0
    step = next(step for step in (1, 2, 5, 10) if rest <= step * power * (1 + 1e-9))
    return step * power * unit


def _area(values: Sequence[float | None], top: float) -> str:
    step = WIDTH / max(1, len(values) - 1)
    parts: list[str] = []
    run: list[str] = []
    began = 0.0
    for place, value in enumerate([*values, None]):
        x = place * step
        if value is not None:
            if not run:
                began = x
            run.append(f"{x:.1f} {HEIGHT - HEIGHT * value / top:.1f}")
        elif run:
            last = x - step
            if len(run) == 1:  # a lone look has no width of its own
                run.append(f"{last + step / 2:.1f} {run[0].split()[1]}")
                last += step / 2
            parts.append(f"M{began:.1f} {HEIGHT}L{'L'.join(run)}L{last:.1f} {HEIGHT}Z")
            run = []
    return "".join(parts)
