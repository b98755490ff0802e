"""One mark a table, that changes with every commit that wrote to it: in a file that processes share, or in Redis.

What is cached carries the marks of the tables it was made from. A mark is random, never a count: one that got lost and
begins anew can then not equal an old one by chance.
"""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

MARK_BYTES = 8
PLACES = 4096  # two tables on one place drop each other's values: needless, never wrong
REDIS_PREFIX = "bawaba:mark:"
REDIS_KEEP_S = 86400  # a mark that nobody needs may go; what carried it is older than any value lives


class Marks(Protocol):
    """Where the marks are."""

    def read(self, tables: Sequence[str]) -> str:
        """The marks of some tables, as one text."""
        ...

    def change(self, tables: Iterable[str]) -> None:
        """Give these tables new marks."""
        ...


class NoMarks:
    """Where there is nothing to drop."""

    def read(self, tables: Sequence[str]) -> str:
        return ""

    def change(self, tables: Iterable[str]) -> None:
        """Nothing carries a mark."""


class FileMarks:
    """Marks in a small file in the data folder, which every process on it maps into its memory.

    So a command beside a running server is noticed by the server, and a look costs no system call. Eight aligned bytes
    are written at once.
    """

    def __init__(self, path: Path) -> None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(handle).st_size < PLACES * MARK_BYTES:
                os.ftruncate(handle, PLACES * MARK_BYTES)
            self._marks = memoryview(mmap.mmap(handle, PLACES * MARK_BYTES)).cast("Q")
        finally:
            os.close(handle)

    def read(self, tables: Sequence[str]) -> str:
        return " ".join([f"{self._marks[_place(table)]:x}" for table in tables])

    def change(self, tables: Iterable[str]) -> None:
        for table in tables:
            self._marks[_place(table)] = secrets.randbits(MARK_BYTES * 8)


class RedisMarks:
    """Marks in Redis, for processes on several machines. Its errors are for the cache to mind."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def read(self, tables: Sequence[str]) -> str:
        names = [REDIS_PREFIX + table for table in tables]
        found: list[bytes | None] = self._client.mget(names)
        if None in found:  # never written, or forgotten by Redis: whoever comes first begins it, for everybody
            with self._client.pipeline(transaction=False) as pipeline:
                for name, mark in zip(names, found, strict=True):
                    if mark is None:
                        pipeline.set(name, secrets.token_hex(MARK_BYTES), ex=REDIS_KEEP_S, nx=True)
                pipeline.execute()
            found = self._client.mget(names)
        return " ".join([(mark or b"").decode() for mark in found])

    def change(self, tables: Iterable[str]) -> None:
        with self._client.pipeline(transaction=False) as pipeline:
            for table in tables:
                pipeline.set(REDIS_PREFIX + table, secrets.token_hex(MARK_BYTES), ex=REDIS_KEEP_S)
            pipeline.execute()


def _place(table: str) -> int:
    return crc32(table.encode()) % PLACES
