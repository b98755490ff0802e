"""A second copy in a real S3 server: confirmed by reading it back, and honest when the store is not."""

from __future__ import annotations

import shutil

import pytest

from bawaba.backups import checking, key, making, runs
from bawaba.backups.stores import S3Store, stores_of
from bawaba.core.actor import SYSTEM
from bawaba.core.config import Config
from tests.cut import Link


def made(rt, **how):
    return making.make(rt, making.order(rt, SYSTEM, **how).id)


@pytest.fixture
def migrated_url(tmp_path, empty_sqlite):
    shutil.copy(empty_sqlite, tmp_path / "bawaba.db")
    return f"sqlite:///{tmp_path / 'bawaba.db'}"


@pytest.fixture
def s3(s3_bucket, request) -> dict[str, str]:
    """The settings; each test has a folder of its own in the bucket."""
    return {
        "backup_s3_endpoint": s3_bucket.endpoint,
        "backup_s3_bucket": s3_bucket.name,
        "backup_s3_prefix": request.node.name,
        "backup_s3_access_key": s3_bucket.access_key,
        "backup_s3_secret_key": s3_bucket.secret_key,
    }


@pytest.fixture
def config(tmp_path, migrated_url, s3) -> Config:
    return Config(data_dir=tmp_path, database_url=migrated_url, public_url="http://login.wifi", **s3)


def reach(rt, **changes) -> None:
    """The same installation with other settings."""
    rt.config = rt.config.model_copy(update=changes)


def test_a_backup_is_in_both_stores_and_the_one_elsewhere_is_put_back_on_trial(rt, identity):
    run = made(rt, drill=True)

    assert run.state == "confirmed", (run.error, run.error_text)
    assert [copy["store"] for copy in run.stored] == ["local", "s3"]
    assert run.drill is not None and (run.drill["state"], run.drill["store"]) == ("ok", "s3")
    far = S3Store(rt.config)
    assert far.names() == [run.file] and far.size(run.file) == run.size_bytes
    (rt.config.backup_path / run.file).unlink()  # this machine's disk is gone
    rows, wrong = checking.open_copy(rt, far, run.file, key.read_identity(identity))
    assert (rows, wrong) == (run.row_count, [])


def test_old_copies_go_elsewhere_too(rt, identity, clock):
    reach(rt, backup_keep_daily=2, backup_keep_weekly=0, backup_keep_monthly=0)
    files = []
    for _night in range(4):
        files.append(made(rt).file)
        clock.advance(86400)

    assert [store.names() for store in stores_of(rt.config)] == [files[-2:], files[-2:]]


def test_with_a_wrong_secret_it_fails_says_why_and_still_has_the_copy_here(rt, identity):
    reach(rt, backup_s3_secret_key="not-the-secret")

    run = made(rt)

    assert (run.state, run.step, run.error) == ("failed", "upload", "backup_store_refused")
    assert "not-the-secret" not in (run.error_text or "")
    assert [copy["store"] for copy in run.stored] == ["local"]


def test_what_fails_later_the_same_day_does_not_take_the_confirmed_one_away(rt, identity, clock):
    good = made(rt)
    reach(rt, backup_s3_secret_key="not-the-secret")
    for _hour in range(3):
        clock.advance(3600)
        made(rt)

    assert [copy["store"] for copy in rt.read(runs.get_run, good.id).stored] == ["local", "s3"]
    assert len(stores_of(rt.config)[0].names()) == 2  # and the newest, which is whole too


def test_a_bucket_that_is_not_there_is_said_to_be_that(rt, identity):
    reach(rt, backup_s3_bucket="nobody-has-this")

    assert made(rt).error in {"backup_store_refused", "backup_missing"}


def test_a_link_that_breaks_in_the_middle_leaves_no_half_object(rt, identity, s3_bucket, tmp_path, monkeypatch):
    """Five parts; the link is cut when the second one has been read."""
    monkeypatch.setattr("bawaba.backups.stores.TRIES", 1)
    link = Link(int(s3_bucket.endpoint.rpartition(":")[2]))
    reach(rt, backup_s3_endpoint=f"http://127.0.0.1:{link.port}")
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * (40 * 4096))
    asked: list[int] = []

    def cut_after_two(done: int) -> None:
        asked.append(done)
        if done >= 16 * 2**20:
            link.cut()

    with pytest.raises(Exception) as broken:  # noqa: PT011 its code is looked at below
        S3Store(rt.config).put(large, "half.tar.zst.age", cut_after_two)

    assert getattr(broken.value, "code", "") == "backup_store_away", broken.value
    reach(rt, backup_s3_endpoint=s3_bucket.endpoint)
    assert S3Store(rt.config).names() == []


def test_a_copy_that_changed_in_the_store_is_found(rt, identity):
    import obstore

    run = made(rt)
    far = S3Store(rt.config)
    whole = (rt.config.backup_path / run.file).read_bytes()
    obstore.put(far._bucket, f"{rt.config.backup_s3_prefix}/{run.file}", whole[:-1] + b"!")

    checked = checking.check_copies(rt, run.id).last_check

    assert checked is not None and (checked["state"], checked["error"]) == ("failed", "backup_damaged")
    far.remove(run.file)
    gone = checking.check_copies(rt, run.id).last_check
    assert gone is not None and gone["error"] == "backup_missing"


def test_a_large_upload_goes_in_parts_and_comes_back_whole(rt, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(bytes(range(251)) * 80_000)
    store, seen = S3Store(rt.config), list[int]()

    store.put(large, "large.tar.zst.age", seen.append)

    assert b"".join(store.pieces("large.tar.zst.age")) == large.read_bytes()
    assert len(seen) >= 3


def test_nothing_of_another_installation_in_the_bucket_is_touched(rt, identity, clock, s3):
    other = S3Store(rt.config.model_copy(update={"backup_s3_prefix": "another"}))
    other.put(rt.config.key_path, "bawaba-1.tar.zst.age", lambda done: None)
    reach(rt, backup_keep_daily=1, backup_keep_weekly=0, backup_keep_monthly=0)
    for _night in range(2):
        made(rt)
        clock.advance(86400)

    assert other.names() == ["bawaba-1.tar.zst.age"]
    assert len(rt.read(runs.with_copies, "s3")) == 1
