"""What one request did, as it does it: when each statement, router call and page began and how long it took.

A request's trace is found by a context variable, which threads, the SQLite writer and the router loop hand on. Where
nobody traces, each seam costs one look at that variable.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

import structlog
from sqlalchemy import Engine, event

P = ParamSpec("P")
R = TypeVar("R")
log = structlog.get_logger(__name__)

THREAD_WAIT = "thread_wait"  # for a free web thread
AUTH_CHECK = "auth_check"
DATABASE_QUERY = "database_query"
DATABASE_COMMIT = "database_commit"
DATABASE_RETRY = "database_retry"
WRITER_WAIT = "writer_wait"  # for the one SQLite writer
CONNECTION_WAIT = "connection_wait"  # for a connection of PostgreSQL's pool
ROUTER_TURN = "router_turn"  # for the calls that were before ours
ROUTER_CALL = "router_call"
ROUTER_WAIT = "router_wait"  # a thread's, for what the router loop does
TEMPLATE = "template"
FUNCTION = "function"
SPANS_MOST = 400
SPAN_FIELDS = 5
FLAT_MOST = SPANS_MOST * SPAN_FIELDS
WORTH_NOTING_S = 0.0005


class Span(NamedTuple):
    """Something that took time. `began` and `ended` are `time.perf_counter()` seconds; `about` never holds a secret."""

    kind: str
    name: str
    began: float
    ended: float
    about: str | None = None


class Trace:
    """One request: what it was, and its spans in the order in which they ended. Written to by several threads.

    The spans are one flat list: a tuple for each would be counted and walked by the garbage collector for as long as
    the trace is kept, which costs more than all the rest of it.
    """

    __slots__ = (
        "_flat", "arguments", "began", "dropped", "ended", "error", "method", "request_id", "rule", "size_bytes",
        "status", "who",
    )  # fmt: skip

    def __init__(self, request_id: str, method: str, rule: str, arguments: dict[str, Any], began: float) -> None:
        self.request_id = request_id
        self.method = method
        self.rule = rule
        self.arguments = arguments
        self.began = began
        self.ended = 0.0
        self.status = 0
        self.size_bytes = 0
        self.who = ""
        self.error = ""
        self._flat: list[Any] = []
        self.dropped = 0

    def add(self, kind: str, name: str, began: float, ended: float, about: str | None = None) -> None:
        """Note what has taken time; beyond `SPANS_MOST` it is only counted."""
        if len(self._flat) < FLAT_MOST:
            self._flat.extend((kind, name, began, ended, about))  # in one go: threads do not mix theirs
        else:
            self.dropped += 1

    def seconds_in(self, *kinds: str) -> float:
        """How long the spans of these kinds took together."""
        flat = self._flat.copy()
        places = range(0, len(flat), SPAN_FIELDS)
        return float(sum(flat[place + 3] - flat[place + 2] for place in places if flat[place] in kinds))

    @property
    def spans(self) -> list[Span]:
        """What took time."""
        flat = self._flat.copy()
        return [Span(*flat[place : place + SPAN_FIELDS]) for place in range(0, len(flat), SPAN_FIELDS)]


class Recorder(Protocol):
    """Who keeps finished traces. `is_on` False: no request is traced."""

    is_on: bool

    def take(self, trace: Trace) -> None:
        """Keep a trace. Called in the request's thread, so it must be quick."""
        ...


CURRENT: ContextVar[Trace | None] = ContextVar("trace", default=None)
current = CURRENT.get
clock = time.perf_counter


def request_id() -> str | None:
    """The id of the request that this work follows from, bound once at the edge; None elsewhere."""
    found = structlog.contextvars.get_contextvars().get("request_id")
    return str(found) if found else None


def ended_by(error: str) -> None:
    """Note the name of what ended this request, if it is traced."""
    if (trace := current()) is not None:
        trace.error = error


class timed:  # noqa: N801 it is used as a function
    """Note how long the block takes, if this request is traced; what ends it by an error is named."""

    __slots__ = ("_began", "_kind", "_name", "_trace")

    def __init__(self, kind: str, name: str = "") -> None:
        self._kind, self._name = kind, name
        self._trace = current()

    def __enter__(self) -> None:
        self._began = clock()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: Any) -> None:
        if self._trace is not None:
            failure = kind.__name__ if kind is not None else None
            self._trace.add(self._kind, self._name, self._began, clock(), failure)


def trace_data_flow(function: Callable[P, R]) -> Callable[P, R]:
    """Log a function's start, end, duration and failure with the request's id, and show it in the request's trace.

    Never its arguments or result: they may be a card's code.
    """
    name = f"{function.__module__.removeprefix('bawaba.')}.{function.__qualname__}"

    @functools.wraps(function)
    def traced(*args: P.args, **kwargs: P.kwargs) -> R:
        log.debug("a function begins", function=name)
        began = clock()
        try:
            with timed(FUNCTION, name):
                result = function(*args, **kwargs)
        except Exception as error:
            log.info("a function failed", function=name, ms=_ms(began), error=type(error).__name__)
            raise
        log.debug("a function ended", function=name, ms=_ms(began))
        return result

    return traced


def watch(engine: Engine) -> None:
    """Note the statements that go through SQLAlchemy; those of `core.statement` note themselves."""

    @event.listens_for(engine, "before_cursor_execute")
    def begins(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if current() is not None:
            context.began = clock()

    @event.listens_for(engine, "after_cursor_execute")
    def ends(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        trace = current()
        if trace is not None:
            trace.add(DATABASE_QUERY, statement, context.began, clock())


def _ms(began: float) -> float:
    return round((clock() - began) * 1000, 2)
