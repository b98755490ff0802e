"""A process of its own that makes QR codes for a large batch, so that guests' requests keep the interpreter's lock.

Codes go to it through a pipe only. Each message is a length (4 bytes, big end first) and so many bytes.
"""

from __future__ import annotations

import contextlib
import struct
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Self

import orjson

from bawaba.vouchers.qr import QrMatrix, bytes_a_row, card_matrices

LENGTH = struct.Struct(">I")
STOP_S = 5.0


class QrWorker:
    """`with QrWorker() as worker: worker.matrices(portal_url, codes)`. Raises `OSError` when the process has died."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "bawaba.vouchers.qr_worker"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._child.stdin is not None and self._child.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # what it was still to read, it never will
            self._child.stdin.close()
        try:
            self._child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()

    def matrices(self, portal_url: str, codes: Sequence[str]) -> list[QrMatrix]:
        """The QR codes of some cards, all of one size, as `card_matrices` makes them."""
        assert self._child.stdin is not None and self._child.stdout is not None
        write(self._child.stdin, orjson.dumps([portal_url, list(codes)]))
        packed = read(self._child.stdout)
        if not packed:
            raise BrokenPipeError("the process that makes QR codes has ended")
        size = packed[0]
        length = size * bytes_a_row(size)
        return [QrMatrix(size, packed[at : at + length]) for at in range(1, len(packed), length)]


def write(stream: IO[bytes], data: bytes) -> None:
    """Send one message."""
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def read(stream: IO[bytes]) -> bytes:
    """Receive one message; empty at the end."""
    head = stream.read(LENGTH.size)
    return stream.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""


def main() -> None:
    """Be the process: answer each list of codes with a byte of size and the modules."""
    while asked := read(sys.stdin.buffer):
        portal_url, codes = orjson.loads(asked)
        found = card_matrices(portal_url, codes)
        write(sys.stdout.buffer, bytes([found[0].size]) + b"".join(matrix.bits for matrix in found))


if __name__ == "__main__":
    main()
