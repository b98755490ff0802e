"""The small PDF that pages are added to: what they share, taken out of what Typst set, and the font of codes."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pikepdf

RESOURCES = "/BWB_Resources"  # where the base PDF names them; QPDF would drop those of a page tree without pages
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-–/ "


@dataclass(frozen=True, slots=True)
class Face:
    """The font of codes and serials: each letter's glyph as PDF wants it, and its width in thousandths of the size."""

    glyphs: dict[str, str]
    widths: dict[str, float]

    def hex(self, text: str) -> str:
        """The text as a PDF string."""
        return "".join([self.glyphs[letter] for letter in text])

    def width_em(self, text: str) -> float:
        """How wide the text is at size 1."""
        return sum([self.widths[letter] for letter in text]) / 1000


@dataclass(frozen=True, slots=True)
class Base:
    """A PDF without pages whose resources are /Card, /Sheet and the font /Code."""

    data: bytes
    face: Face


def base_of(typeset: bytes, title: str) -> Base:
    """Make it from Typst's three pages: the card, the sheet, and `LETTERS` in order."""
    with pikepdf.open(io.BytesIO(typeset)) as source, pikepdf.new() as pdf:
        card, sheet, letters = source.pages
        (font,) = letters.resources.Font.values()
        forms = {
            f"/{name}": pdf.copy_foreign(page.as_form_xobject()) for name, page in (("Card", card), ("Sheet", sheet))
        }
        pdf.Root[RESOURCES] = pdf.make_indirect(
            pikepdf.Dictionary(XObject=pikepdf.Dictionary(forms), Font=pikepdf.Dictionary(Code=pdf.copy_foreign(font)))
        )
        pdf.Root.ViewerPreferences = pikepdf.Dictionary(PrintScaling=pikepdf.Name("/None"))
        pdf.docinfo["/Title"] = title
        out = io.BytesIO()
        pdf.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate)
        return Base(out.getvalue(), _face(font, letters))


def _face(font: pikepdf.Object, page: pikepdf.Page) -> Face:
    """Typst keeps only the glyphs it used, under new numbers: read them where it set each letter once."""
    shown = b""
    for part in pikepdf.parse_content_stream(page):
        if str(part.operator) == "Tj":
            shown += bytes(part.operands[0])
        elif str(part.operator) == "TJ":
            shown += b"".join(bytes(piece) for piece in part.operands[0] if isinstance(piece, pikepdf.String))
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
    left = list(entries)
    while left:
        first = int(left.pop(0))
        following = left.pop(0)
        if isinstance(following, pikepdf.Array):
            found.update({first + at: float(width) for at, width in enumerate(following)})
        else:
            found.update(dict.fromkeys(range(first, int(following) + 1), float(left.pop(0))))
    return found
