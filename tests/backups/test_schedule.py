"""The night's backup begins by itself, and the owner hears when there is none."""

from __future__ import annotations

import shutil
import time

import pytest

from bawaba.backups import key, making, runs, telling
from bawaba.backups.events import BackupProgress
from bawaba.backups.scheduler import backups
from bawaba.core.actor import SYSTEM
from bawaba.notifications.models import Notification
from bawaba.notifications.words import BEGUN, of
from tests.staff import let_in

HOUR, DAY = 3600, 86400


@pytest.fixture
def migrated_url(tmp_path, empty_sqlite):
    shutil.copy(empty_sqlite, tmp_path / "bawaba.db")
    return f"sqlite:///{tmp_path / 'bawaba.db'}"


@pytest.fixture
def hana(rt, cast, monkeypatch):
    """The installation is hers since noon; a child of ours finds it by its settings."""
    monkeypatch.setenv("BAWABA_DATA_DIR", str(rt.config.data_dir))
    return let_in(rt, "hana", "admin")


def test_it_begins_at_its_hour_once_is_told_and_done_by_a_process_of_its_own(rt, hana, clock):
    key.make(rt, SYSTEM)
    heard: list[BackupProgress] = []
    rt.events.subscribe(BackupProgress, heard.append)
    backups(rt).round()
    assert rt.read(runs.latest) == []  # the first night is still to come

    clock.advance(13 * HOUR)  # 01:00 UTC, 04:00 in Aden
    until = time.monotonic() + 60
    while not heard or heard[-1].state == runs.RUNNING:
        backups(rt).round()
        time.sleep(0.1)
        assert time.monotonic() < until, heard

    assert heard[-1].state == runs.CONFIRMED
    (run,) = rt.read(runs.latest)
    assert (run.kind, run.drill["state"] if run.drill else None) == ("scheduled", "ok")
    clock.advance(5 * HOUR)
    backups(rt).round()
    assert len(rt.read(runs.latest)) == 1


def open_ones(rt) -> list[Notification]:
    return [row for row in rt.read(lambda db: list(db.query(Notification))) if row.closed_at is None]


def test_an_owner_without_a_key_hears_of_it_once_and_that_it_is_well(rt, hana, clock):
    clock.advance(DAY)
    assert len(telling.look_again(rt, clock.now())) == 1
    assert telling.look_again(rt, clock.now()) == []
    (told,) = open_ones(rt)
    assert told.facts["error"] == "no_backup_key" and "backup key" in of(told, BEGUN, "en").body

    key.make(rt, SYSTEM)
    assert making.make(rt, making.order(rt, SYSTEM).id).state == "confirmed"
    telling.look_again(rt, clock.now())

    assert open_ones(rt) == []


def test_a_failed_run_is_told_until_one_goes_well(rt, hana, clock):
    key.make(rt, SYSTEM)
    good = rt.config
    away = {"backup_s3_bucket": "b", "backup_s3_access_key": "a", "backup_s3_secret_key": "s"}
    rt.config = good.model_copy(update={**away, "backup_s3_endpoint": "http://127.0.0.1:9"})
    run = making.make(rt, making.order(rt, SYSTEM).id)
    assert run.error == "backup_store_away"

    telling.look_again(rt, clock.now())
    assert [told.facts["error"] for told in open_ones(rt)] == ["backup_store_away"]
    assert "S3" in of(open_ones(rt)[0], BEGUN, "ar").body

    rt.config = good
    clock.advance(HOUR)
    making.make(rt, making.order(rt, SYSTEM).id)
    telling.look_again(rt, clock.now())
    assert open_ones(rt) == []
