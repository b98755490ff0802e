"""The connection is lost in the moment of the commit: the server is asked what became of it, until it knows."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from sqlalchemy import text

from bawaba import migrations
from bawaba.core import database as database_module
from bawaba.core.database import Database, DatabaseAway


@pytest.fixture
def database(postgres_server):
    with postgres_server.database(postgres_server.template("migrated", migrations.migrate)) as url:
        made = Database(url, rng=Random(1))
        yield made
        made.close()


def begin(database) -> tuple:
    connection = database.engine.connect()
    connection.begin()
    connection.execute(text("INSERT INTO install_fact (name, value) VALUES ('a', 'b')"))
    return connection, connection.execute(text("SELECT pg_current_xact_id()::text")).scalar()


@pytest.mark.postgres
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_commit_that_is_still_under_way_is_waited_for(database, end):
    connection, number = begin(database)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(database._was_committed, number)
        time.sleep(0.3)
        assert not answer.done()
        getattr(connection, end)()
        assert answer.result(5) is (end == "commit")
    connection.close()


@pytest.mark.postgres
def test_a_commit_whose_end_nobody_learns_is_not_run_again(database, monkeypatch):
    monkeypatch.setattr(database_module, "COMMIT_DEADLINE_S", 0.3)
    connection, number = begin(database)
    with pytest.raises(DatabaseAway):
        database._was_committed(number)
    connection.close()
