"""A backup put back: under a running server, after a power cut in the middle, and refused where it would do harm."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest
from sqlalchemy import create_engine, text

from bawaba import migrations
from bawaba.backups import dumping, key, making, ready
from bawaba.backups.errors import CopyDamaged, TooNew, WrongIdentity, WrongKeyFile
from bawaba.core.actor import SYSTEM
from bawaba.core.keyring import Keyring
from bawaba.upkeep import restoring
from tests.product import product


def made(rt):
    run = making.make(rt, making.order(rt, SYSTEM).id)
    assert run.state == "confirmed", (run.error, run.error_text)
    return rt.config.backup_path / run.file


def serials(url: str) -> list[str]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = list(connection.execute(text("SELECT serial FROM voucher ORDER BY id")).scalars())
    engine.dispose()
    return found


def test_what_was_lost_is_back_and_what_was_there_is_kept(rt, identity, cast):
    before = serials(rt.config.sqlalchemy_url)
    file = made(rt)
    sold_since = cast.make_voucher().serial
    rt.database.close()

    restoring.prepare(rt.config, file, key.read_identity(identity))
    swapped = restoring.swap(rt.config)

    assert serials(rt.config.sqlalchemy_url) == before
    assert swapped is not None
    kept = f"sqlite:///{swapped.old_database}" if rt.config.sqlite_path else rt.config.sqlalchemy_url.rpartition("/")[0]
    kept = kept if rt.config.sqlite_path else f"{kept}/{swapped.old_database}"
    assert serials(kept) == [*before, sold_since]
    assert len(list((rt.config.data_dir / "cards").rglob("*.qr"))) == 1
    assert ready.pending(rt.config) is None
    if not rt.config.sqlite_path:
        dumping.drop_database(rt.config.sqlalchemy_url, swapped.old_database)


def test_the_backup_that_was_restored_stands_confirmed_in_itself(rt, identity):
    file = made(rt)
    rt.database.close()
    restoring.prepare(rt.config, file, key.read_identity(identity))
    swapped = restoring.swap(rt.config)
    assert swapped is not None

    engine = create_engine(rt.config.sqlalchemy_url)
    with engine.connect() as connection:
        states = connection.execute(text("SELECT state, size_bytes FROM backup_run")).all()
    engine.dispose()
    assert [tuple(row) for row in states] == [("confirmed", file.stat().st_size)]
    if not rt.config.sqlite_path:
        dumping.drop_database(rt.config.sqlalchemy_url, swapped.old_database)


class TestRefusals:
    """Each leaves everything as it was, unless the owner insists."""

    @pytest.fixture
    def migrated_url(self, tmp_path, empty_sqlite):
        shutil.copy(empty_sqlite, tmp_path / "bawaba.db")
        return f"sqlite:///{tmp_path / 'bawaba.db'}"

    @pytest.fixture
    def prepared(self, rt, identity):
        file = made(rt)
        before = serials(rt.config.sqlalchemy_url)

        def prepare(opener=None, **how):
            return restoring.prepare(rt.config, file, opener or key.read_identity(identity), **how)

        yield prepare
        assert ready.pending(rt.config) is None
        assert not (rt.config.data_dir / ready.FOLDER).exists()
        assert serials(rt.config.sqlalchemy_url) == before

    def test_another_identity(self, prepared):
        import pyrage

        with pytest.raises(WrongIdentity):
            prepared(pyrage.x25519.Identity.generate())

    def test_another_key_file(self, prepared, rt):
        rt.config.key_path.unlink()
        other = Keyring.open(rt.config.key_path).fingerprint
        with pytest.raises(WrongKeyFile) as refused:
            prepared()
        assert refused.value.details == {"here": other, "of": rt.keyring.fingerprint}

    def test_another_key_file_that_the_owner_insists_on(self, rt, identity):
        file = made(rt)
        rt.database.close()
        rt.config.key_path.unlink()
        other = Keyring.open(rt.config.key_path).fingerprint

        restoring.prepare(rt.config, file, key.read_identity(identity), other_key=True)
        restoring.swap(rt.config)

        with sqlite3.connect(rt.config.sqlite_path) as books:
            assert books.execute("SELECT value FROM install_fact WHERE name = 'key'").fetchone() == (other,)

    def test_no_key_file_makes_none(self, prepared, rt):
        rt.config.key_path.unlink()
        with pytest.raises(WrongKeyFile):
            prepared()
        assert not rt.config.key_path.exists()

    def test_a_newer_shape(self, prepared, monkeypatch):
        monkeypatch.setattr(migrations, "is_known", lambda step: False)
        with pytest.raises(TooNew):
            prepared()

    def test_content_that_is_not_what_was_dumped(self, prepared, monkeypatch):
        monkeypatch.setattr(restoring, "differences", lambda wanted, found: ["voucher: 1 rows, not 20"])
        with pytest.raises(CopyDamaged):
            prepared()


KILLED_AT_RENAME = """
import os, signal, sys
from pathlib import Path
from bawaba.core.config import Config
from bawaba.upkeep import restoring

