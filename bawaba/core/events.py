"""One event bus a process: whoever is below publishes, whoever cares listens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import structlog

log = structlog.get_logger(__name__)


class Event:
    """Something that happened, and is committed. Subclasses are frozen dataclasses in each folder's `events.py`."""

    __slots__ = ()


E = TypeVar("E", bound=Event)
Handler = Callable[[Any], None]


class EventBus:
    """Hands each event to those who listen for its class or a base of it, in the publisher's thread."""

    def __init__(self) -> None:
        self._handlers: dict[type[Event], tuple[Handler, ...]] = {}
        self._lock = threading.Lock()

    def subscribe(self, event_type: type[E], handler: Callable[[E], None]) -> Callable[[], None]:
        """Listen; the answer is a function that stops listening. The handler must be quick."""
        with self._lock:
            self._handlers[event_type] = (*self._handlers.get(event_type, ()), handler)

        def stop() -> None:
            with self._lock:
                self._handlers[event_type] = tuple(h for h in self._handlers[event_type] if h is not handler)

        return stop

    def publish(self, event: Event) -> None:
        """Tell everybody. A listener that fails is logged and never reaches the publisher."""
        for base in type(event).__mro__:
            for handler in self._handlers.get(base, ()):
                try:
                    handler(event)
                except Exception:
                    log.exception("a listener failed", event_type=type(event).__name__)
