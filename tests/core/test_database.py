"""`transact` and `read`, on both databases."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from random import Random

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from bawaba.core.database import Database, DatabaseAway, is_passing
from bawaba.core.models import InstallFact
from bawaba.core.statement import Statement
from bawaba.sites.models import Site


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    made = Database(migrated_url, rng=Random(1))
    yield made
    made.close()


def add(db, name: str) -> None:
    db.add(InstallFact(name=name, value="x"))


def count(db) -> int:
    return db.scalar(select(func.count()).select_from(InstallFact)) or 0


def test_a_step_is_kept_when_it_returns_and_gone_when_it_raises(database):
    def fails(db) -> None:
        add(db, "second")
        db.flush()
        raise KeyError("no")

    database.transact(add, "first")
    with pytest.raises(KeyError):
        database.transact(fails)

    assert database.read(count) == 1


def test_one_failing_step_takes_nobody_with_it(database):
    """On SQLite many steps share a commit; each stands or falls alone."""

    def odd_ones_fail(number: int) -> bool:
        def step(db) -> None:
            add(db, f"fact {number}")
            db.flush()
            if number % 2:
                raise ValueError(number)

        try:
            database.transact(step)
        except ValueError:
            return False
        return True

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(odd_ones_fail, range(200)))

    assert answers.count(True) == 100
    assert database.read(count) == 100


def test_a_duplicate_takes_nobody_with_it(database):
    """A flush that fails rolls back all of its connection, and on SQLite that is shared with other people's steps."""
    gate = threading.Event()

    def slow(db) -> None:
        gate.wait(5)

    def add_now(db, name: str) -> None:
        add(db, name)
        db.flush()

    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(database.transact, slow)
        others = [pool.submit(database.transact, add_now, name) for name in ("a", "b", "a", "c", "a")]
        time.sleep(0.1)
        gate.set()
        first.result()
        errors = [type(future.exception()) for future in others]

    assert sorted(error.__name__ for error in errors) == ["IntegrityError"] * 2 + ["NoneType"] * 3
    assert database.read(count) == 3


def test_a_transaction_inside_a_transaction_is_refused(database):
    with pytest.raises(RuntimeError, match="inside"):
        database.transact(lambda db: database.transact(add, "x"))
    with pytest.raises(RuntimeError, match="inside"):
        database.read(lambda db: database.read(count))


def test_a_read_cannot_write(database):
    with pytest.raises(DBAPIError):
        database.read(lambda db: db.execute(text("INSERT INTO install_fact (name, value) VALUES ('a', 'b')")))


def test_times_come_back_aware_and_to_the_microsecond(database):
    moment = datetime(2026, 3, 29, 1, 30, 15, 123456, tzinfo=UTC)
    site = {"name": "x", "time_zone": "UTC", "currency": "USD", "currency_decimals": 2, "created_at": moment}
    database.transact(lambda db: db.add(Site(**site)))
    by_hand = Statement("SELECT created_at FROM site WHERE created_at = :moment", "created_at", ["created_at"])

    assert database.read(lambda db: db.scalars(select(Site)).one().created_at) == moment
    assert database.read(lambda db: by_hand.first(db, moment=moment).created_at) == moment


def test_a_naive_time_is_not_stored(database):
    naive = datetime(2026, 3, 29, 1, 30)  # noqa: DTZ001
    site = {"name": "x", "time_zone": "UTC", "currency": "USD", "currency_decimals": 2, "created_at": naive}
    with pytest.raises(Exception, match="zone"):
        database.transact(lambda db: db.add(Site(**site)))


def test_a_duplicate_is_an_error_at_once_and_not_tried_again(database):
    tries = []

    def twice(db) -> None:
        tries.append(1)
        add(db, "same")

    database.transact(twice)
    with pytest.raises(IntegrityError):
        database.transact(twice)
    assert len(tries) == 2


@pytest.mark.postgres
def test_a_deadlock_is_run_again_from_the_top(postgres_server):
    from bawaba import migrations

    with postgres_server.database(postgres_server.template("migrated", migrations.migrate)) as url:
        database = Database(url, rng=Random(1))
        database.transact(add, "a")
        database.transact(add, "b")
        met, runs = threading.Barrier(2, timeout=10), []

        def lock_both(db, first: str, second: str) -> None:
            runs.append(first)
            change = text("UPDATE install_fact SET value = value || '!' WHERE name = :name")
            db.execute(change, {"name": first})
            if len(runs) <= 2:
                met.wait()
            db.execute(change, {"name": second})

        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(database.transact, lock_both, *names) for names in (("a", "b"), ("b", "a"))]
            for one in both:
                one.result(20)
        values = database.read(lambda db: sorted(db.scalars(select(InstallFact.value))))
        database.close()

    assert len(runs) == 3  # one of the two was chosen as the victim, and came again
    assert values == ["x!!", "x!!"]


