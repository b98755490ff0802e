"""An installation brought to this version, or left as it was; and moved from SQLite to PostgreSQL."""

from __future__ import annotations

import shutil

import pytest
from alembic import command
from alembic.config import Config as Alembic
from sqlalchemy import create_engine, text

from bawaba import migrations, wiring
from bawaba.backups.dumping import opened, shape_of
from bawaba.backups.walk import differences, walk
from bawaba.core import data_folder
from bawaba.core.config import Config
from bawaba.core.data_folder import DataFolderError
from bawaba.upkeep import moving, upgrading
from bawaba.upkeep.errors import MoveFailed, TargetNotEmpty, UpgradeFailed
from tests.cast import Cast


def step_back(url: str) -> str:
    """One migration back, as an older version left it."""
    config = Alembic()
    config.set_main_option("script_location", str(next(iter(migrations.__path__))))
    config.attributes["url"] = url
    command.downgrade(config, "-1")
    with opened(url) as connection:
        return shape_of(connection)


def content(url: str):
    with opened(url) as connection:
        return walk(connection)


@pytest.fixture
def older(rt, cast: Cast) -> Config:
    """An installation of the version before, with a few cards."""
    for _ in range(5):
        cast.make_voucher()
    config: Config = rt.config
    wiring.stop(rt)
    step_back(config.sqlalchemy_url)
    return config


def test_an_upgrade_keeps_a_copy_and_every_row(older):
    before = content(older.sqlalchemy_url)

    done = upgrading.upgrade(older)

    assert done is not None and done.after == migrations.HEAD and done.copy.stat().st_size > 0
    after = content(older.sqlalchemy_url)
    assert after["voucher"].rows == before["voucher"].rows == 5
    assert upgrading.upgrade(older) is None


def test_what_fails_in_the_middle_of_migrating_is_as_it_was(older, monkeypatch):
    before = content(older.sqlalchemy_url)

    def fail_late(url: str) -> bool:
        engine = create_engine(url)
        with engine.begin() as connection:
            if url.startswith("sqlite"):
                connection.execute(text("DROP TABLE router_sample"))  # as a crash between two steps leaves it
            else:
                raise RuntimeError("no")
        raise RuntimeError("no")

    monkeypatch.setattr(migrations, "migrate", fail_late)
    with pytest.raises(UpgradeFailed) as failed:
        upgrading.upgrade(older)

    assert "no" in failed.value.details["why"]
    assert differences(before, content(older.sqlalchemy_url)) == []


def test_a_check_that_fails_puts_the_copy_back(older, monkeypatch):
    before = content(older.sqlalchemy_url)
    honest = migrations.migrate

    def lose_a_card(url: str) -> bool:
        done = honest(url)
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM voucher WHERE id = (SELECT max(id) FROM voucher)"))
        engine.dispose()
        return done

    monkeypatch.setattr(migrations, "migrate", lose_a_card)
    with pytest.raises(UpgradeFailed) as failed:
        upgrading.upgrade(older)

    assert failed.value.details["why"] == "rows are missing in voucher"
    assert differences(before, content(older.sqlalchemy_url)) == []


class TestFromSqlite:
    """Upgrades and moves of a SQLite file."""

    @pytest.fixture
    def migrated_url(self, tmp_path, empty_sqlite):
        shutil.copy(empty_sqlite, tmp_path / "bawaba.db")
        return f"sqlite:///{tmp_path / 'bawaba.db'}"

    @pytest.fixture
    def filled(self, rt, cast: Cast) -> Config:
        for number in range(30):
            cast.make_voucher(card={"note": f"كرت {number}: \\ \t \n"})
        config: Config = rt.config
        wiring.stop(rt)
        return config

    def test_no_upgrade_beside_a_server(self, older):
        assert older.sqlite_path is not None
        with data_folder.sole_server(older.sqlite_path), pytest.raises(DataFolderError):
            upgrading.upgrade(older)

    def test_every_row_arrives_and_new_ones_are_numbered_after_them(self, filled, postgres_url):
        rows = moving.move(filled, postgres_url)

        assert rows > 30
        moved = filled.model_copy(update={"database_url": postgres_url})
        rt = wiring.build(moved)
        assert Cast(rt).make_voucher().id == 31
        wiring.stop(rt)
        with pytest.raises(DataFolderError, match="move-to-postgresql --undo"):
            wiring.build(filled)
        moving.undo(filled)
        wiring.stop(wiring.build(filled))

    def test_a_target_with_data_is_refused(self, filled, postgres_url):
        moving.move(filled, postgres_url)
        moving.undo(filled)

        with pytest.raises(TargetNotEmpty):
            moving.move(filled, postgres_url)

    def test_what_does_not_arrive_alike_leaves_nothing_and_may_be_tried_again(self, filled, postgres_url, monkeypatch):
        honest = moving._written
        monkeypatch.setattr(moving, "_written", lambda value: '{"other": 1}' if value == {} else honest(value))
        with pytest.raises(MoveFailed, match=""):
            moving.move(filled, postgres_url)
        assert content(postgres_url)["voucher"].rows == 0
        wiring.stop(wiring.build(filled))  # the file is used as before

        monkeypatch.undo()
        assert moving.move(filled, postgres_url) > 30
