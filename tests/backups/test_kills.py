"""Killed at every step, or out of room: what is in the store is whole or not there, and the next run goes well."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bawaba.backups import checking, key, making, runs
from bawaba.backups.errors import BackupRunning
from bawaba.backups.stores import LocalStore, S3Store
from bawaba.core.actor import SYSTEM
from bawaba.core.clock import ManualClock

KILLED = """
import os, signal, sys
from contextlib import contextmanager
from bawaba.backups import archive, progress

where = sys.argv.pop(1)
honest_step, honest_write = progress.Progress.step, archive._Sink.write

def die():
    os.kill(os.getpid(), signal.SIGKILL)

@contextmanager
def step(self, name, *deadline):
    with honest_step(self, name, *deadline):
        if name == where:
            die()
        yield

def write(self, piece):
    honest_write(self, piece)
    if where == "half a file":
        self.flush()
        die()
    return len(piece)

progress.Progress.step, archive._Sink.write = step, write
from bawaba.cli import main
main()
"""


@pytest.fixture
def clock() -> ManualClock:
    """The real time, for the killed process has no other."""
    return ManualClock(datetime.now(UTC))


def settings_of(rt) -> dict[str, str]:
    config = rt.config
    names = ("data_dir", "database_url", *(name for name in type(config).model_fields if name.startswith("backup_s3")))
    told = {f"BAWABA_{name.upper()}": str(getattr(config, name)) for name in names if getattr(config, name)}
    return {name: value for name, value in os.environ.items() if not name.startswith("BAWABA_")} | told


def killed_at(rt, where: str) -> None:
    command = [sys.executable, "-c", KILLED, where, "backup", "now", "--drill"]
    died = subprocess.run(command, env=settings_of(rt), capture_output=True, text=True, check=False)
    assert died.returncode == -9, died.stderr


def whole_or_nothing(rt, clock, identity: str) -> None:
    """Whatever was killed: nobody may begin beside it, then somebody may, and all that is stored opens."""
    with pytest.raises(BackupRunning):
        making.order(rt, SYSTEM)
    store = LocalStore(rt.config.backup_path)
    for name in store.names():
        assert checking.open_copy(rt, store, name, key.read_identity(identity))[1] == []
    clock.advance(runs.LEASE.total_seconds() + 30)

    run = making.make(rt, making.order(rt, SYSTEM, drill=True).id)

    assert (run.state, run.error_text) == ("confirmed", None)
    assert sorted(os.listdir(store.folder)) == store.names() and run.file in store.names()
    (dead,) = [row for row in rt.read(runs.latest) if row.id != run.id]
    assert (dead.state, dead.error) == ("failed", "backup_interrupted")


@pytest.mark.parametrize("where", ["dump", "half a file", "drill"])
def test_killed_on_either_database(rt, identity, clock, where):
    killed_at(rt, where)
    whole_or_nothing(rt, clock, identity)


class TestOnSqlite:
    """Where the database does not matter."""

    @pytest.fixture
    def migrated_url(self, tmp_path, empty_sqlite):
        shutil.copy(empty_sqlite, tmp_path / "bawaba.db")
        return f"sqlite:///{tmp_path / 'bawaba.db'}"

    @pytest.mark.parametrize("where", ["pack", "upload", "confirm", "prune"])
    def test_killed_with_a_store_elsewhere(self, rt, identity, clock, where, s3_bucket):
        rt.config = rt.config.model_copy(
            update={
                "backup_s3_endpoint": s3_bucket.endpoint,
                "backup_s3_bucket": s3_bucket.name,
                "backup_s3_prefix": f"killed-at-{where}",
                "backup_s3_access_key": s3_bucket.access_key,
                "backup_s3_secret_key": s3_bucket.secret_key,
            }
        )
        killed_at(rt, where)
        whole_or_nothing(rt, clock, identity)

        far = S3Store(rt.config)
        for name in far.names():
            assert checking.open_copy(rt, far, name, key.read_identity(identity))[1] == []

    @pytest.mark.netns  # root, who may mount a small disk
    def test_a_full_disk_fails_the_run_and_leaves_no_half_file(self, rt, identity, tmp_path):
        small = tmp_path / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", small], check=True)
        try:
            rt.config = rt.config.model_copy(update={"backup_dir": small})
            filler = small / "filler"

            run = making.make(rt, making.order(rt, SYSTEM).id, lambda step, _: fill(filler) if step == "pack" else None)

            assert (run.state, run.step, run.error) == ("failed", "pack", "backup_disk_full")
            assert os.listdir(small) == ["filler"] and run.stored == []
            too_little = making.make(rt, making.order(rt, SYSTEM).id)  # seen before anything is written
            assert (too_little.error, too_little.step) == ("backup_disk_full", "waiting")
            filler.unlink()
            assert making.make(rt, making.order(rt, SYSTEM).id).state == "confirmed"
        finally:
            subprocess.run(["umount", small], check=True)


def fill(path: Path) -> None:
    """Until there is no room left, to the last page."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
