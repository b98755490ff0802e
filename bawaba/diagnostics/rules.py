"""What made a request slow: values in, an answer out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

N_PLUS_ONE = "n_plus_one"
SLOW_QUERY = "slow_query"
WRITER_WAIT = "writer_wait"
CONNECTION_WAIT = "connection_wait"
LOCK_WAIT = "lock_wait"
SLOW_COMMIT = "slow_commit"
DATABASE_RETRY = "database_retry"
ROUTER_WAIT = "router_wait"
ROUTER_TURN = "router_turn"
THREAD_WAIT = "thread_wait"
SLOW_TEMPLATE = "slow_template"
SLOW_AUTH = "slow_auth"
LARGE_ANSWER = "large_answer"

REPEATS_MOST = 4  # the same statement more often than this looks like one for each row of a list
SLOW_QUERY_MS = 50.0
LONG_ENOUGH_MS = {  # by what kind of span: from how many milliseconds in all it is a bottleneck
    "writer_wait": (WRITER_WAIT, 50.0),
    "connection_wait": (CONNECTION_WAIT, 50.0),
    "database_commit": (SLOW_COMMIT, 100.0),
    "database_retry": (DATABASE_RETRY, 0.0),
    "router_call": (ROUTER_WAIT, 200.0),
    "router_turn": (ROUTER_TURN, 100.0),
    "thread_wait": (THREAD_WAIT, 20.0),
    "template": (SLOW_TEMPLATE, 50.0),
    "auth_check": (SLOW_AUTH, 100.0),
}
ANSWER_MOST_BYTES = 300_000
TAKES_LOCKS = ("UPDATE", "DELETE", "INSERT")
LOCKS_INSIDE = ("FOR UPDATE", "ADVISORY", "UPDATE ")


@dataclass(frozen=True, slots=True)
class Step:
    """Something that took time in a request; milliseconds since it began, and how many it took."""

    kind: str
    text: str
    at_ms: float
    took_ms: float
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What is worth looking at: its code, how long it took in all, and what it was."""

    code: str
    took_ms: float
    times: int = 1
    text: str = ""


def find_bottlenecks(steps: Sequence[Step], size_bytes: int, *, has_locks: bool) -> list[Bottleneck]:
    """The bottlenecks of a request, the costliest first. `has_locks`: its database locks rows (PostgreSQL)."""
    found = [*_repeated(steps), *_slow_queries(steps, has_locks), *_long_waits(steps)]
    if size_bytes > ANSWER_MOST_BYTES:
        found.append(Bottleneck(LARGE_ANSWER, 0.0, text=str(size_bytes)))
    return sorted(found, key=lambda one: -one.took_ms)


def _repeated(steps: Iterable[Step]) -> list[Bottleneck]:
    """One statement asked again and again: for each row of a list, most likely."""
    by_text: dict[str, list[float]] = defaultdict(list)
    for step in steps:
        if step.kind == "database_query" and not is_housekeeping(step.text):
            by_text[step.text].append(step.took_ms)
    return [
        Bottleneck(N_PLUS_ONE, sum(times), len(times), text)
        for text, times in by_text.items()
        if len(times) > REPEATS_MOST
    ]


def _slow_queries(steps: Iterable[Step], has_locks: bool) -> list[Bottleneck]:
    slow = [step for step in steps if step.kind == "database_query" and step.took_ms >= SLOW_QUERY_MS]
    return [
        Bottleneck(LOCK_WAIT if has_locks and takes_locks(step.text) else SLOW_QUERY, step.took_ms, 1, step.text)
        for step in slow
    ]


def _long_waits(steps: Iterable[Step]) -> list[Bottleneck]:
    by_kind: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        if step.kind in LONG_ENOUGH_MS:
            by_kind[step.kind].append(step)
    found = []
    for kind, several in by_kind.items():
        code, least_ms = LONG_ENOUGH_MS[kind]
        total_ms = sum(step.took_ms for step in several)
        if total_ms > least_ms:
            longest = max(several, key=lambda step: step.took_ms)
            found.append(Bottleneck(code, total_ms, len(several), longest.text))
    return found


def is_housekeeping(statement: str) -> bool:
    """Whether a statement only begins, ends or marks a transaction."""
    return statement.upper().startswith(("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET ", "PRAGMA"))


def takes_locks(statement: str) -> bool:
    """Whether a statement may have to wait for another transaction's rows."""
    text = statement.upper().lstrip()
    return text.startswith(TAKES_LOCKS) or any(word in text for word in LOCKS_INSIDE)
