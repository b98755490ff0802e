"""What Typst sets: a card in vectors for a sheet, or one whole card as a picture."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import typst

from bawaba.vouchers import codes, qr
from bawaba.vouchers.sheets.job import Labels, PrintCard, SheetJob
from bawaba.vouchers.sheets.layouts import PICTURE, PICTURE_PIXELS_A_MM, Box, Layout

HERE = Path(__file__).parent
_FOOTER_MM = 5.0


def box_of(layout: Layout, box: Box, *, from_right: bool) -> Box:
    """Where a part of a card is in a language."""
    return box.mirrored(layout.card[0]) if from_right else box


def footer(layout: Layout) -> Box:
    """The line below the cards of a page."""
    left = layout.margin[0]
    bottom = layout.margin[1] + layout.rows * layout.card[1]
    return Box(left, bottom + 4.5, layout.page[0] - 2 * left, _FOOTER_MM)


def set_sheet(job: SheetJob, labels: Labels, layout: Layout, letters: str) -> bytes:
    """Set three pages as PDF: what a sheet's cards share, what its pages share, and some letters."""
    return _set(_facts(job, labels, layout) | {"letters": letters}, "pdf", None)


def set_picture(job: SheetJob, labels: Labels, card: PrintCard) -> bytes:
    """Set one whole card as PNG."""
    symbol = box_of(PICTURE, PICTURE.symbol_with_quiet_zone(card.qr.size), from_right=labels.from_right)
    own = {"code": codes.grouped(card.code), "serial": card.serial, "symbol": qr.svg(card.qr)}
    facts = _facts(job, labels, PICTURE) | {"own": own, "symbol": asdict(symbol)}
    return _set(facts, "png", PICTURE_PIXELS_A_MM * 25.4)


def _set(facts: dict[str, Any], form: Literal["pdf", "png"], dots_an_inch: float | None) -> bytes:
    made = typst.compile(
        HERE / "card.typ",
        root=HERE,
        font_paths=[HERE / "fonts"],
        ignore_system_fonts=True,
        format=form,
        ppi=dots_an_inch,
        sys_inputs={"job": json.dumps(facts)},
        pdf_tags=False,
    )
    assert isinstance(made, bytes)
    return made


def _facts(job: SheetJob, labels: Labels, layout: Layout) -> dict[str, Any]:
    from_right = labels.from_right
    parts = {name: getattr(layout, name) for name in ("head", "code", "words", "foot", "note", "help")}
    boxes = {name: asdict(box_of(layout, box, from_right=from_right)) if box else None for name, box in parts.items()}
    return boxes | {
        "title": job.batch_label or job.site_name,
        "language": re.split("[-_]", job.language)[0],  # Typst wants no region
        "direction": "rtl" if from_right else "ltr",
        "site": _isolated(job.site_name),
        "price": job.price_text,
        "plan": _isolated(job.plan_name),
        "plan_words": _well_broken(job.plan_words),
        "labels": asdict(labels),
        "page": layout.page,
        "card": layout.card,
        "margin": layout.margin,
        "columns": layout.columns,
        "rows": layout.rows,
        "thermal": layout.thermal,
        "text_pt": layout.text_pt,
        "head_pt": layout.head_pt,
        "serial_pt": layout.serial_pt,
        "footer": asdict(footer(layout)),
        "own": None,
    }


def _well_broken(text: str) -> str:
    """Keep 5 Mbit/s whole at a line's end, and no dot at a line's beginning: no-break spaces and a word joiner."""
    return re.sub(r"(\d) | (?=·)", "\\1\u00a0", text).replace("/", "/\u2060")


def _isolated(name: str) -> str:
    """Let a name run as its first letter does, whatever the card's language: 1 GB stays 1 GB (Unicode UAX 9, FSI)."""
    return f"\u2068{name}\u2069" if name else ""
