"""Stamping cards on pages: what they share as one drawing, and each card's own code, serial and QR code."""

from __future__ import annotations

import re
from binascii import hexlify
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import BinaryIO

from bawaba.vouchers import codes
from bawaba.vouchers.qr import QrMatrix
from bawaba.vouchers.sheets.base import LETTERS, RESOURCES, Face, base_of
from bawaba.vouchers.sheets.job import Labels, PrintCard, SheetJob
from bawaba.vouchers.sheets.layouts import LAYOUTS, POINTS_A_MM, Box, Layout
from bawaba.vouchers.sheets.pdf_pages import PageWriter
from bawaba.vouchers.sheets.typesetting import box_of, footer, set_sheet

_CAP_HEIGHT_EM = 0.698  # of IBM Plex Sans Arabic
_FOOTER_PT = 7.0
_GREY = "0.35 g"


class CardsMissingError(ValueError):
    """Fewer or more cards came in than the job said; half a sheet must not pass for a whole one."""


def render(job: SheetJob, labels: Labels, cards: Iterable[PrintCard], out: BinaryIO) -> None:
    """Write the sheet of a job's cards as PDF, a page in memory at a time."""
    layout = LAYOUTS[job.layout]
    base = base_of(set_sheet(job, labels, layout, LETTERS), job.batch_label or job.site_name)
    stamp = _Stamp(layout, base.face, from_right=labels.from_right)
    writer = PageWriter(base.data, RESOURCES, out, (layout.page[0] * POINTS_A_MM, layout.page[1] * POINTS_A_MM))
    pages = -(-job.cards // layout.cards_a_page)
    written = 0
    for number, page_cards in enumerate(_by_page(cards, layout.cards_a_page), start=1):
        written += len(page_cards)
        writer.add(stamp.page(page_cards, number, pages))
    if written != job.cards:
        raise CardsMissingError(f"{job.cards} cards were announced and {written} came")
    writer.finish()


def _by_page(cards: Iterable[PrintCard], size: int) -> Iterator[list[PrintCard]]:
    left = iter(cards)
    while page := list(islice(left, size)):
        yield page


class _Stamp:
    """Draws pages. PDF counts points from the lower left corner; `Layout` counts millimetres from the upper left."""

    def __init__(self, layout: Layout, face: Face, *, from_right: bool) -> None:
        self._layout = layout
        self._face = face
        self._from_right = from_right
        self._code_box = self._box(layout.code)
        self._foot_box = self._box(layout.foot)
        self._serial_pt = layout.serial_pt
        self._code_pt = cache(self._fitting_code_pt)
        self._symbol_box = cache(lambda modules: self._box(layout.symbol(modules)))

    def page(self, cards: list[PrintCard], number: int, pages: int) -> bytes:
        """The content of a page."""
        parts = ["/Sheet Do\n"]
        for at, card in enumerate(cards):
            x, y = self._layout.place(at, from_right=self._from_right)
            parts.append(f"q 1 0 0 1 {_pt(x)} {_pt(self._layout.page[1] - y - self._layout.card[1])} cm /Card Do ")
            parts.append(self._card(card))
            parts.append("Q\n")
        if not self._layout.thermal:
            parts.append(self._page_number(cards, number, pages))
        return "".join(parts).encode("latin-1")

    def _card(self, card: PrintCard) -> str:
        return self._code(codes.grouped(card.code)) + self._serial(card.serial) + self._symbol(card.qr)

    def _code(self, code: str) -> str:
        """The code in the middle of its box, as large as it fits."""
        box = self._code_box
        size = min(self._code_pt(_model(code)), box.width * POINTS_A_MM / self._face.width_em(code))
        width = self._face.width_em(code) * size / POINTS_A_MM
        baseline = box.y + box.height / 2 + _CAP_HEIGHT_EM * size / POINTS_A_MM / 2
        return self._text(code, size, box.x + (box.width - width) / 2, baseline)

    def _fitting_code_pt(self, model: str) -> float:
        box = self._code_box
        by_width = box.width * POINTS_A_MM / self._face.width_em(model)
        by_height = box.height * POINTS_A_MM / (_CAP_HEIGHT_EM * 1.3)
        return min(by_width, by_height)

    def _serial(self, serial: str) -> str:
        """At the start of its box, in the middle of its height."""
        box = self._foot_box
        width = self._face.width_em(serial) * self._serial_pt / POINTS_A_MM
        x = box.x + box.width - width if self._from_right else box.x
        middle = box.y + box.height / 2
        return self._text(serial, self._serial_pt, x, middle + _CAP_HEIGHT_EM * self._serial_pt / POINTS_A_MM / 2)

    def _symbol(self, matrix: QrMatrix) -> str:
        """The QR code as a mask of one bit a module."""
        box = self._symbol_box(matrix.size)
        return (
            f"q {_pt(box.width)} 0 0 {_pt(box.height)} {_pt(box.x)} {self._up(box.y + box.height)} cm "
            f"BI/W {matrix.size}/H {matrix.size}/IM true/D[1 0]/F/AHx ID {hexlify(matrix.bits).decode()}> EI Q "
        )

    def _page_number(self, cards: list[PrintCard], number: int, pages: int) -> str:
        """Which serials are on the page and the how many-th of how many it is, at the end of the footer."""
        said = f"{cards[0].serial} – {cards[-1].serial}   {number}/{pages}"
        box = footer(self._layout)
        width = self._face.width_em(said) * _FOOTER_PT / POINTS_A_MM
        x = box.x if self._from_right else box.x + box.width - width
        middle = self._layout.page[1] - box.y - box.height / 2
        y = middle - _CAP_HEIGHT_EM * _FOOTER_PT / POINTS_A_MM / 2
        return f"q {_GREY} BT /Code {_FOOTER_PT} Tf {_pt(x)} {_pt(y)} Td <{self._face.hex(said)}> Tj ET Q\n"

    def _text(self, text: str, size: float, x: float, baseline: float) -> str:
        return f"BT /Code {size:.2f} Tf {_pt(x)} {self._up(baseline)} Td <{self._face.hex(text)}> Tj ET "

    def _box(self, box: Box) -> Box:
        return box_of(self._layout, box, from_right=self._from_right)

    def _up(self, y: float) -> str:
        """Millimetres down a card as points up from its lower edge."""
        return _pt(self._layout.card[1] - y)


def _pt(millimetres: float) -> str:
    return f"{millimetres * POINTS_A_MM:.3f}".rstrip("0").rstrip(".")


def _model(code: str) -> str:
    """A rather wide code of the same form, which a batch's letters get their one size from."""
    symbol = "0" if code[-5] == "-" else "N"  # 4-4-4 is digits, 5-5 is digits and letters
    return re.sub("[^-]", symbol, code)
