"""The hot statements on PostgreSQL: several in one round trip, in their order, and whole or not at all."""

from __future__ import annotations

import importlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from random import Random

import psycopg
import pytest
from sqlalchemy import select, text

from bawaba import migrations
from bawaba.core.database import POOL_SIZE, Database
from bawaba.core.models import InstallFact
from bawaba.core.statement import Statement, together
from bawaba.core.wire import Wire

pytestmark = pytest.mark.postgres
INSERT = Statement("INSERT INTO install_fact (name, value) VALUES (:name, :value)")
VALUE = Statement("SELECT value FROM install_fact WHERE name = :name", "value")
COUNT = Statement("SELECT count(*) FROM install_fact", "number")


@pytest.fixture
def database(postgres_server):
    with postgres_server.database(postgres_server.template("migrated", migrations.migrate)) as url:
        made = Database(url, rng=Random(1))
        yield made
        made.close()


def test_every_hot_statement_of_the_product_can_be_prepared(database):
    """The server takes each value's type from its place in the statement; it has to find one."""
    importlib.import_module("bawaba.app")
    ours = [module for name, module in sorted(sys.modules.items()) if name.startswith("bawaba.")]
    found = list(
        {
            id(thing): thing for module in ours for thing in vars(module).values() if isinstance(thing, Statement)
        }.values()
    )
    texts = [sql for statement in found for sql in (statement._postgresql, statement._many) if sql]

    def prepare(db) -> None:
        for number, sql in enumerate(texts):
            answer = db.info["raw"].pgconn.prepare(b"try_%d" % number, sql.encode())
            assert answer.status == psycopg.pq.ExecStatus.COMMAND_OK, (sql, answer.error_message)

    database.read(prepare)
    assert len(found) > 60


def test_values_of_every_kind_arrive_as_they_were(database):
    now = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
    sent = {"number": 2**40, "word": "كرت 'x' \\", "raw": b"\0\xff", "now": now, "day": date(2026, 3, 4), "no": None}
    sent |= {"yes": True, "part": 1.5, "many": [1, None, 2**40]}
    echo = Statement(
        "SELECT CAST(:number AS bigint), CAST(:word AS text), CAST(:raw AS bytea), CAST(:now AS timestamptz), "
        "CAST(:day AS date), CAST(:no AS text), CAST(:yes AS boolean), CAST(:part AS float), CAST(:many AS bigint[])",
        "number word raw now day no yes part many",
        ("now",),
    )

    assert database.read(lambda db: echo.first(db, **sent))._asdict() == sent


def test_a_text_is_never_cut_at_a_nul(database):
    with pytest.raises(psycopg.DataError):
        database.transact(lambda db: INSERT.run(db, name="a\0b", value="x"))
    assert database.read(COUNT.first).number == 0


def test_statements_for_later_come_before_what_follows_them(database):
    def step(db) -> tuple:
        INSERT.later(db, name="a", value="1")
        plain = VALUE.first(db, name="a").value
        INSERT.later(db, name="b", value="2")
        through_the_orm = db.scalar(select(InstallFact.value).where(InstallFact.name == "b"))
        INSERT.later(db, name="c", value="3")
        return plain, through_the_orm

    assert database.transact(step) == ("1", "2")
    assert database.read(COUNT.first).number == 3


def test_what_fails_in_the_commit_undoes_the_step(database):
    def step(db) -> None:
        INSERT.run(db, name="a", value="1")
        INSERT.later(db, name="a", value="2")

    with pytest.raises(psycopg.errors.UniqueViolation):
        database.transact(step)
    assert database.read(COUNT.first).number == 0
    database.transact(lambda db: INSERT.run(db, name="a", value="3"))
    assert database.read(lambda db: VALUE.first(db, name="a")).value == "3"


def test_the_first_that_fails_is_told_and_none_after_it_runs(database):
    def step(db) -> None:
        one = {"name": "a", "value": "1"}
        together(db, (INSERT, one), (INSERT, one), (Statement("SELECT 1 / 0"), {}))

    with pytest.raises(psycopg.errors.UniqueViolation):
        database.transact(step)
    assert database.read(COUNT.first).number == 0


