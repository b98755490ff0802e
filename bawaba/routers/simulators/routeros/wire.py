"""The binary API's words and sentences: length-prefixed words, ended by an empty one (RouterOS manual, API)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

FIRST_CONTROL_BYTE = 0xF8  # above it are control bytes, which nobody has defined yet
LARGEST_WORD = 16 * 1024 * 1024  # a router has little memory; more than this is a fault


class BadFraming(Exception):
    """The bytes are no sentence; the connection has lost its place and must be closed."""


def length_prefix(size: int) -> bytes:
    """The 1 to 5 bytes that announce a word of this many bytes."""
    if size < 0x80:
        return bytes((size,))
    if size < 0x4000:
        return (size | 0x8000).to_bytes(2, "big")
    if size < 0x200000:
        return (size | 0xC00000).to_bytes(3, "big")
    if size < 0x10000000:
        return (size | 0xE0000000).to_bytes(4, "big")
    return b"\xf0" + size.to_bytes(4, "big")


def encode(words: Iterable[bytes]) -> bytes:
    """One sentence as it goes over the wire."""
    parts: list[bytes] = []
    for word in words:
        parts.append(length_prefix(len(word)))
        parts.append(word)
    parts.append(b"\0")
    return b"".join(parts)


class SentenceReader:
    """Turns bytes, however they were cut on their way, back into sentences."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._words: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[list[bytes]]:
        """Yield every sentence that is complete now; empty ones are skipped. Raises `BadFraming`."""
        self._buffer += data
        position = 0
        try:
            while (found := self._word_at(position)) is not None:
                word, position = found
                if word:
                    self._words.append(word)
                elif self._words:
                    sentence, self._words = self._words, []
                    yield sentence
        finally:
            del self._buffer[:position]

    def _word_at(self, position: int) -> tuple[bytes, int] | None:
        """The word that starts here and where the next one does, or None until more has come."""
        buffer = self._buffer
        if position >= len(buffer):
            return None
        extra, first = _shape(buffer[position])
        start = position + 1 + extra
        if start > len(buffer):
            return None
        size = first << (8 * extra) | int.from_bytes(buffer[position + 1 : start], "big")
        if size > LARGEST_WORD:
            raise BadFraming(f"a word of {size} bytes")
        if start + size > len(buffer):
            return None
        return bytes(buffer[start : start + size]), start + size


def _shape(first: int) -> tuple[int, int]:
    """How many length bytes follow the first, and what the first itself adds to the length."""
    for extra, marker, bits in ((0, 0x00, 0x7F), (1, 0x80, 0x3F), (2, 0xC0, 0x1F), (3, 0xE0, 0x0F), (4, 0xF0, 0x07)):
        if first & ~bits & 0xFF == marker:
            return extra, first & bits
    raise BadFraming(f"control byte {first:#x}")
