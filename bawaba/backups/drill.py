"""The drill: a stored backup is fetched, opened, put back into a scratch database, and compared row by row.

The server has no identity that opens its backups. For the week's trial one more is made for this hour: the file is
encrypted to the owner's key and to it, and it is forgotten with the run.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from bawaba.backups import archive, dumping
from bawaba.backups.archive import DATABASES, Manifest
from bawaba.backups.dumping import sound_walk
from bawaba.backups.errors import BackupFailed, DrillFailed, OtherDatabase, RightMissing
from bawaba.backups.models import BackupRun
from bawaba.backups.progress import Progress
from bawaba.backups.stores import Store, join_pieces
from bawaba.backups.walk import differences, rows_in
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime

OK, FAILED, NOT_POSSIBLE = "ok", "failed", "not_possible"
TOLD_MOST = 10


def try_out(
    rt: Runtime, store: Store, run: BackupRun, identity: Any, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Put a stored copy back on trial; answers {state, at, seconds, rows, store, error?}."""
    began = time.monotonic()
    told: dict[str, Any] = {"state": OK, "at": rt.clock.now().isoformat(), "rows": 0, "store": store.name}
    try:
        rows, wrong = put_back(rt, store, run.file, identity, folder / "drill", progress.beat)
        told["rows"] = rows
        if wrong:
            told |= {"state": FAILED, "error": "; ".join(wrong[:TOLD_MOST])}
    except RightMissing as problem:
        told |= {"state": NOT_POSSIBLE, "error": problem.code}
    except BackupFailed as problem:
        told |= {"state": FAILED, "error": f"{problem.code} {problem.details.get('why', '')}".strip()}
    return {**told, "seconds": round(time.monotonic() - began, 1)}


def put_back(
    rt: Runtime, store: Store, name: str, identity: Any, folder: Path, beat: dumping.Beat
) -> tuple[int, list[str]]:
    """Open a copy, put its database into a scratch one and walk it: how many rows, and what is different.

    Raises `WrongIdentity`, `NotABackup`, `RightMissing`, `OtherDatabase` and what the stores raise.
    """
    fetched = folder / "copy"
    folder.mkdir(mode=0o700)
    try:
        join_pieces(store.pieces(name), fetched, lambda done: beat())
        return walk_file(rt, fetched, identity, folder, beat)
    finally:
        shutil.rmtree(folder)


def walk_file(rt: Runtime, file: Path, identity: Any, folder: Path, beat: dumping.Beat) -> tuple[int, list[str]]:
    """The same for a file on this machine; `folder` is for what is opened."""
    with file.open("rb") as source:
        manifest = archive.unpack(source, identity, folder, lambda manifest: None, beat)
    return _walk_scratch(rt, manifest, folder, beat)


def _walk_scratch(rt: Runtime, manifest: Manifest, folder: Path, beat: dumping.Beat) -> tuple[int, list[str]]:
    dumped = folder / DATABASES[manifest.database]
    here = dumping.kind_of(rt.config.sqlalchemy_url)
    if manifest.database == "sqlite":
        url = f"sqlite:///{dumped}"
        found = sound_walk(url, beat)
        return rows_in(found), differences(manifest.tables, found)
    if here != "postgresql":
        raise OtherDatabase(of="PostgreSQL", here="SQLite")
    with dumping.scratch(rt, folder, f"bawaba_drill_{manifest.run_id}") as url:
        dumping.undump(dumped, url, beat)
        found = sound_walk(url, beat)
    return rows_in(found), differences(manifest.tables, found)


def failure(told: dict[str, Any]) -> Problem:
    """What a failed trial is raised as."""
    return DrillFailed(why=str(told.get("error", "")))