def test_a_failed_transaction_is_not_taken_for_a_commit(database):
    def swallow(db) -> None:
        INSERT.run(db, name="a", value="1")
        with pytest.raises(psycopg.errors.UniqueViolation):
            INSERT.run(db, name="a", value="1")

    with pytest.raises(psycopg.InternalError):
        database.transact(swallow)


def test_what_was_prepared_outlives_a_rollback_and_a_schema_that_grows(database):
    database.transact(lambda db: INSERT.run(db, name="a", value="1"))
    with pytest.raises(ZeroDivisionError):
        database.transact(lambda db: INSERT.run(db, name="b", value="2") / 0)
    database.transact(lambda db: db.execute(text("ALTER TABLE install_fact ADD COLUMN more text")))

    assert database.read(lambda db: VALUE.first(db, name="a")).value == "1"


def test_a_read_that_begins_with_a_hot_statement_cannot_write(database):
    for write in (INSERT.run, INSERT.first):
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            database.read(write, name="a", value="1")
    database.transact(INSERT.run, name="a", value="1")


def test_a_connection_that_dies_with_a_commit_is_asked_about(database, postgres_server, monkeypatch):
    """The commit happened, and its answer got lost with the connection: the step is not run again."""
    runs: list[int] = []
    real = Wire.commit

    def commit_and_lose_the_answer(self) -> None:
        real(self)
        if len(runs) == 1:
            monkeypatch.setattr(Wire, "commit", real)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(Wire, "commit", commit_and_lose_the_answer)

    def step(db) -> str:
        runs.append(1)
        INSERT.run(db, name=f"fact {len(runs)}", value="x")
        return "answer"

    assert database.transact(step) == "answer"
    assert (len(runs), database.read(COUNT.first).number) == (1, 1)


def test_a_step_that_left_everything_for_later_is_asked_about_too(database, monkeypatch):
    real, runs = Wire.commit, []

    def commit_and_lose_the_answer(self) -> None:
        real(self)
        monkeypatch.setattr(Wire, "commit", real)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    def step(db) -> None:
        runs.append(1)
        INSERT.later(db, name=f"fact {len(runs)}", value="x")

    monkeypatch.setattr(Wire, "commit", commit_and_lose_the_answer)
    database.transact(step)
    assert (len(runs), database.read(COUNT.first).number) == (1, 1)


def test_a_read_and_a_write_outlive_a_restart_of_the_server_whatever_lies_in_the_pool(database, postgres_server):
    alone = Statement("SELECT pg_backend_pid()", "pid")

    def fill_the_pool() -> set[int]:
        everybody_is_there = threading.Barrier(POOL_SIZE)

        def look(db) -> int:
            everybody_is_there.wait(10)
            return int(alone.first(db).pid)

        with ThreadPoolExecutor(POOL_SIZE) as pool:
            return set(pool.map(lambda _: database.read(look), range(POOL_SIZE)))

    for ask in (lambda: database.read(alone.first), lambda: database.transact(INSERT.run, name="a", value="1")):
        pids = fill_the_pool()
        assert len(pids) == POOL_SIZE
        postgres_server.run(f"SELECT pg_terminate_backend(pid) FROM unnest(ARRAY{sorted(pids)}) AS pid")
        ask()


def test_a_connection_that_is_cut_in_the_middle_is_never_used_again(database, postgres_server):
    runs: list[int] = []

    def cut_once(db) -> int:
        runs.append(1)
        INSERT.later(db, name="kept", value="x")
        pid = Statement("SELECT pg_backend_pid()", "pid").first(db).pid
        if len(runs) == 1:
            postgres_server.run(f"SELECT pg_terminate_backend({pid})")
        return int(COUNT.first(db).number)

    assert database.transact(cut_once) == 1
    assert len(runs) == 2
