"""A backup holds everything, opens with the owner's identity alone, and counts only when it was read back."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from bawaba.backups import archive, checking, dumping, key, making, runs
from bawaba.backups.errors import BackupRunning, NoBackupKey, WrongIdentity
from bawaba.backups.stores import LocalStore
from bawaba.core.actor import SYSTEM


def made(rt, **how):
    return making.make(rt, making.order(rt, SYSTEM, **how).id)


def path_of(rt, run) -> Path:
    return rt.config.backup_path / run.file


def opened(rt, run, identity, folder: Path) -> Path:
    folder.mkdir()
    with path_of(rt, run).open("rb") as file:
        archive.unpack(file, key.read_identity(identity), folder, lambda manifest: None, lambda: None)
    return folder


def test_a_backup_is_confirmed_and_its_every_row_comes_back(rt, identity):
    run = made(rt)

    assert (run.state, run.error) == ("confirmed", None)
    assert run.stored == [{"store": "local", "path": str(path_of(rt, run))}]
    assert path_of(rt, run).stat().st_size == run.size_bytes
    rows, wrong = checking.open_file(rt, path_of(rt, run), key.read_identity(identity))
    assert (rows, wrong) == (run.row_count, [])
    assert os.listdir(rt.config.backup_path) == [run.file]  # no half file, no work left


def test_card_pictures_and_settings_are_in_it_and_the_key_file_is_not(rt, identity, tmp_path):
    folder = opened(rt, made(rt), identity, tmp_path / "opened")

    (picture,) = (rt.config.data_dir / "cards").rglob("*.qr")
    assert (folder / picture.relative_to(rt.config.data_dir)).read_bytes() == picture.read_bytes()
    key_text = rt.config.key_path.read_text().strip()
    for path in folder.rglob("*"):
        assert not path.is_file() or key_text.encode() not in path.read_bytes()
    settings = (folder / "settings.json").read_text()
    assert "http://login.wifi" in settings and "password" not in settings and "secret" not in settings


def test_nothing_on_the_server_opens_its_backup(rt, identity, tmp_path):
    """Not even after the week's trial, for which a second key was made: it is gone."""
    run = made(rt, drill=True)
    assert run.drill["state"] == "ok" and run.drill["rows"] == run.row_count

    stranger = key.NewKey(*_fresh_identity())
    with pytest.raises(WrongIdentity):
        opened(rt, run, stranger.identity, tmp_path / "never")
    for path in rt.config.data_dir.rglob("*"):
        assert not path.is_file() or b"AGE-SECRET-KEY-" not in path.read_bytes().upper()


def _fresh_identity() -> tuple[str, str]:
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def test_without_a_key_nothing_is_made(rt, cast):
    with pytest.raises(NoBackupKey):
        making.order(rt, SYSTEM)


def test_of_ten_who_begin_at_once_one_does(rt, identity):
    def begin(_number: int) -> str:
        try:
            return str(making.order(rt, SYSTEM).id)
        except BackupRunning:
            return "running"

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(begin, range(10)))

    assert answers.count("running") == 9


def test_a_run_whose_process_died_makes_way_and_leaves_nothing(rt, identity, clock):
    dead = making.order(rt, SYSTEM)
    rt.transact(runs.take, dead.id, "somebody", clock.now())
    work = rt.config.backup_path / f"work-{dead.id}"
    work.mkdir(parents=True)
    (work / "database").write_bytes(b"half")
    clock.advance(runs.LEASE.total_seconds() + 1)

    run = made(rt)

    assert run.state == "confirmed"
    assert rt.read(runs.get_run, dead.id).error == "backup_interrupted"
    assert os.listdir(rt.config.backup_path) == [run.file]


def test_a_trial_that_finds_another_row_fails_the_run(rt, identity, monkeypatch):
    """The dump is changed after it was walked, as a bad disk would."""
    honest = dumping.dump

    def dump_and_change(rt, path, beat):
        dumped = honest(rt, path, beat)
        counted = {name: tally for name, tally in dumped.walked.items() if name != "voucher"}
        counted["voucher"] = type(dumped.walked["voucher"])(19, dumped.walked["voucher"].sha256)
        return dumping.Dump(dumped.path, dumped.kind, dumped.shape, counted)

    monkeypatch.setattr(dumping, "dump", dump_and_change)

    run = made(rt, drill=True)

    assert (run.state, run.step, run.error) == ("failed", "drill", "backup_drill_failed")
    assert run.error_text == "voucher: 20 rows, not 19"


def test_a_copy_that_rots_is_found(rt, identity):
    run = made(rt)
    with path_of(rt, run).open("r+b") as file:
        file.seek(-7, os.SEEK_END)
        file.write(b"!")

    checked = checking.check_copies(rt, run.id)

    assert checked.last_check is not None and checked.last_check["error"] == "backup_damaged"
    path_of(rt, run).unlink()
    gone = checking.check_copies(rt, run.id).last_check
    assert gone is not None and gone["error"] == "backup_missing"


def test_old_copies_go_by_the_rule_and_never_those_of_others(rt, identity, clock, monkeypatch):
    stranger = rt.config.backup_path / "bawaba-of-another.tar.zst.age"
    first = made(rt)
    stranger.write_bytes(b"from another installation")
    for _night in range(9):
        clock.advance(86400)
        last = made(rt)

    names = LocalStore(rt.config.backup_path).names()
    assert last.file in names and stranger.name in names
    assert first.file not in names and len(names) == 1 + 8  # seven days, and the one before of another week
    assert rt.read(runs.get_run, first.id).stored == []


def test_the_walk_of_both_databases_is_the_same_for_the_same_rows(rt, identity, tmp_path):
    """A changed row, however small, is seen."""
    before = dumping.dump(rt.config, tmp_path / "before").walked
    rt.transact(lambda db: db.execute(text("UPDATE voucher SET note = 'x' WHERE id = (SELECT min(id) FROM voucher)")))

    after = dumping.dump(rt.config, tmp_path / "after").walked

    assert [name for name in before if before[name] != after[name]] == ["voucher"]


def test_the_owner_can_open_it_without_us(rt, identity, tmp_path):
    """age and zstd are programs of their own; here age's part is done by its library."""
    import pyrage
    import zstandard

    run = made(rt)
    plain = tmp_path / "plain.tar.zst"
    pyrage.decrypt_file(str(path_of(rt, run)), str(plain), [key.read_identity(identity)])
    with plain.open("rb") as source, (tmp_path / "plain.tar").open("wb") as target:
        zstandard.ZstdDecompressor().copy_stream(source, target)

    listed = subprocess.run(["tar", "tf", tmp_path / "plain.tar"], capture_output=True, text=True, check=True).stdout
    assert listed.splitlines()[0] == "manifest.json"