@pytest.mark.postgres
def test_a_connection_lost_before_the_commit_is_tried_again(postgres_server):
    from bawaba import migrations

    with postgres_server.database(postgres_server.template("migrated", migrations.migrate)) as url:
        database = Database(url, rng=Random(1))
        runs = []

        def cut_once(db) -> None:
            runs.append(1)
            add(db, "kept")
            db.flush()
            if len(runs) == 1:
                pid = db.execute(text("SELECT pg_backend_pid()")).scalar()
                postgres_server.run(f"SELECT pg_terminate_backend({pid})")
            db.execute(text("SELECT 1"))

        database.transact(cut_once)
        kept = database.read(count)
        database.close()

    assert (len(runs), kept) == (2, 1)


@pytest.mark.postgres
def test_what_a_plain_statement_meets_is_tried_again_too(postgres_server):
    """Hot statements raise the driver's own errors, not SQLAlchemy's."""
    from bawaba import migrations

    look, insert = Statement("SELECT 1", "one"), Statement("INSERT INTO install_fact (name, value) VALUES (:name, 'x')")
    with postgres_server.database(postgres_server.template("migrated", migrations.migrate)) as url:
        database = Database(url, rng=Random(1))
        runs = []

        def cut_once(db) -> None:
            runs.append(1)
            insert.run(db, name="kept")
            if len(runs) == 1:
                pid = db.execute(text("SELECT pg_backend_pid()")).scalar()
                postgres_server.run(f"SELECT pg_terminate_backend({pid})")
            look.first(db)

        database.transact(cut_once)
        kept = database.read(count)
        database.close()

    assert (len(runs), kept) == (2, 1)


@pytest.mark.postgres
def test_a_connection_lost_in_the_commit_does_nothing_twice(postgres_server, monkeypatch):
    """The commit happened, its answer did not arrive: the server is asked, and the step is not run again."""
    from sqlalchemy.engine import RootTransaction

    from bawaba import migrations

    with postgres_server.database(postgres_server.template("migrated", migrations.migrate)) as url:
        database = Database(url, rng=Random(1))
        runs: list[int] = []
        real = RootTransaction.commit

        def commit_and_lose_the_answer(self) -> None:
            real(self)
            if len(runs) == 1:
                monkeypatch.setattr(RootTransaction, "commit", real)
                lost = psycopg.OperationalError("server closed the connection unexpectedly")
                raise DBAPIError("COMMIT", None, lost, connection_invalidated=True)

        monkeypatch.setattr(RootTransaction, "commit", commit_and_lose_the_answer)

        def step(db) -> str:
            runs.append(1)
            add(db, f"fact {len(runs)}")
            return "answer"

        answer = database.transact(step)
        kept = database.read(count)
        database.close()

    assert (answer, len(runs), kept) == ("answer", 1, 1)


def test_a_database_that_stays_away_is_said_so(tmp_path):
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none", rng=Random(1))
    told: list[Exception] = []
    database.on_away = told.append
    began = time.monotonic()
    with pytest.raises(DatabaseAway):
        database.transact(add, "x")
    database.close()

    assert len(told) == 1
    assert time.monotonic() - began < 15


def test_only_what_passes_is_tried_again():
    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL

    assert is_passing(DBAPIError("x", None, busy))
    assert not is_passing(DBAPIError("x", None, full))
    assert is_passing(DBAPIError("x", None, psycopg.errors.DeadlockDetected()))
    assert is_passing(psycopg.errors.DeadlockDetected())
    assert is_passing(psycopg.OperationalError("the connection is closed"))
    assert not is_passing(psycopg.errors.UniqueViolation())
    assert is_passing(DBAPIError("x", None, psycopg.errors.SerializationFailure()))
    assert is_passing(DBAPIError("x", None, psycopg.errors.AdminShutdown()))
    assert not is_passing(DBAPIError("x", None, psycopg.errors.UniqueViolation()))
    assert not is_passing(ValueError("x"))
