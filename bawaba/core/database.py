"""The one door to the database: `transact` for a step that writes, `read` for one that only looks.

SQLite has one writer thread that commits many steps together (each in a savepoint of its own), so that sixty guests
share one disk flush; readers have their own connections. PostgreSQL has a pool. The steps cannot tell which it is.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy import BigInteger, DateTime, Dialect, Engine, Integer, create_engine, event, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from bawaba.core import touched, tracing
from bawaba.core.errors import Unavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")

GROUP_MOST = 64  # steps that share one commit
TRIES = 5
RETRY_WAIT_S = (0.1, 0.5)
STEP_DEADLINE_S = 30.0
COMMIT_DEADLINE_S, ASK_EVERY_S = 10.0, 0.1  # how long the server may take to know what became of a commit
BUSY_TIMEOUT_MS = 5000
POOL_SIZE = 10
WRITER_CACHE_KIB, READER_CACHE_KIB = 16_000, 2_000  # the kernel caches the file for all of them
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
WIRE = "wire"  # in a connection's `info` and in a step's `db.info`: its `core.wire.Wire` on PostgreSQL
LOST_STATES = ("08", "57P")  # connection exceptions; admin shutdown, crash, starting up (PostgreSQL, appendix A)
AGAIN_STATES = frozenset({"40001", "40P01"})  # serialisation failure, deadlock
BUSY_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class Base(DeclarativeBase):
    """What every table derives from."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time: timestamptz on PostgreSQL, whole microseconds since 1970 on SQLite, which has no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone was about to be stored")
        return to_micros(value) if dialect.name == "sqlite" and value is not None else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return from_micros(value) if dialect.name == "sqlite" else value.astimezone(UTC)


BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up by itself only in INTEGER PRIMARY KEY


