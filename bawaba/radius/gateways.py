"""The gateways that ask by RADIUS, as each request needs to know them; and noting that one was heard."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime

import structlog
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.runtime import Runtime
from bawaba.radius.rules import SILENT_INTERVALS, is_lost
from bawaba.routers import service, standing
from bawaba.routers.errors import RouterNotFound
from bawaba.routers.models import THERE, Router
from bawaba.routers.nas import NasOptions
from bawaba.sites.models import Site

log = structlog.get_logger(__name__)
DRIVER = "radius"
TTL_S = 2.0  # a change made by another process is known after so long
NOTE_EVERY_S = 5.0
PART = "radius_gateways"


@dataclass(frozen=True, slots=True)
class Gateway:
    """A router with the driver `radius`, and the language that its site's guests read."""

    id: int
    site_id: int
    language: str
    options: NasOptions
    is_well: bool


class Gateways:
    """This process's: read once in a while."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._lock = threading.Lock()
        self._known: dict[int, Gateway] = {}
        self._until = 0.0
        self._noted: dict[int, float] = {}

    def get(self, router_id: int) -> Gateway:
        """One of them; looked for again when it is not known. Raises `RouterNotFound`."""
        if self._rt.clock.monotonic() >= self._until or router_id not in self._known:
            with self._lock:
                if self._rt.clock.monotonic() >= self._until or router_id not in self._known:
                    self._known = {gateway.id: gateway for gateway in self._rt.read(_all)}
                    self._until = self._rt.clock.monotonic() + TTL_S
        if (found := self._known.get(router_id)) is None:
            raise RouterNotFound()
        return found

    def heard(self, gateway: Gateway) -> None:
        """A packet came from it, so it is there: written down every 5 s, and at once when that is news."""
        now_s = self._rt.clock.monotonic()
        if gateway.is_well and now_s - self._noted.get(gateway.id, -NOTE_EVERY_S) < NOTE_EVERY_S:
            return
        self._noted[gateway.id] = now_s
        news = self._rt.transact(note_heard, gateway.id, gateway.options.interim_s, self._rt.clock.now())
        if news is not None:
            self._until = 0.0
            self._rt.publish(standing.status_event(news))


def gateways(rt: Runtime) -> Gateways:
    """This process's."""
    found: Gateways = rt.parts.setdefault(PART, Gateways(rt))
    return found


def note_heard(db: Session, router_id: int, interim_s: int, now: datetime) -> Router | None:
    """It is up. `boot` is since when we hear it without a gap: what was not told in a gap of ours, or of the link's, is
    not lost. Answers the router when its status changed by it."""
    router = db.get(Router, router_id)
    if router is None:
        return None
    before, last = router.status, router.last_seen_at
    boot = router.boot
    if last is None or is_lost(last, interim_s, now, SILENT_INTERVALS):
        boot = int(now.timestamp())
    service.saw(db, router_id, now, router.next_poll_at or now, boot=boot)
    return router if router.status != before else None


def _all(db: Session) -> list[Gateway]:
    rows = db.execute(
        select(Router.id, Router.site_id, Site.language, Router.options, Router.status)
        .join(Site, Site.id == Router.site_id)
        .where(Router.driver == DRIVER, THERE)
    )
    found = []
    for row in rows:
        try:
            options = NasOptions.of(row.options)
        except ValidationError:
            log.error("a RADIUS router has options that cannot be", router_id=row.id)
            continue
        found.append(Gateway(row.id, row.site_id, row.language, options, row.status in ("up", "maintenance")))
    return found
