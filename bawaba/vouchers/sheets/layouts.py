"""The papers that cards are printed on, in true millimetres. One table; Typst and the stamping both go by it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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

    `qr` holds the symbol with its quiet zone and ends at the card's corner: its quiet zone is the card's margin.
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
    foot: Box  # the serial
    note: Box | None  # use-before, else the batch, where these have a place of their own
    help: Box | None  # the same of the two steps to get online
    text_pt: float
    head_pt: float
    serial_pt: float
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

    def symbol(self, modules: int) -> Box:
        """Where a QR code of so many modules a side lies, without its quiet zone: whole dots where dots are coarse."""
        module = min(self.qr.width, self.qr.height) / (modules + 2 * QUIET_ZONE)
        if self.thermal:
            module = math.floor(module / DOT_MM) * DOT_MM
        side, quiet = module * modules, module * QUIET_ZONE
        right, bottom = self.qr.x + self.qr.width - quiet, self.qr.y + self.qr.height - quiet
        return Box(right - side, bottom - side, side, side)

    def symbol_with_quiet_zone(self, modules: int) -> Box:
        """The same with the light modules around it."""
        symbol = self.symbol(modules)
        quiet = symbol.width / modules * QUIET_ZONE
        return Box(symbol.x - quiet, symbol.y - quiet, symbol.width + 2 * quiet, symbol.height + 2 * quiet)


LAYOUTS: dict[str, Layout] = {
    "a4-3x8": Layout(
        page=A4,
        columns=3,
        rows=8,
        card=(64, 34),
        margin=(9, 10),
        head=Box(2.5, 1.3, 59, 4.7),
        code=Box(2.5, 6.3, 59, 6.6),
        qr=Box(44.8, 15, 19, 19),
        words=Box(2.5, 13.3, 42.2, 16),
        foot=Box(2.5, 29.7, 14, 2.4),
        note=Box(17, 29.5, 27.6, 3),
        help=None,
        text_pt=6.4,
        head_pt=9,
        serial_pt=6.4,
    ),
    "a4-4x10": Layout(
        page=A4,
        columns=4,
        rows=10,
        card=(48, 27.5),
        margin=(9, 9),
        head=Box(2, 1.1, 44, 3.9),
        code=Box(2, 5.2, 44, 5.3),
        qr=Box(32.38, 12, 15.5, 15.5),
        words=Box(2, 10.8, 30.3, 12.4),
        foot=Box(2, 23.5, 30.3, 2.2),
        note=None,
        help=None,
        text_pt=5.4,
        head_pt=7.4,
        serial_pt=5.8,
    ),
    "a4-5x13": Layout(
        page=A4,
        columns=5,
        rows=13,
        card=(38, 21),
        margin=(10, 10),
        head=Box(1.5, 0.8, 35, 3.2),
        code=Box(1.5, 4.1, 35, 4.5),
        qr=Box(25.7, 8.7, 12.3, 12.3),
        words=Box(1.5, 8.8, 24.1, 8.6),
        foot=Box(1.5, 17.6, 24, 2),
        note=None,
        help=None,
        text_pt=4.6,
        head_pt=6,
        serial_pt=5,
    ),
    "roll-80": Layout(
        page=(80, 63.5),
        columns=1,
        rows=1,
        card=(80, 63.5),
        margin=(0, 0),
        head=Box(4, 2.5, 72, 7.4),
        code=Box(4, 10.4, 72, 9.5),
        qr=Box(47, 20, 33, 33),
        words=Box(4, 21, 43, 24),
        note=None,
        foot=Box(4, 45.8, 43, 3.3),
        help=Box(4, 53, 72, 9.2),
        text_pt=9,
        head_pt=13,
        serial_pt=9,
        thermal=True,
    ),
    "roll-58": Layout(
        page=(58, 50.5),
        columns=1,
        rows=1,
        card=(58, 50.5),
        margin=(0, 0),
        head=Box(5, 2.2, 48, 5.4),
        code=Box(5, 8, 48, 7),
        qr=Box(30, 15, 26, 26),
        words=Box(5, 15.6, 25, 18.9),
        note=None,
        foot=Box(5, 35.3, 25, 2.7),
        help=Box(5, 41, 48, 8),
        text_pt=7,
        head_pt=9.5,
        serial_pt=7,
        thermal=True,
    ),
}

PICTURE = replace(LAYOUTS["roll-80"], thermal=False)
PICTURE_PIXELS_A_MM = 13  # 1040 pixels wide, and each module of the usual QR code a whole number of them
