"""A backup as a file on this machine, wherever it lies."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bawaba.backups.errors import BackupNotFound
from bawaba.backups.stores import join_pieces, stores_of
from bawaba.core.config import Config

LATEST = "latest"


@contextmanager
def as_file(config: Config, which: str, told: Callable[[str], object] = lambda name: None) -> Iterator[Path]:
    """`which` is a file's path, its name in a store, or `latest`; fetched for the block where it is only elsewhere.

    Raises `BackupNotFound` and what the stores raise.
    """
    if which != LATEST and Path(which).is_file():
        yield Path(which).absolute()
        return
    for store in stores_of(config):
        names = store.names()
        name = (names[-1] if names else "") if which == LATEST else which
        if name not in names:
            continue
        if store.name == "local":
            yield config.backup_path / name
            return
        told(name)
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=config.data_dir) as folder:
            fetched = Path(folder, name)
            join_pieces(store.pieces(name), fetched, lambda done: None)
            yield fetched
        return
    raise BackupNotFound()