left = int(sys.argv[1])
rename = os.rename

def rename_or_die(*paths):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    rename(*paths)

os.rename = rename_or_die
restoring.swap(Config.from_env(os.environ))
"""


def test_power_cut_between_any_two_renames_is_made_good_by_the_next_start(tmp_path, empty_sqlite):
    """The log, the file, the new file, the pictures, the new pictures."""
    database, folder = tmp_path / "bawaba.db", tmp_path / ready.FOLDER
    died = 0
    for renames in range(6):
        shutil.rmtree(tmp_path)
        (folder / "cards").mkdir(parents=True)
        (tmp_path / "cards" / "old").mkdir(parents=True)
        shutil.copy(empty_sqlite, folder / "bawaba.db")
        (folder / ready.READY).write_text('{"stamp": "S", "file": "f", "database": "", "rows": 0}')
        old = sqlite3.connect(database)
        old.execute("PRAGMA journal_mode=WAL")
        old.execute("CREATE TABLE old (word)")
        old.execute("INSERT INTO old VALUES ('still in the log')")
        old.commit()  # and the connection stays open, so that the log is not emptied
        environ = {**os.environ, "BAWABA_DATA_DIR": str(tmp_path)}
        command = [sys.executable, "-c", KILLED_AT_RENAME, str(renames)]
        died += subprocess.run(command, env=environ, check=False).returncode == -9
        subprocess.run([*command[:-1], "99"], env=environ, check=True)
        old.close()

        kept = sqlite3.connect(tmp_path / "bawaba.db.before-S")
        assert kept.execute("SELECT word FROM old").fetchall() == [("still in the log",)]
        kept.close()
        assert migrations.is_current(f"sqlite:///{database}")
        assert (tmp_path / "cards.before-S" / "old").is_dir() and not (tmp_path / "cards" / "old").exists()
        assert not folder.exists()
    assert died >= 5


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_a_server_that_is_running_comes_back_with_it_and_guests_only_wait(database, tmp_path):
    with product(database) as running:
        rt = running.rt
        running.cast.make_voucher()
        identity = tmp_path / "identity"
        identity.write_text(key.make(rt, SYSTEM).identity)
        before = serials(rt.config.sqlalchemy_url)
        made(rt)
        running.cast.make_voucher()
        rt.database.engine.dispose()
        answers: list[int] = []
        over = threading.Event()
        asker = threading.Thread(target=ask, args=[running.port, over, answers])
        asker.start()

        words = ["backup", "restore", "--yes", "--identity", str(identity)]
        environ = {**os.environ, "BAWABA_DATA_DIR": str(rt.config.data_dir)}
        if rt.config.database_url:
            environ["BAWABA_DATABASE_URL"] = rt.config.database_url
        done = subprocess.run([sys.executable, "-m", "bawaba", *words], env=environ, capture_output=True, text=True)

        assert done.returncode == 0, done.stderr
        time.sleep(1)
        over.set()
        asker.join()
        assert serials(rt.config.sqlalchemy_url) == before
        assert running.processes[0].poll() is None
        assert answers[-1] == 200 and answers.count(0) <= 2, answers  # a connection that was open when it ended


def ask(port: int, over: threading.Event, answers: list[int]) -> None:
    while not over.wait(0.1):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
                answers.append(answer.status)
        except urllib.error.HTTPError as error:
            answers.append(error.code)
        except OSError:
            answers.append(0)
