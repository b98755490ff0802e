"""A client of the RouterOS API that decides nothing: what the test writes goes out, what comes back is shown."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self


class Raw:
    """One connection; every read has a deadline."""

    def __init__(self, port: int, timeout_s: float = 3.0) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.sock.close()

    def send(self, *words: str) -> None:
        """One sentence."""
        self.sock.sendall(b"".join(length(len(word.encode())) + word.encode() for word in words) + b"\0")

    def read(self) -> list[str]:
        """The next sentence. Raises `ConnectionError` at the end."""
        words = []
        while word := self._exactly(self._length()):
            words.append(word.decode("utf-8", "surrogateescape"))
        return words

    def ask(self, *words: str) -> list[list[str]]:
        """A sentence, and all that comes until `!done` or `!fatal`."""
        self.send(*words)
        return self.until_done()

    def until_done(self) -> list[list[str]]:
        """All sentences up to a `!done` or `!fatal`."""
        sentences = [self.read()]
        while sentences[-1][0] not in ("!done", "!fatal"):
            sentences.append(self.read())
        return sentences

    def login(self, name: str = "admin", password: str = "secret") -> Self:
        """Log in."""
        assert self.ask("/login", f"=name={name}", f"=password={password}") == [["!done"]]
        return self

    def _length(self) -> int:
        first = self._exactly(1)[0]
        for extra, limit in enumerate((0x80, 0xC0, 0xE0, 0xF0, 0xF8)):
            if first < limit:
                mask = (0x7F, 0x3F, 0x1F, 0x0F, 0x07)[extra]
                return int.from_bytes(bytes([first & mask]) + self._exactly(extra), "big")
        raise AssertionError(f"control byte {first:#x}")

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.sock.recv(size - len(data))
            if not part:
                raise ConnectionError("closed")
            data += part
        return data


def length(size: int) -> bytes:
    """A word's length as it goes over the wire."""
    for extra, (limit, marker) in enumerate(((0x80, 0), (0x4000, 0x80), (0x200000, 0xC0), (0x10000000, 0xE0))):
        if size < limit:
            encoded = size.to_bytes(extra + 1, "big")
            return bytes([encoded[0] | marker]) + encoded[1:]
    raise AssertionError("no test needs words that long")


def attributes(sentence: list[str]) -> dict[str, str]:
    """The `=name=value` words of a sentence."""
    pairs = (word[1:].partition("=") for word in sentence if word.startswith("="))
    return {name: value for name, _, value in pairs}
