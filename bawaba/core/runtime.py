"""What a use case may reach: settings, time, chance, the database, secrets, and those who listen."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.orm import Session

from bawaba.core.cache import Cache, Region, nothing_kept
from bawaba.core.clock import Clock
from bawaba.core.config import Config
from bawaba.core.database import Database
from bawaba.core.events import Event, EventBus
from bawaba.core.keyring import Keyring

P = ParamSpec("P")
T = TypeVar("T")
Step = Callable[Concatenate[Session, P], T]


@dataclass
class Runtime:
    """Built once by `wiring`; `parts` holds what a folder keeps for the life of the process, by name."""

    config: Config
    clock: Clock
    rng: random.Random
    database: Database
    keyring: Keyring
    cache: Cache = field(default_factory=nothing_kept)
    events: EventBus = field(default_factory=EventBus)
    parts: dict[str, Any] = field(default_factory=dict)

    def transact(self, step: Step[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a step as one transaction: commit when it returns, roll back when it raises, repeat after a deadlock."""
        return self.database.transact(step, *args, **kwargs)

    def read(self, step: Step[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a step that only reads, beside the writers."""
        return self.database.read(step, *args, **kwargs)

    def recall(self, region: Region, key: object, step: Step[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`read`, unless the same was read before and nothing that it was made from has been written since.

        `key` names the answer within its region, by its `repr`. Nobody may change what comes back.
        """
        return self.cache.get(region, key, lambda: self.database.read(step, *args, **kwargs))

    def transact_async(self, step: Step[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """`transact` for the event loops: never blocks them."""
        return self.database.transact_async(step, *args, **kwargs)

    def read_async(self, step: Step[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """`read` for the event loops: never blocks them."""
        return self.database.read_async(step, *args, **kwargs)

    def publish(self, event: Event) -> None:
        """Tell whoever listens. Only after the commit of what it tells."""
        self.events.publish(event)
