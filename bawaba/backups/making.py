"""Making a backup: dump, pack, upload, confirm, put back on trial, prune. Nothing half done ever counts.

The work is done in a process of its own: the command line's, or a child of the server's, so that its memory goes with
it and guests' requests come first.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from bawaba.accounts.idempotency import Once
from bawaba.backups import archive, drill, dumping, key, rules, runs
from bawaba.backups.archive import Manifest, Packed
from bawaba.backups.dumping import Dump
from bawaba.backups.errors import BackupFailed, BackupRunning, DiskFull, DumpFailed
from bawaba.backups.models import BackupRun
from bawaba.backups.progress import Progress, Told
from bawaba.backups.rules import Copy, Kept
from bawaba.backups.stores import LocalStore, Store, confirm, local_faults, stores_of
from bawaba.backups.walk import rows_in
from bawaba.core.actor import Actor
from bawaba.core.database import is_duplicate
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime

log = structlog.get_logger(__name__)
SECRET_WORDS = ("password", "secret", "_url", "access_key")


def order(
    rt: Runtime, actor: Actor, kind: str = "manual", *, drill: bool = False, once: Once | None = None
) -> BackupRun:
    """Begin a run. Raises `BackupRunning` where there is one in this installation, `NoBackupKey`."""
    now = rt.clock.now()
    rt.transact(runs.end_dead, now)
    try:
        return rt.transact(runs.order, actor, kind, now, drill=drill, once=once)
    except IntegrityError as error:
        if is_duplicate(error):
            raise BackupRunning() from error
        raise


def make(rt: Runtime, run_id: int, told: Told = lambda step, thousandths: None) -> BackupRun:
    """Do an ordered run to its end, in this process; answers its row, confirmed or failed.

    Raises `BackupRunning` where somebody else does it.
    """
    owner = f"{rt.config.process_name}:{os.getpid()}:{secrets.token_hex(4)}"
    run = rt.transact(runs.take, run_id, owner, rt.clock.now())
    if run is None:
        raise BackupRunning()
    clear_away(rt)
    with Progress(rt, run, owner) as progress:
        progress.told = told
        work = Work(rt, run, progress)
        try:
            work.do()
            ended: dict[str, Any] = {"state": runs.CONFIRMED, "progress": 1000}
        except (Problem, SQLAlchemyError, OSError) as error:
            ended = {"state": runs.FAILED, "step": progress.current, **_why(error)}
            log.error("a backup failed", backup_id=run.id, step=progress.current, error=ended["error_text"])
        finally:
            work.tidy()
    rt.transact(runs.end, run_id, owner, ended, rt.clock.now())
    return rt.read(runs.get_run, run_id)


def _why(error: Exception) -> dict[str, str]:
    if isinstance(error, OSError):
        error = DiskFull(why=str(error)) if error.errno in (28, 122) else BackupFailed(why=str(error))
    code = error.code if isinstance(error, Problem) else "database_away"
    details = error.details if isinstance(error, Problem) else {}
    return {"error": code, "error_text": str(details.get("why", "") or details.get("store", ""))[:500]}


def clear_away(rt: Runtime) -> None:
    """Remove what runs that died have left: work folders and half files."""
    folder = rt.config.backup_path
    for left in [*folder.glob("work-*"), *folder.glob("*.partial")]:
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


class Work:
    """One run's work, step by step."""

    def __init__(self, rt: Runtime, run: BackupRun, progress: Progress) -> None:
        self._rt, self._run, self._progress = rt, run, progress
        self._local = LocalStore(rt.config.backup_path)
        self._folder = rt.config.backup_path / f"work-{run.id}"
        self._stored: list[dict[str, str]] = []
        self._went_well = False

    def do(self) -> None:
        """All of it. Raises what ended it."""
        self._begin()
        dump = self._dump()
        packed, opener = self._pack(dump)
        try:
            for store in stores_of(self._rt.config):
                self._keep(store, packed)
            if opener is not None:
                self._try_out(opener)
            self._went_well = True
        finally:
            self._prune()  # also when the store elsewhere is away for weeks: the disk here must not fill up

    def tidy(self) -> None:
        """Leave no work behind."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self) -> None:
        self._local.make()
        with local_faults():
            self._folder.mkdir(mode=0o700)
        wanted, free = _room_wanted(self._rt), shutil.disk_usage(self._folder).free
        if free < wanted:
            raise DiskFull(why=f"{free // 2**20} MiB are free, {wanted // 2**20} MiB are needed")

    def _dump(self) -> Dump:
        with self._progress.step("dump"), local_faults():
            try:
                dumped = dumping.dump(self._rt.config, self._folder / "database", self._progress.beat)
            except SQLAlchemyError as error:
                raise DumpFailed(why=str(error)) from error
        fingerprint = self._rt.keyring.fingerprint
        self._progress.note(shape=dumped.shape, row_count=rows_in(dumped.walked), key_fingerprint=fingerprint)
        return dumped

    def _pack(self, dump: Dump) -> tuple[Packed, Any]:
        """The encrypted file, and where it is the week's trial, the identity of this hour that can open it."""
        import pyrage

        rt, run = self._rt, self._run
        manifest = Manifest(
            run.id, run.started_at.isoformat(), version("bawaba"), dump.kind, dump.shape, rt.keyring.fingerprint,
            dump.walked,
        )  # fmt: skip
        keys = [key.parse(str(run.recipient))]
        opener = pyrage.x25519.Identity.generate() if run.wants_drill else None
        if opener is not None:
            keys.append(opener.to_public())
        with self._progress.step("pack"), local_faults():
            packed = archive.pack(
                self._packed_path, manifest, dump.path, rt.config.data_dir, settings(rt), keys, self._packing
            )
        dump.path.unlink()
        return packed, opener

    @property
    def _packed_path(self) -> Path:
        return self._folder / self._run.file

    def _packing(self, packed: Packed) -> None:
        self._progress.beat(packed.done, packed.total)

    def _keep(self, store: Store, packed: Packed) -> None:
        name, size = self._run.file, packed.size
        if store.name == "local":
            place = self._local.adopt(self._packed_path, name)
        else:
            with self._progress.step("upload"):
                place = store.put(self._local.folder / name, name, lambda done: self._progress.beat(done, size))
        with self._progress.step("confirm"):
            confirm(store, name, size, packed.sha256, lambda done: self._progress.beat(done, size))
        self._stored = [*self._stored, place]
        self._progress.note(stored=self._stored, size_bytes=size, sha256=packed.sha256)

    def _try_out(self, opener: Any) -> None:
        """What was stored last, which is elsewhere where there is an elsewhere, is put back."""
        with self._progress.step("drill"):
            farthest = stores_of(self._rt.config)[-1]
            found = drill.try_out(self._rt, farthest, self._run, opener, self._folder, self._progress)
            self._progress.note(drill=found)
            if found["state"] == drill.FAILED:
                raise drill.failure(found)

    def _prune(self) -> None:
        with suppress(BackupFailed), self._progress.step("prune"):
            for store in stores_of(self._rt.config):
                prune(self._rt, store, self._run.id if self._went_well else None)


