"""The papers that cards are printed on, in true millimetres. One table; Typst and the stamping both go by it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bawaba.vouchers.qr import QUIET_ZONE

POINTS_A_MM = 72 / 25.4
DOT_MM = 0.125  # thermal printers have 203 dots an inch: 8 a millimetre
A4 = (210.0, 297.0)


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a card: millimetres from the card's upper left corner."""

    x: float
    y: float
    width: float
    height: float

    def mirrored(self, card_width: float) -> Box:
        """The same part of a card that is read from the right."""
        return Box(round(card_width - self.x - self.width, 3), self.y, self.width, self.height)


@dataclass(frozen=True, slots=True)
class Layout:
    """How cards lie on a page, and what lies where on a card that is read from the left.

    `qr` holds the symbol with its quiet zone and ends at the card's corner, so that the quiet zone is the card's margin.
    """

    page: tuple[float, float]
    columns: int
    rows: int
    card: tuple[float, float]
    margin: tuple[float, float]  # left and top, to the first card
    head: Box  # the site's name and the price
    code: Box
    qr: Box
    words: Box  # plan, help, support, use-before
    foot: Box  # serial and batch
    text_pt: float
    thermal: bool = False

    @property
    def cards_a_page(self) -> int:
        """How many cards one page takes."""
        return self.columns * self.rows

    def place(self, number: int, *, from_right: bool) -> tuple[float, float]:
        """The upper left corner of a page's card `number` (from 0), row by row as people read."""
        row, column = divmod(number, self.columns)
        if from_right:
            column = self.columns - 1 - column
        return self.margin[0] + column * self.card[0], self.margin[1] + row * self.card[1]

    def module_mm(self, symbol_size: int) -> float:
        """How large a QR code's modules are: whole dots where dots are coarse."""
        module = min(self.qr.width, self.qr.height) / (symbol_size + 2 * QUIET_ZONE)
        return math.floor(module / DOT_MM) * DOT_MM if self.thermal else module


LAYOUTS: dict[str, Layout] = {
    "a4-3x8": Layout(
        page=A4,
        columns=3,
        rows=8,
        card=(64, 34),
        margin=(9, 10),
        head=Box(2.5, 1.8, 59, 4.8),
        code=Box(2.5, 7.1, 59, 7.3),
        qr=Box(45, 15, 19, 19),
        words=Box(2.5, 15.4, 42, 13.2),
        foot=Box(2.5, 29.2, 42, 2.8),
        text_pt=7,
    ),
    "a4-4x10": Layout(
        page=A4,
        columns=4,
        rows=10,
        card=(48, 27),
        margin=(9, 11),
        head=Box(2, 1.4, 44, 3.8),
        code=Box(2, 5.5, 44, 5.8),
        qr=Box(33, 12, 15, 15),
        words=Box(2, 12, 30.8, 10.4),
        foot=Box(2, 22.8, 30.8, 2.4),
        text_pt=5.6,
    ),
    "a4-5x13": Layout(
        page=A4,
        columns=5,
        rows=13,
        card=(38, 21),
        margin=(10, 10),
        head=Box(1.5, 1, 35, 3),
        code=Box(1.5, 4.1, 35, 4.5),
        qr=Box(25.7, 8.7, 12.3, 12.3),
        words=Box(1.5, 9, 24, 8.2),
        foot=Box(1.5, 17.6, 24, 2),
        text_pt=4.8,
    ),
    "roll-80": Layout(
        page=(80, 56),
        columns=1,
        rows=1,
        card=(80, 56),
        margin=(0, 0),
        head=Box(4, 3, 72, 7),
        code=Box(4, 11, 72, 10),
        qr=Box(47, 22, 33, 33),
        words=Box(4, 22, 42, 23.5),
        foot=Box(4, 46.5, 42, 4.5),
        text_pt=9,
        thermal=True,
    ),
    "roll-58": Layout(
        page=(58, 47),
        columns=1,
        rows=1,
        card=(58, 47),
        margin=(0, 0),
        head=Box(5, 3, 48, 5.6),
        code=Box(5, 9, 48, 7.5),
        qr=Box(30, 19, 26, 26),
        words=Box(5, 17.5, 25, 20),
        foot=Box(5, 38.5, 25, 3.5),
        text_pt=7,
        thermal=True,
    ),
}
