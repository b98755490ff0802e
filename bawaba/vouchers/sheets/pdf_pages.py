"""Adding pages to a PDF one after the other, with none of them kept: a hundred thousand cards take no more memory."""

from __future__ import annotations

import io
import re
import zlib
from array import array
from typing import BinaryIO

import pikepdf

_KIDS = 200  # pages under one node of the page tree
_OFFSET_BYTES = 5
_STARTXREF = re.compile(rb"startxref\s+(\d+)\s+%%EOF\s*\Z")


class PageWriter:
    """Writes a PDF that has resources and no pages, then pages, then what makes them known (an incremental update).

    All pages have one size and share the resources; each is its content and two short objects.
    """

    def __init__(self, base: bytes, resources_key: str, out: BinaryIO, size_points: tuple[float, float]) -> None:
        found = _STARTXREF.search(base)
        if not found:
            raise ValueError("this PDF has no end")
        self._previous = int(found[1])
        with pikepdf.open(io.BytesIO(base)) as pdf:
            self._root = pdf.Root.objgen[0]
            self._pages = pdf.Root.Pages.objgen[0]
            self._resources = pdf.Root[resources_key].objgen[0]
            self._info = pdf.docinfo.objgen[0]
            self._first = int(pdf.trailer.Size)
        self._size_points = size_points
        self._out = out
        self._at = 0
        self._offsets = array("Q")  # of object number `_first` + index
        self._nodes: list[int] = []
        self._node = self._new_number()
        self._kids: list[int] = []
        self._count = 0
        self._write(base)

    def add(self, content: bytes) -> None:
        """Add a page with this content stream."""
        if len(self._kids) == _KIDS:
            self._end_node()
            self._node = self._new_number()
        stream, page = self._new_number(), self._new_number()
        packed = zlib.compress(content)
        self._object(stream, b"<</Length %d/Filter/FlateDecode>>stream\n%b\nendstream" % (len(packed), packed))
        self._object(page, b"<</Type/Page/Parent %d 0 R/Contents %d 0 R>>" % (self._node, stream))
        self._kids.append(page)
        self._count += 1

    def finish(self) -> None:
        """Write the page tree, and where each object is."""
        self._end_node()
        pages_at = self._at
        tree = b"<</Type/Pages/Count %d/Kids[%b]" % (self._count, _references(self._nodes))
        shared = b"/Resources %d 0 R/MediaBox[0 0 %.3f %.3f]>>" % (self._resources, *self._size_points)
        self._write(b"%d 0 obj\n%b%b\nendobj\n" % (self._pages, tree, shared))
        table = self._new_number()
        table_at = self._offsets[table - self._first] = self._at
        entries = bytearray(_entry(pages_at))
        for offset in self._offsets:
            entries += _entry(offset)
        packed = zlib.compress(entries)
        self._write(
            b"%d 0 obj\n<</Type/XRef/Size %d/Root %d 0 R/Info %d 0 R/Prev %d/W[1 %d 1]/Index[%d 1 %d %d]"
            b"/Length %d/Filter/FlateDecode>>stream\n%b\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n"
            % (
                *(table, table + 1, self._root, self._info, self._previous, _OFFSET_BYTES),
                *(self._pages, self._first, len(self._offsets), len(packed), packed, table_at),
            )
        )

    def _end_node(self) -> None:
        kids = _references(self._kids)
        node = b"<</Type/Pages/Parent %d 0 R/Count %d/Kids[%b]>>" % (self._pages, len(self._kids), kids)
        self._object(self._node, node)
        self._nodes.append(self._node)
        self._kids = []

    def _new_number(self) -> int:
        self._offsets.append(0)
        return self._first + len(self._offsets) - 1

    def _object(self, number: int, body: bytes) -> None:
        self._offsets[number - self._first] = self._at
        self._write(b"%d 0 obj\n%b\nendobj\n" % (number, body))

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._at += len(data)


def _references(numbers: list[int]) -> bytes:
    return b" ".join(b"%d 0 R" % number for number in numbers)


def _entry(offset: int) -> bytes:
    """An object that is in use, and where (PDF 32000-1, 7.5.8.3)."""
    return b"\x01" + offset.to_bytes(_OFFSET_BYTES) + b"\x00"
