"""What all cards of a sheet share, set once by Typst, and the small PDF that the pages are then added to."""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pikepdf
import typst

from bawaba.vouchers.sheets.job import Labels, SheetJob
from bawaba.vouchers.sheets.layouts import Box, Layout

HERE = Path(__file__).parent
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-–/ "
RESOURCES = "/BWB_Resources"  # where the base PDF names them; QPDF would drop those of a page tree without pages
_FOOTER_MM = 5.0
_RIGHT_TO_LEFT = frozenset({"ar", "fa", "ur", "ckb", "he", "ps"})


@dataclass(frozen=True, slots=True)
class Face:
    """The font of codes and serials: each letter's glyph as PDF wants it, and its width in thousandths of the size."""

    glyphs: dict[str, str]
    widths: dict[str, float]

    def hex(self, text: str) -> str:
        """The text as a PDF string."""
        return "".join(self.glyphs[letter] for letter in text)

    def width_em(self, text: str) -> float:
        """How wide the text is at size 1."""
        return sum(self.widths[letter] for letter in text) / 1000


@dataclass(frozen=True, slots=True)
class Base:
    """A PDF without pages whose resources are /Card, /Sheet and the font /Code."""

    data: bytes
    face: Face


def reads_from_right(language: str) -> bool:
    """Whether cards of a language are mirrored."""
    return language in _RIGHT_TO_LEFT


def box_of(layout: Layout, box: Box, *, from_right: bool) -> Box:
    """Where a part of a card is in a language."""
    return box.mirrored(layout.card[0]) if from_right else box


def footer(layout: Layout) -> Box:
    """The line below the cards of a page."""
    left = layout.margin[0]
    bottom = layout.margin[1] + layout.rows * layout.card[1]
    return Box(left, bottom + 4.5, layout.page[0] - 2 * left, _FOOTER_MM)


def set_shared(job: SheetJob, labels: Labels, layout: Layout) -> Base:
    """Set what the cards and pages of a sheet share."""
    source = typst.compile(
        HERE / "card.typ",
        root=HERE,
        font_paths=[HERE / "fonts"],
        ignore_system_fonts=True,
        format="pdf",
        sys_inputs={"job": json.dumps(_typst_input(job, labels, layout))},
        pdf_tags=False,
    )
    with pikepdf.open(io.BytesIO(source)) as pdf:
        return _base(pdf, job.batch_label or job.site_name)


def _typst_input(job: SheetJob, labels: Labels, layout: Layout) -> dict[str, Any]:
    from_right = reads_from_right(job.language)
    boxes = {
        name: asdict(box_of(layout, box, from_right=from_right)) if box else None
        for name, box in (("head", layout.head), ("words", layout.words), ("note", layout.note), ("help", layout.help))
    }
    return boxes | {
        "title": job.batch_label or job.site_name,
        "language": job.language,
        "direction": "rtl" if from_right else "ltr",
        "site": job.site_name,
        "price": job.price_text,
        "plan": job.plan_name,
        "plan_words": _whole_amounts(job.plan_words),
        "labels": asdict(labels),
        "page": layout.page,
        "card": layout.card,
        "margin": layout.margin,
        "columns": layout.columns,
        "rows": layout.rows,
        "thermal": layout.thermal,
        "text_pt": layout.text_pt,
        "head_pt": layout.head_pt,
        "footer": asdict(footer(layout)),
        "letters": LETTERS,
    }


def _whole_amounts(text: str) -> str:
    """5 Mbit/s is not torn apart at a line's end: a no-break space and a word joiner in it."""
    return re.sub(r"(\d) ", "\\1\u00a0", text).replace("/", "/\u2060")


def _base(source: pikepdf.Pdf, title: str) -> Base:
    card, sheet, letters = source.pages
    (font,) = letters.resources.Font.values()
    face = _face(font, letters)
    with pikepdf.new() as pdf:
        pdf.Root[RESOURCES] = pdf.make_indirect(
            pikepdf.Dictionary(
                XObject=pikepdf.Dictionary(
                    Card=pdf.copy_foreign(card.as_form_xobject()), Sheet=pdf.copy_foreign(sheet.as_form_xobject())
                ),
                Font=pikepdf.Dictionary(Code=pdf.copy_foreign(font)),
            )
        )
        pdf.Root.ViewerPreferences = pikepdf.Dictionary(PrintScaling=pikepdf.Name.None_)
        pdf.docinfo["/Title"] = title
        out = io.BytesIO()
        pdf.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    return Base(out.getvalue(), face)


def _face(font: pikepdf.Object, page: pikepdf.Page) -> Face:
    """Typst keeps only the glyphs it used, under new numbers: read them where it set each letter once."""
    shown = b""
    for operands, operator in pikepdf.parse_content_stream(page):
        if str(operator) == "Tj":
            shown += bytes(operands[0])
        elif str(operator) == "TJ":
            shown += b"".join(bytes(part) for part in operands[0] if isinstance(part, pikepdf.String))
    codes = [shown[at : at + 2] for at in range(0, len(shown), 2)]
    widths = _widths(font.DescendantFonts[0].W)
    if len(codes) != len(LETTERS):
        raise ValueError(f"{len(LETTERS)} letters were set as {len(codes)} glyphs")
    return Face(
        {letter: code.hex() for letter, code in zip(LETTERS, codes, strict=True)},
        {letter: widths[int.from_bytes(code)] for letter, code in zip(LETTERS, codes, strict=True)},
    )


def _widths(entries: pikepdf.Object) -> dict[int, float]:
    """A CID font's /W: `first [w w …]` or `first last w`, one after the other."""
    found: dict[int, float] = {}
    left = list(entries)  # type: ignore[call-overload]
    while left:
        first = int(left.pop(0))
        following = left.pop(0)
        if isinstance(following, pikepdf.Array):
            found.update({first + at: float(width) for at, width in enumerate(following)})
        else:
            found.update(dict.fromkeys(range(first, int(following) + 1), float(left.pop(0))))
    return found
