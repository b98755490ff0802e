"""What a restore has made ready, and the mark by which running processes notice that the database is another one."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from bawaba.core.config import Config

FOLDER, READY = "restore", "ready.json"
RESTORED = "restored"  # a fact in the database


@dataclass(frozen=True, slots=True)
class Ready:
    """What lies ready to take the place of what is there. `database` is PostgreSQL's new database, else empty."""

    stamp: str
    file: str
    database: str
    rows: int


def pending(config: Config) -> Ready | None:
    """What lies ready, if anything does."""
    try:
        return Ready(**orjson.loads((config.data_dir / FOLDER / READY).read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