def where_clause(condition: str) -> dict[str, Any]:
    """The keyword arguments that make an `Index` partial on both databases."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


def to_micros(value: datetime) -> int:
    """Whole microseconds since 1970."""
    return (value - EPOCH) // MICROSECOND


def from_micros(value: int) -> datetime:
    """Undo `to_micros`."""
    return EPOCH + timedelta(microseconds=value)


def one_moment(db: Session) -> None:
    """Have all statements of a step see the database as it stands at the first. To be called before any other."""
    if not db.info["sqlite"]:  # where every transaction is like that
        db.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


class DatabaseAway(Unavailable):
    """The database does not answer, and did not after a few tries."""

    code = "database_away"


class Database:
    """Runs steps as transactions. `on_away` is told when the database stays away after all retries; `on_commit` which
    tables a transaction wrote, after its commit and before its caller goes on."""

    def __init__(self, url: str, *, rng: random.Random | None = None) -> None:
        self._rng = rng or random.SystemRandom()
        self._inside = threading.local()
        self.info: dict[str, Any] = {}  # what every step finds in its `db.info`
        self.is_sqlite = url.startswith("sqlite")
        self.on_away: Callable[[Exception], None] = lambda error: None
        self.on_commit: Callable[[set[str]], None] = lambda tables: None
        self._pool = concurrent.futures.ThreadPoolExecutor(POOL_SIZE, thread_name_prefix="database")
        if self.is_sqlite:
            self.engine = _sqlite_engine(url)
            writing = _sqlite_engine(url, single=True)
            self._writer: _Writer | None = _Writer(writing, self._inside, self.info, self._committed)
        else:
            self.engine = _postgresql_engine(url)
            touched.watch(self.engine)
            self._writer = None
            tracing.watch(self.engine)

    def transact(self, step: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run `step(db, …)` and commit; roll back when it raises; repeat it from the top after a deadlock or a lost
        connection (never after anything else). Raises `DatabaseAway` when the retries did not help."""
        self._refuse_nesting()
        return self._again(lambda: self._write_once(step, args, kwargs))

    def read(self, step: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run `step(db, …)` that only reads, on a connection of its own."""
        self._refuse_nesting()
        return self._again(lambda: self._read_once(step, args, kwargs))

    def transact_async(self, step: Callable[..., T], *args: Any, **kwargs: Any) -> Awaitable[T]:
        """`transact` without blocking the event loop."""
        return asyncio.wrap_future(self._pool.submit(copy_context().run, self.transact, step, *args, **kwargs))

    def read_async(self, step: Callable[..., T], *args: Any, **kwargs: Any) -> Awaitable[T]:
        """`read` without blocking the event loop."""
        return asyncio.wrap_future(self._pool.submit(copy_context().run, self.read, step, *args, **kwargs))

    def close(self) -> None:
        """Finish what is under way and let go."""
        self._pool.shutdown(wait=True)
        if self._writer is not None:
            self._writer.close()
        self.engine.dispose()

    def _write_once(self, step: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        if self._writer is not None:
            return self._writer.run(step, args, kwargs)
        with self._connect() as connection:
            wire = connection.info[WIRE]
            wire.start(writes=True)
            self._inside.step = True
            try:
                transaction = connection.begin()
                wrote = touched.note_writes(connection)
                result = _run_step(connection, self.info, step, args, kwargs)
                if wire.is_idle:  # else nobody could ask what became of a commit that brings everything
                    wire.send_waiting()
                number = wire.number
                if number is None and not wire.is_idle:
                    number = connection.exec_driver_sql("SELECT pg_current_xact_id_if_assigned()::text").scalar()
                try:
                    self._commit(transaction, wire, number)
                finally:  # also where nobody knows whether it was committed
                    self._committed(wrote)
            finally:
                self._inside.step = False
        return result

    def _committed(self, tables: set[str]) -> None:
        if tables:
            self.on_commit(tables)

    def _connect(self) -> Connection:
        trace = tracing.current()
        if trace is None:
            return self.engine.connect()
        began = tracing.clock()
        connection = self.engine.connect()
        if (now := tracing.clock()) - began > tracing.WORTH_NOTING_S:
            trace.add(tracing.CONNECTION_WAIT, "", began, now)
        return connection

    def _commit(self, transaction: Any, wire: Any, number: str | None) -> None:
        """Commit; when the connection dies in that very moment, ask the server whether it happened."""
        try:
            with tracing.timed(tracing.DATABASE_COMMIT):
                wire.commit()
                transaction.commit()  # SQLAlchemy's side of it
        except Exception as error:
            if number is None or not _lost(error):
                raise
            if not self._again(lambda: self._was_committed(number)):
                raise

    def _was_committed(self, number: str) -> bool:
        """Whether a transaction was committed. The server may still be at it: then wait, for to run it a second time
        beside itself is the one thing that must not happen. Raises `DatabaseAway` when it stays unknown."""
        until = time.monotonic() + COMMIT_DEADLINE_S
        while (status := self._status_of(number)) == "in progress":
            if time.monotonic() >= until:
                raise DatabaseAway()
            time.sleep(ASK_EVERY_S)
        return status == "committed"

    def _status_of(self, number: str) -> str | None:
        asked = text("SELECT txid_status(CAST(:number AS bigint))")
        with self.engine.connect() as connection:
            return connection.execute(asked, {"number": number}).scalar()

    def _read_once(self, step: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        with self._connect() as connection:
            self._inside.step = True
            try:
                if not self.is_sqlite:
                    connection.info[WIRE].start(writes=False)
                    connection.begin()  # where it is lost, SQLAlchemy sees it at the rollback and trusts no older one
                return _run_step(connection, self.info, step, args, kwargs)
            finally:
                self._inside.step = False
                connection.rollback()

    def _again(self, attempt: Callable[[], T]) -> T:
        for left in range(TRIES - 1, -1, -1):
            try:
                return attempt()
            except Exception as error:
                if not is_passing(error):
                    raise
                if not left:
                    self.on_away(error)
                    raise DatabaseAway() from error
                log.warning(
                    "the database did not take a transaction; trying again", error=type(error).__name__, left=left
                )
                with tracing.timed(tracing.DATABASE_RETRY, type(error).__name__):
                    time.sleep(self._rng.uniform(*RETRY_WAIT_S))
        raise AssertionError("unreachable")

    def _refuse_nesting(self) -> None:
        if getattr(self._inside, "step", False):
            raise RuntimeError("a transaction inside a transaction: end one before the next")


def is_passing(error: BaseException) -> bool:
    """Whether the same step may simply be run again: deadlock, serialisation failure, lock, lost connection.

    Errors come wrapped by SQLAlchemy, or straight from the driver where a `Statement` raised them.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return (getattr(cause, "sqlite_errorcode", 0) & 0xFF) in BUSY_CODES
    return getattr(cause, "sqlstate", None) in AGAIN_STATES or _lost(error)


def is_duplicate(error: BaseException) -> bool:
    """Whether a row was refused because its like exists already (SQLSTATE 23505, SQLITE_CONSTRAINT_UNIQUE)."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None) == "23505" or (
        getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_UNIQUE
    )


def _lost(error: BaseException) -> bool:
    """Whether the connection to PostgreSQL is gone."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not hasattr(cause, "sqlstate"):
        return False  # not one of psycopg's
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return str(state).startswith(LOST_STATES)
    return type(cause).__name__ == "OperationalError"  # it never got an answer


def _run_step(
    connection: Connection, info: dict[str, Any], step: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> T:
    facts = info | {
        "raw": connection.connection.driver_connection,
        "sqlite": connection.dialect.name == "sqlite",
        WIRE: connection.info.get(WIRE),
        touched.NOTES: touched.noted(connection),
    }
    db = Session(connection, join_transaction_mode="rollback_only", expire_on_commit=False, info=facts)
    try:
        result = step(db, *args, **kwargs)
        if db.new or db.dirty or db.deleted:
            db.flush()
        return result
    finally:
        db.close()


def _postgresql_engine(url: str) -> Engine:
    """psycopg prepares nothing: with each rollback it would have the server forget what `Wire` has prepared too."""
    from bawaba.core.wire import Wire  # an installation on SQLite never loads psycopg

    engine = create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_timeout=10,
        pool_recycle=1800,
        connect_args={"prepare_threshold": None},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        record.info[WIRE] = Wire(connection)

    @event.listens_for(engine, "before_cursor_execute")
    def keep_order(connection: Connection, *_: Any) -> None:
        if (wire := connection.info.get(WIRE)) is not None:
            wire.send_waiting()

    return engine


def _sqlite_engine(url: str, *, single: bool = False) -> Engine:
    engine = create_engine(
        url,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000, "isolation_level": None},
        pool_size=1 if single else POOL_SIZE,
        max_overflow=0 if single else POOL_SIZE,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, record: Any) -> None:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            f"cache_size=-{WRITER_CACHE_KIB if single else READER_CACHE_KIB}",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_size_limit=67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")
        if not single:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if single else "BEGIN")

    tracing.watch(engine)
    touched.watch(engine)
    return engine


