"""Sentences of the binary API: words with their length before them, ended by an empty word (RouterOS manual, API).

Bytes are read as Latin-1 first, which loses nothing, and as UTF-8 only where a value is not ASCII: old routers keep
whatever code page their owner's program had.
"""

from __future__ import annotations

from collections.abc import Iterable

from bawaba.routers.driver import RouterProtocolError

WORD_MOST_BYTES = 1 << 20  # the longest that a router sends are files of 60 KB
_LONGER = ((0x80, 1, 0xC0, 0x3F), (0xC0, 2, 0xE0, 0x1F), (0xE0, 3, 0xF0, 0x0F), (0xF0, 4, 0xF8, 0x00))


def encoded(words: Iterable[str]) -> bytes:
    """One sentence as it is sent."""
    sentence = bytearray()
    for word in words:
        raw = word.encode()
        sentence += _length(len(raw))
        sentence += raw
    sentence += b"\0"
    return bytes(sentence)


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes((size,))
    if size < 0x4000:
        return (size | 0x8000).to_bytes(2, "big")
    if size < 0x200000:
        return (size | 0xC00000).to_bytes(3, "big")
    if size < 0x10000000:
        return (size | 0xE0000000).to_bytes(4, "big")
    return b"\xf0" + size.to_bytes(4, "big")


def text_of(value: str) -> str:
    """A value that was read as Latin-1, as the text that it is."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8", "replace")


class Sentences:
    """Puts sentences together from bytes, however they were cut on the way."""

    def __init__(self) -> None:
        self._rest = ""
        self._words: list[str] = []

    def feed(self, data: bytes) -> list[list[str]]:
        """The sentences that these bytes complete, empty ones left out. Raises `RouterProtocolError`."""
        buffer = self._rest + data.decode("latin-1")
        complete: list[list[str]] = []
        words, position, end = self._words, 0, len(buffer)
        while position < end:
            size = ord(buffer[position])
            start = position + 1
            if size >= 0x80:
                start, size = _longer(buffer, position, size)
            stop = start + size
            if stop > end:
                break
            if size:
                words.append(buffer[start:stop])
            elif words:
                complete.append(words)
                words = []
            position = stop
        self._words, self._rest = words, buffer[position:]
        return complete


def _longer(buffer: str, position: int, first: int) -> tuple[int, int]:
    """Where a word of 128 bytes or more starts (past the end while its length is not all there), and its size."""
    for mark, more, mask, bits in _LONGER:
        if first & mask == mark:
            start = position + 1 + more
            rest = int.from_bytes(buffer[position + 1 : start].encode("latin-1"), "big")
            size = (first & bits) << (8 * more) | rest
            if start <= len(buffer) and size > WORD_MOST_BYTES:
                raise RouterProtocolError(f"the router announced a word of {size} bytes", outcome_known=False)
            return start, size
    raise RouterProtocolError(f"the router sent the control byte {first:#x}", outcome_known=False)
