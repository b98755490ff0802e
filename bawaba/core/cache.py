"""Answers kept for the next one who asks: in the process, or in Redis where there are several machines.

Read: there → from the cache; not there → from the database, and kept. Write: database first; after the commit, and
before its writer goes on, the marks of the tables it wrote change (`cache_marks`), and everything that was made from
those tables is no longer found, in any process. A value is kept under the marks that stood before its reading began,
so that a reader who is slower than a writer keeps what nobody asks for any more.

The cache is never the truth: nothing that decides about money or access reads it, and where Redis is away everything
comes from the database.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog

from bawaba.core.cache_marks import FileMarks, Marks, NoMarks, RedisMarks
from bawaba.core.cache_stores import MemoryStore, RedisStore
from bawaba.core.keyring import Keyring

log = structlog.get_logger(__name__)
T = TypeVar("T")
AWAY_S = 5.0  # how long Redis is left alone after it did not answer
REDIS_DEADLINE_S = 0.3
FILE = "cache.marks"


@dataclass(frozen=True, slots=True)
class Region:
    """A kind of answer: its name, every table that it is made from, and how long it may live at most.

    The time limit is for what the clock changes by itself, and the net where a process died between its commit and its
    mark.
    """

    name: str
    tables: tuple[str, ...]
    ttl_s: float


@dataclass
class Count:
    """What a region did in this process since its start."""

    hits: int = 0
    misses: int = 0
    making_s: float = 0.0  # spent on the misses

    @property
    def rate(self) -> float | None:
        """The part that came from the cache, 0 to 1; None before the first question."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


class Store(Protocol):
    """Where values are kept."""

    def get_or_make(self, region: str, key: str, make: Callable[[], Any], ttl_s: float) -> Any:
        """The value kept under a key; else what `make` returns, called by one at a time."""
        ...


class Cache:
    """One a process; safe to use from any thread."""

    def __init__(self, store: Store, marks: Marks, failures: tuple[type[Exception], ...] = ()) -> None:
        self._store, self._marks, self._failures = store, marks, failures
        self._lock = threading.Lock()
        self._counts: dict[str, Count] = {}
        self._watched: frozenset[str] = frozenset()
        self._away_until = 0.0
        self._unmarked: set[str] = set()  # written while Redis was away
        self.where = "memory"

    def watch(self, regions: Iterable[Region]) -> None:
        """Name every region there is: only their tables are marked."""
        for region in regions:
            self._counts.setdefault(region.name, Count())
            self._watched |= frozenset(region.tables)
        self.drop(self._watched)  # a new start: the database may be another one, put back from a backup

    def get(self, region: Region, key: object, make: Callable[[], T]) -> T:
        """The value of a key, made by `make` where it is not kept. Never an error of the cache's own."""
        if not self._watched.issuperset(region.tables):
            raise ValueError(f"the region {region.name} was not named to the cache")
        if self._is_away():
            return self._made(region, make)
        made: list[T] = []

        def making() -> T:
            made.append(self._made(region, make))
            return made[0]

        try:
            marks = self._marks.read(region.tables)
            value: T = self._store.get_or_make(region.name, _address(region, key, marks), making, region.ttl_s)
        except self._failures as error:
            self._lost(error)
            return made[0] if made else self._made(region, make)
        if not made:
            with self._lock:
                self._counts[region.name].hits += 1
        return value

    def drop(self, tables: Collection[str]) -> None:
        """Forget everything that was made from these tables, in all processes. Called after each commit."""
        changed = self._watched.intersection(tables)
        if not changed:
            return
        if self._is_away():
            with self._lock:
                self._unmarked |= changed
            return
        try:
            self._marks.change(sorted(changed))
        except self._failures as error:
            self._lost(error, changed)

    def counts(self) -> dict[str, Count]:
        """What each region did in this process, by name."""
        with self._lock:
            return {name: Count(**vars(count)) for name, count in sorted(self._counts.items())}

    @property
    def is_away(self) -> bool:
        """Whether Redis did not answer lately, so that everything comes from the database."""
        return time.monotonic() < self._away_until

    def _made(self, region: Region, make: Callable[[], T]) -> T:
        began = time.perf_counter()
        value = make()
        with self._lock:
            count = self._counts[region.name]
            count.misses += 1
            count.making_s += time.perf_counter() - began
        return value

    def _is_away(self) -> bool:
        """Also catches up: what was written while Redis was away is marked before anything is read there again."""
        if not self._away_until:
            return False
        if self.is_away:
            return True
        with self._lock:
            unmarked, self._unmarked = self._unmarked, set()
        try:
            self._marks.change(sorted(self._watched if unmarked else ()))
        except self._failures as error:
            self._lost(error, unmarked)
            return True
        self._away_until = 0.0
        log.info("the cache's Redis is back")
        return False

    def _lost(self, error: Exception, unmarked: Collection[str] = ()) -> None:
        if not self._away_until:
            log.warning("the cache's Redis does not answer, everything comes from the database", error=str(error))
        with self._lock:
            self._unmarked |= set(unmarked)
            self._away_until = time.monotonic() + AWAY_S


def nothing_kept() -> Cache:
    """A cache that is never asked: for a Runtime without pages."""
    return Cache(MemoryStore(), NoMarks())


def in_memory(folder: Path) -> Cache:
    """A cache in this process, whose marks all processes on the data folder share."""
    return Cache(MemoryStore(), FileMarks(folder / FILE))


def in_redis(url: str, keyring: Keyring) -> Cache:
    """A cache in Redis, shared by all processes."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from redis.retry import Retry

    deadlines = {"socket_timeout": REDIS_DEADLINE_S, "socket_connect_timeout": REDIS_DEADLINE_S}
    client = Redis.from_url(url, retry=Retry(NoBackoff(), 0), **deadlines)
    cache = Cache(RedisStore(client, keyring), RedisMarks(client), (RedisError, OSError))
    cache.where = "redis"
    return cache


def _address(region: Region, key: object, marks: str) -> str:
    said = f"{key!r} {marks}"
    return f"bawaba:cache:{region.name}:{hashlib.sha256(said.encode()).hexdigest()}"
