"""QR codes: a card's address as black and white modules, and those as PNG and SVG.

The address is `{portal_url}/c/{code}`, never a query: a query ends in logs and referrers.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import zxingcpp

QUIET_ZONE = 4  # light modules that ISO/IEC 18004 wants around the symbol
_ERROR_CORRECTION = "M"  # 15 % may be scratched; paper in a pocket needs it
_MASKS = 8
_SMALLEST, _VERSION_STEP = 17, 4  # a symbol of version v has 17 + 4 v modules a side
_AS_BINARY = bytes.maketrans(b"\x00\xff", b"10")


@dataclass(frozen=True, slots=True)
class QrMatrix:
    """`size` × `size` modules, no quiet zone: rows from the top, 1 is dark, high bit first, each row ends on a byte."""

    size: int
    bits: bytes

    def __post_init__(self) -> None:
        """Refuse bits that do not fill the square."""
        if len(self.bits) != self.size * self.row_bytes:
            raise ValueError(f"a QR code of {self.size} modules has {self.size * self.row_bytes} bytes")

    @property
    def row_bytes(self) -> int:
        """Bytes a row."""
        return bytes_a_row(self.size)

    def rows(self) -> list[str]:
        """The modules as text, a "1" for each dark one."""
        width = self.row_bytes
        cut = (self.bits[at : at + width] for at in range(0, len(self.bits), width))
        return [f"{int.from_bytes(row):0{width * 8}b}"[: self.size] for row in cut]


def card_address(portal_url: str, code: str) -> str:
    """Return what a card's QR code says, and what a shared link looks like."""
    return f"{portal_url.rstrip('/')}/c/{code}"


def card_matrices(portal_url: str, codes: Sequence[str]) -> list[QrMatrix]:
    """Return the QR codes of some cards, all of one size.

    The host, and the c before the code, are written in capitals where that makes them smaller: QR packs capitals
    tighter. Hosts have no case and the portal answers to both; the scheme has to stay lower-case for some phones.
    All get the mask that is best for the first: trying the eight masks on each card takes five times as long, and
    readers do not notice (docs/decisions/qr-on-cards.md).
    """
    if not codes:
        return []
    address = min(_spellings(portal_url), key=lambda spelling: matrix(spelling + codes[0]).size)
    mask = _best_mask(address + codes[0])
    matrices = [matrix(address + code, mask=mask) for code in codes]
    largest = max(each.size for each in matrices)
    return [
        each if each.size == largest else matrix(address + code, size=largest, mask=mask)
        for each, code in zip(matrices, codes, strict=True)
    ]


def card_matrix(portal_url: str, code: str) -> QrMatrix:
    """Return the QR code of one card."""
    return card_matrices(portal_url, [code])[0]


def matrix(text: str, size: int | None = None, mask: int | None = None) -> QrMatrix:
    """Return the QR code of any text: the smallest that holds it with the best mask, unless told otherwise."""
    options = {} if size is None else {"version": (size - _SMALLEST) // _VERSION_STEP}
    options |= {} if mask is None else {"data_mask": mask}
    symbol = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level=_ERROR_CORRECTION, **options)
    image = symbol.to_image(scale=1, add_quiet_zones=False)
    modules = bytes(cast(bytes, image)).translate(_AS_BINARY)  # it has the buffer protocol, which its stub leaves out
    side = image.shape[0]
    padding = b"0" * (bytes_a_row(side) * 8 - side)
    rows = [modules[at : at + side] + padding for at in range(0, side * side, side)]
    return QrMatrix(side, int(b"".join(rows), 2).to_bytes(side * bytes_a_row(side)))


def png(symbol: QrMatrix, scale: int = 8) -> bytes:
    """Return a black and white PNG, `scale` pixels a module, quiet zone included."""
    side = (symbol.size + 2 * QUIET_ZONE) * scale
    light_row = b"\x00" + b"\xff" * ((side + 7) // 8)
    margin = light_row * (QUIET_ZONE * scale)
    lines = [_png_line(row, scale, side) * scale for row in symbol.rows()]
    pixels = margin + b"".join(lines) + margin
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks)


def svg(symbol: QrMatrix) -> str:
    """Return an SVG picture, one unit a module, quiet zone included."""
    side = symbol.size + 2 * QUIET_ZONE
    runs = "".join(
        f"M{QUIET_ZONE + start} {QUIET_ZONE + y}h{length}v1h-{length}z"
        for y, row in enumerate(symbol.rows())
        for start, length in _dark_runs(row)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{side}v{side}H0z"/><path d="{runs}"/></svg>'
    )


def bytes_a_row(size: int) -> int:
    """Return how many bytes hold a row of so many modules."""
    return (size + 7) // 8


def _spellings(portal_url: str) -> list[str]:
    """Equal beginnings of a card's address, the plainest first."""
    plain = card_address(portal_url, "")
    host = urlsplit(portal_url).netloc
    capital_host = plain.replace(host, host.upper(), 1)
    return [plain, capital_host, capital_host.removesuffix("/c/") + "/C/"]


def _best_mask(text: str) -> int:
    """The mask that the standard's rule chooses."""
    best = matrix(text)
    return next(mask for mask in range(_MASKS) if matrix(text, mask=mask) == best)


def _dark_runs(row: str) -> list[tuple[int, int]]:
    """Where dark runs start in a row and how long they are."""
    runs = []
    start = row.find("1")
    while start >= 0:
        end = row.find("0", start)
        end = len(row) if end < 0 else end
        runs.append((start, end - start))
        start = row.find("1", end)
    return runs


def _png_line(row: str, scale: int, side: int) -> bytes:
    """One line of pixels, its filter byte first; in PNG's grey 1 is white."""
    light = "".join("0" * scale if module == "1" else "1" * scale for module in row)
    margin = "1" * (QUIET_ZONE * scale)
    line = f"{margin}{light}{margin}".ljust((side + 7) // 8 * 8, "1")
    return b"\x00" + int(line, 2).to_bytes(len(line) // 8)


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
