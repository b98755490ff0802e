"""Looking at a backup again: are its copies what was written, and does the owner's identity open it?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bawaba.backups import drill, runs
from bawaba.backups.errors import BackupFailed, CopyMissing
from bawaba.backups.models import BackupRun
from bawaba.backups.stores import Store, confirm, stores_of
from bawaba.core.runtime import Runtime

OK, FAILED, RUNNING = "ok", "failed", "running"


def order_check(rt: Runtime, run_id: int) -> BackupRun:
    """Note that a backup's copies are about to be read. Raises `BackupNotFound`."""
    rt.read(runs.get_run, run_id)
    return rt.transact(runs.note_check, run_id, {"state": RUNNING, "at": rt.clock.now().isoformat()})


def check_copies(rt: Runtime, run_id: int) -> BackupRun:
    """Read every copy of a backup, compare size and hash, and write down what came of it.

    The server can do no more: it has no identity that opens the file. Raises `BackupNotFound`.
    """
    run = rt.read(runs.get_run, run_id)
    told: dict[str, Any] = {"state": OK, "at": rt.clock.now().isoformat()}
    try:
        _confirm_all(rt, run)
    except BackupFailed as problem:
        why = " ".join(str(problem.details[name]) for name in ("store", "why") if problem.details.get(name))
        told |= {"state": FAILED, "error": problem.code, "error_text": why[:300]}
    return rt.transact(runs.note_check, run_id, told)


def _confirm_all(rt: Runtime, run: BackupRun) -> None:
    stores = {store.name: store for store in stores_of(rt.config)}
    if not run.stored:
        raise CopyMissing()
    for copy in run.stored:
        if copy["store"] in stores:
            confirm(stores[copy["store"]], run.file, run.size_bytes or 0, run.sha256 or "", lambda done: None)


def open_copy(rt: Runtime, store: Store, name: str, identity: Any) -> tuple[int, list[str]]:
    """The whole way with the owner's identity: open it, put it into a scratch database, walk it.

    Answers how many rows it has, and what is different from what was dumped. Raises `WrongIdentity`, `NotABackup`.
    """
    with _scratch_folder(rt) as folder:
        return drill.put_back(rt, store, name, identity, folder / "copy", lambda: None)


def open_file(rt: Runtime, file: Path, identity: Any) -> tuple[int, list[str]]:
    """The same for a file that is not in a store, like one from a memory stick."""
    with _scratch_folder(rt) as folder:
        return drill.walk_file(rt, file, identity, folder, lambda: None)


@contextmanager
def _scratch_folder(rt: Runtime) -> Iterator[Path]:
    """A folder on the disk of the local store, for a while."""
    rt.config.backup_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="verify-", dir=rt.config.backup_path) as name:
        yield Path(name)