class _Writer:
    """The thread that writes to SQLite: takes what waits (at most 64 steps), commits it as one."""

    def __init__(
        self, engine: Engine, inside: threading.local, info: dict[str, Any], committed: Callable[[set[str]], None]
    ) -> None:
        self._engine = engine
        self._committed = committed
        self._inside = inside
        self._info = info
        self._queue: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="sqlite-writer", daemon=True)
        self._thread.start()

    def run(self, step: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        """Have a step done and wait for its commit, 30 s at most."""
        if self._closed:
            raise DatabaseAway()
        order = _Order(step, args, kwargs)
        self._queue.put(order)
        try:
            return order.future.result(STEP_DEADLINE_S)  # type: ignore[no-any-return]
        except TimeoutError:
            if order.future.cancel():
                raise DatabaseAway() from None
            return order.future.result()  # type: ignore[no-any-return]

    def close(self) -> None:
        self._closed = True
        self._queue.put(None)
        self._thread.join(STEP_DEADLINE_S)
        self._engine.dispose()

    def _work(self) -> None:
        self._inside.step = True
        while True:
            first = self._queue.get()
            group = [first]
            while len(group) < GROUP_MOST and not self._queue.empty():
                group.append(self._queue.get())
            orders = [order for order in group if order is not None and order.future.set_running_or_notify_cancel()]
            if orders:
                self._commit(orders)
            if None in group:
                return

    def _commit(self, orders: list[_Order]) -> None:
        """Run a group; the answers go out only after the commit."""
        answers: list[tuple[_Order, Any, BaseException | None]] = []
        try:
            with self._engine.connect() as connection, connection.begin():
                wrote = touched.note_writes(connection)
                for order in orders:
                    answers.append((order, *self._savepoint(connection, order)))
        except Exception as error:  # noqa: BLE001 the whole transaction is lost: nobody's step happened
            self._after_a_loss(orders, error)
            return
        committed = tracing.clock()
        self._committed(wrote)
        for order, result, failure in answers:
            order.note(committed)
            if failure is None:
                order.future.set_result(result)
            else:
                order.future.set_exception(failure)

    def _after_a_loss(self, orders: list[_Order], error: Exception) -> None:
        """Disk full or busy: so for everybody. Else one step did it (a failed flush rolls back all of its connection),
        and each is run by itself, so that it meets its own error and nobody else's."""
        if len(orders) > 1 and not is_passing(error):
            for order in orders:
                self._commit([order])
            return
        for order in orders:
            order.future.set_exception(error)

    def _savepoint(self, connection: Connection, order: _Order) -> tuple[Any, BaseException | None]:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("SAVEPOINT step")
        order.began = tracing.clock()
        try:
            result = order.context.run(_run_step, connection, self._info, order.step, order.args, order.kwargs)
        except Exception as error:
            if not raw.in_transaction:  # SQLite gave the whole transaction up (disk full): the group is lost
                raise
            raw.execute("ROLLBACK TO step")
            raw.execute("RELEASE step")
            return None, error
        order.ended = tracing.clock()
        raw.execute("RELEASE step")
        return result, None


class _Order:
    """A step that waits for its turn."""

    __slots__ = ("args", "began", "context", "ended", "future", "kwargs", "ordered", "step", "trace")

    def __init__(self, step: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.step = step
        self.args = args
        self.kwargs = kwargs
        self.future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.context = copy_context()
        self.trace = tracing.current()
        self.ordered = tracing.clock()
        self.began = self.ended = 0.0

    def note(self, committed: float) -> None:
        """How long it waited for the writer, and for the commit that it shared."""
        if self.trace is None:
            return
        self.trace.add(tracing.WRITER_WAIT, "", self.ordered, self.began)
        if self.ended:
            self.trace.add(tracing.DATABASE_COMMIT, "", self.ended, committed)
