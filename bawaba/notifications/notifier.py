"""The thread that keeps notifications: it looks how things stand, sends what is due, and speaks up for the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from bawaba.core.background import Background
from bawaba.core.database import is_passing
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime
from bawaba.notifications import courier, incidents, rules, sending, words
from bawaba.notifications.events import NotificationChanged
from bawaba.notifications.incidents import Incident
from bawaba.notifications.models import Notification
from bawaba.routers.events import JobFailed, RouterStatusChanged
from bawaba.sessions.events import CardUsedTwice, GuessingSuspected

log = structlog.get_logger(__name__)
LOOK_EVERY_S = 5.0
REST_S = 0.5  # between two looks, however much happens


class Notifier(Background):
    """One a process. Events only wake it: what is wrong it reads from the database."""

    def __init__(self, rt: Runtime) -> None:
        super().__init__("notifier")
        self._rt = rt
        self._ways: list[sending.Way] = []
        self._away_since: datetime | None = None
        self._steps: list[Callable[[Session], list[NotificationChanged]]] = []
        self._lock = threading.Lock()
        rt.database.on_away = self._database_away
        for event in (RouterStatusChanged, JobFailed):
            rt.events.subscribe(event, self._wake_for)
        rt.events.subscribe(GuessingSuspected, self._guessed)
        rt.events.subscribe(CardUsedTwice, self._used_twice)

    def round(self) -> None:
        """Look once and send what is due."""
        for event in self._look():
            self._rt.publish(event)
        while not self._stopping.is_set() and sending.send_due(self._rt):
            continue

    # --- what wakes it, in the publishers' threads ---------------------------------------------------------------

    def _wake_for(self, event: Any) -> None:
        self._woken.set()

    def _guessed(self, event: GuessingSuspected) -> None:
        if not event.device:  # one device that types wrong is that device's affair
            self._later(lambda db: incidents.guessing(db, event.site_id, self._rt.clock.now()))

    def _used_twice(self, event: CardUsedTwice) -> None:
        path, facts = f"/cards/{event.voucher_id}", {"serial": event.serial, "devices": event.too_many_devices}
        incident = Incident("card_twice", "critical", event.site_id, f"twice:{event.voucher_id}", path, facts)
        self._later(lambda db: incidents.happened(db, incident, self._rt.clock.now()))

    def _later(self, step: Callable[[Session], list[NotificationChanged]]) -> None:
        with self._lock:
            self._steps.append(step)
        self._woken.set()

    def _database_away(self, error: Exception) -> None:
        with self._lock:
            if self._away_since is not None:
                return
            self._away_since = self._rt.clock.now()
        log.error("the database does not answer", error=type(error).__name__)
        self._woken.set()

    # --- its own thread ------------------------------------------------------------------------------------------

    def _work(self) -> None:
        told_away = False
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                self.round()
                told_away = False
            except (Problem, SQLAlchemyError, OSError) as error:
                log.warning("notifications were put off", error=str(error))
                if self._away_since is not None and not told_away:
                    told_away = True
                    self._say_database_is_away()
            except Exception:
                log.exception("notifications could not be kept")
            time.sleep(REST_S)
            self._woken.wait(LOOK_EVERY_S)

    def _look(self) -> list[NotificationChanged]:
        rt, now = self._rt, self._rt.clock.now()
        since = self._away_since
        news: list[NotificationChanged] = []
        if since is not None:
            news += rt.transact(incidents.database_was_away, since, now)
            self._away_since = None
        news += self._noted()
        news += rt.transact(incidents.look, now)
        self._ways = rt.read(sending.ways, rt.keyring)
        return news

    def _noted(self) -> list[NotificationChanged]:
        """What was to be noted, each once. What breaks for good is left out, so that it keeps nothing else back."""
        news: list[NotificationChanged] = []
        while self._steps:
            try:
                news += self._rt.transact(self._steps[0])
            except Exception as error:
                if isinstance(error, Problem) or is_passing(error):  # the database is away: they wait
                    raise
                log.exception("a notification could not be noted")
            with self._lock:
                self._steps.pop(0)
        return news

    def _say_database_is_away(self) -> None:
        """The channels are remembered from the last look, for now they cannot be read."""
        for way in self._ways:
            if rules.carries(way.least, "critical"):
                away = Notification(kind="database", severity="critical", facts={}, closing={})
                message = words.of(away, words.BEGUN, way.language)
                word = courier.carry(way.url, message, "critical", allow_private=way.allow_private)
                log.info("the database's absence was told", result=word)


def notifier(rt: Runtime) -> Notifier:
    """This process's."""
    found: Notifier = rt.parts["notifier"]
    return found