def prune(rt: Runtime, store: Store, good: int | None = None) -> list[str]:
    """Remove from a store the copies that need not be kept; answers their names. Files of others are never touched.

    `good` is the run that is about to be confirmed.
    """
    kept = Kept(rt.config.backup_keep_daily, rt.config.backup_keep_weekly, rt.config.backup_keep_monthly)
    found = {run.id: run for run in rt.read(runs.with_copies, store.name)}
    copies = [Copy(run.id, run.started_at, run.state == runs.CONFIRMED or run.id == good) for run in found.values()]
    removed = []
    for run_id in sorted(rules.may_go(copies, kept, rt.read(runs.zone, rt.config))):
        store.remove(found[run_id].file)
        rt.transact(runs.forget_copy, run_id, store.name)
        removed.append(found[run_id].file)
    return removed


def settings(rt: Runtime) -> bytes:
    """The settings that are in force, without what is secret."""
    told = rt.config.model_dump(mode="json")
    shown = {name: value for name, value in told.items() if not any(word in name for word in SECRET_WORDS)}
    return orjson.dumps({**shown, "public_url": told["public_url"]}, option=orjson.OPT_INDENT_2)


def _room_wanted(rt: Runtime) -> int:
    """The dump, and the packed file beside it, at their largest."""
    pictures = sum(path.stat().st_size for path in (rt.config.data_dir / "cards").rglob("*.qr"))
    file = rt.config.sqlite_path
    return 2 * (file.stat().st_size if file else 0) + pictures + 16 * 2**20
