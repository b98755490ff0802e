"""Where cached values lie: in this process, or sealed in Redis. dogpile.cache lets one at a time make a value."""

from __future__ import annotations

import hmac
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

from cachetools import TTLCache

from bawaba.core.keyring import Keyring

KEPT_MOST = 500  # values of one region in one process
MAKING_MOST_S = 30  # then another process may make the same value
ASK_AGAIN_S = 0.01  # while another process makes it
SEAL_BYTES = 32


class MemoryStore:
    """In this process. What is kept is handed out to all threads as it is: nobody may change it."""

    def __init__(self) -> None:
        self._regions: dict[str, Any] = {}

    def get_or_make(self, region: str, key: str, make: Callable[[], Any], ttl_s: float) -> Any:
        """The value kept under a key; else what `make` returns, called by one thread at a time."""
        found = self._regions.get(region)
        if found is None:
            kept = _Kept(KEPT_MOST, ttl_s)
            found = self._regions.setdefault(region, _dogpile("dogpile.cache.memory", {"cache_dict": kept}))
        return found.get_or_create(key, make)


class RedisStore:
    """In Redis, for all processes. Values are sealed with the installation's key: one who can write to Redis can spoil
    them, and no more."""

    def __init__(self, client: Any, keyring: Keyring) -> None:
        self._client, self._keyring = client, keyring
        self._regions: dict[str, Any] = {}

    def get_or_make(self, region: str, key: str, make: Callable[[], Any], ttl_s: float) -> Any:
        """The value kept under a key; else what `make` returns, called by one thread of one process at a time."""
        found = self._regions.get(region)
        if found is None:
            arguments = {
                "connection_pool": self._client.connection_pool,
                "redis_expiration_time": max(1, round(ttl_s)),
                "distributed_lock": True,
                "thread_local_lock": False,
                "lock_timeout": MAKING_MOST_S,
                "lock_sleep": ASK_AGAIN_S,
            }
            made = _dogpile("dogpile.cache.redis", arguments, serializer=self._seal, deserializer=self._open)
            found = self._regions.setdefault(region, made)
        return found.get_or_create(key, make)

    def _seal(self, value: Any) -> bytes:
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        return self._keyring.digest("cache", data) + data

    def _open(self, sealed: bytes) -> Any:
        """Undo `_seal`. What we did not seal, or another version did, counts as not there."""
        from dogpile.cache.api import CantDeserializeException

        seal, data = sealed[:SEAL_BYTES], sealed[SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._keyring.digest("cache", data)):
            raise CantDeserializeException()
        try:
            return pickle.loads(data)
        except (pickle.UnpicklingError, AttributeError, ImportError, TypeError, ValueError, EOFError) as error:
            raise CantDeserializeException() from error


class _Kept:
    """What dogpile keeps in memory: bounded in number and time, by a clock that never jumps."""

    def __init__(self, most: int, ttl_s: float) -> None:
        self._values: TTLCache[str, Any] = TTLCache(most, ttl_s, timer=time.monotonic)
        self._lock = threading.Lock()

    def get(self, key: str, otherwise: Any = None) -> Any:
        with self._lock:
            return self._values.get(key, otherwise)

    def __setitem__(self, key: str, value: Any) -> None:
        with self._lock:
            self._values[key] = value

    def pop(self, key: str, otherwise: Any = None) -> Any:
        with self._lock:
            return self._values.pop(key, otherwise)


def _dogpile(backend: str, arguments: dict[str, Any], **how: Any) -> Any:
    """A region of dogpile's, loaded at first use. Time limits are the backend's own."""
    from dogpile.cache import make_region

    return make_region(**how).configure(backend, arguments=arguments)
