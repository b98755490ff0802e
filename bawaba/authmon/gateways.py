"""The gateways that fetch their guests: which one is calling, whether it may, and that it was heard."""

from __future__ import annotations

import ipaddress
import threading
from dataclasses import dataclass
from datetime import datetime

import structlog
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.authmon.words import gateway_hash
from bawaba.core.errors import Unauthenticated
from bawaba.core.runtime import Runtime
from bawaba.routers import service, standing
from bawaba.routers.links import driver_class
from bawaba.routers.models import THERE, Router
from bawaba.routers.options import Network, guest_networks
from bawaba.routers.service import PASSWORD

log = structlog.get_logger(__name__)
DRIVER = "authmon"
TTL_S = 2.0  # a change made by another process is known after so long
NOTE_EVERY_S = 5.0
MISSED_CALLS = 4  # so many in a row mean that something may have been said unheard
LEAST_GAP_S = 20.0
SILENT_SINCE = "silent_since"  # in a router's health: when it was last heard before its newest start or gap
PART = "authmon_gateways"


@dataclass(frozen=True, slots=True)
class Gateway:
    """A router with the driver `authmon`."""

    id: int
    site_id: int
    name_hash: str
    faskey: str
    calls_from: tuple[Network, ...]
    guests: tuple[Network, ...]
    poll_s: int
    idle_s: int
    is_well: bool

    @property
    def gap_s(self) -> float:
        """A silence so long is a gap."""
        return max(LEAST_GAP_S, MISSED_CALLS * self.poll_s)

    def may_call_from(self, address: str) -> bool:
        """Whether it can be this gateway that calls from there: from the networks that its owner named, else from
        anywhere but where its guests are."""
        try:
            where = ipaddress.ip_address(address)
        except ValueError:
            return False
        if self.calls_from:
            return any(where in network for network in self.calls_from)
        return not any(where in network for network in self.guests)


class Gateways:
    """This process's: read once in a while."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._lock = threading.Lock()
        self._known: list[Gateway] = []
        self._until = 0.0
        self._noted: dict[int, float] = {}

    def calling(self, name_hash: str, address: str) -> Gateway:
        """The gateway of this hash. Raises `Unauthenticated` unless it is exactly one, and may call from there."""
        found = [gateway for gateway in self._all() if gateway.name_hash == name_hash]
        if len(found) == 1 and found[0].may_call_from(address):
            return found[0]
        log.warning("an openNDS gateway that is not known has called", gatewayhash=name_hash[:64], address=address)
        raise Unauthenticated()

    def get(self, router_id: int) -> Gateway | None:
        """One of them by its router."""
        return next((gateway for gateway in self._all() if gateway.id == router_id), None)

    def heard(self, gateway: Gateway, *, anew: bool = False) -> None:
        """It called: written down every 5 s, and at once when that is news or it has started `anew`."""
        now_s = self._rt.clock.monotonic()
        if not anew and gateway.is_well and now_s - self._noted.get(gateway.id, -NOTE_EVERY_S) < NOTE_EVERY_S:
            return
        self._noted[gateway.id] = now_s
        news = self._rt.transact(note_heard, gateway.id, gateway.gap_s, anew, self._rt.clock.now())
        if news is not None:
            self._until = 0.0
            self._rt.publish(standing.status_event(news))

    def _all(self) -> list[Gateway]:
        if self._rt.clock.monotonic() >= self._until:
            with self._lock:
                if self._rt.clock.monotonic() >= self._until:
                    self._known = self._rt.read(_read, self._rt)
                    self._until = self._rt.clock.monotonic() + TTL_S
        return self._known


def gateways(rt: Runtime) -> Gateways:
    """This process's."""
    found: Gateways = rt.parts.setdefault(PART, Gateways(rt))
    return found


def note_heard(db: Session, router_id: int, gap_s: float, anew: bool, now: datetime) -> Router | None:
    """It is up. `boot` is since when we hear it without a gap, and since it last started: what it said before may have
    been lost. Answers the router when its status changed by it."""
    router = db.get(Router, router_id)
    if router is None:
        return None
    before, last, facts = router.status, router.last_seen_at, {}
    if anew or last is None or (now - last).total_seconds() > gap_s:
        off_since = int((last or now).timestamp())
        facts = {"boot": int(now.timestamp()), "health": {**(router.health or {}), SILENT_SINCE: off_since}}
    service.saw(db, router_id, now, router.next_poll_at or now, **facts)
    return router if router.status != before else None


def _read(db: Session, rt: Runtime) -> list[Gateway]:
    rows = db.scalars(select(Router).where(Router.driver == DRIVER, THERE).order_by(Router.id))
    return [gateway for router in rows if (gateway := _gateway(rt, router)) is not None]


def _gateway(rt: Runtime, router: Router) -> Gateway | None:
    known = driver_class(DRIVER).Options.model_fields.keys() & router.options.keys()
    try:
        options = driver_class(DRIVER).Options.model_validate({name: router.options[name] for name in known})
    except ValidationError:
        log.error("an openNDS router has options that cannot be", router_id=router.id)
        return None
    told = options.model_dump()
    name_hash = told["gateway_hash"] or (gateway_hash(told["gateway_name"]) if told["gateway_name"] else "")
    if not name_hash or router.password_sealed is None:
        return None  # not set up yet
    return Gateway(
        router.id,
        router.site_id,
        name_hash,
        rt.keyring.decrypt(router.password_sealed, PASSWORD).decode(),
        tuple(ipaddress.ip_network(word) for word in told["calls_from"]),
        guest_networks(router.options),
        told["poll_seconds"],
        told["idle_minutes"] * 60,
        router.status in ("up", "maintenance"),
    )
