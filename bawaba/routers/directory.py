"""Which routers there are, as every guest's request needs to know: read once in a while, kept in the process."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.runtime import Runtime
from bawaba.routers.models import THERE, Router
from bawaba.routers.options import Network, guest_networks

NAMES = ("gateway_name", "identity", "nas_identifier", "site")  # options: what the gateway calls itself in redirects
TTL_S = 2.0  # a router added by another process is known after so long
ROUTERS_MOST = 5000
PART = "router_directory"


@dataclass(frozen=True, slots=True)
class Entry:
    """A router as a guest's request meets it; `networks` are its guests' (options lan4 and lan6), `names` what the
    gateway itself goes by."""

    id: int
    site_id: int
    name: str
    driver: str
    networks: tuple[Network, ...]
    names: tuple[str, ...] = ()

    def has(self, address: str) -> bool:
        """Whether an address is one of its guests'."""
        try:
            where = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(where in network for network in self.networks)


class Directory:
    """All routers, by id and by name."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._lock = threading.Lock()
        self._entries: tuple[Entry, ...] = ()
        self._until = 0.0

    def entries(self) -> tuple[Entry, ...]:
        """All of them; read again when they are older than 2 s, by one caller at a time."""
        if self._rt.clock.monotonic() >= self._until:
            with self._lock:
                if self._rt.clock.monotonic() >= self._until:
                    self._entries = tuple(_entry(router) for router in self._rt.read(_all))
                    self._until = self._rt.clock.monotonic() + TTL_S
        return self._entries

    def forget(self) -> None:
        """A router was added, changed or removed here."""
        self._until = 0.0

    def named(self, reference: str) -> Entry | None:
        """The router that a redirect names by its id, its name, or the gateway's own; None unless it is exactly one."""
        found = [e for e in self.entries() if reference in (str(e.id), e.name, *e.names)]
        by_id = [e for e in found if str(e.id) == reference]
        found = by_id or found
        return found[0] if len(found) == 1 else None

    def behind(self, address: str) -> Entry | None:
        """The router whose guests' network an address is in."""
        return next((entry for entry in self.entries() if entry.has(address)), None)

    def unplaced(self) -> Entry | None:
        """The only router whose guests' networks are not known; None where there is none, or more than one."""
        found = [entry for entry in self.entries() if not entry.networks]
        return found[0] if len(found) == 1 else None

    def only(self) -> Entry | None:
        """The only router there is, or None."""
        entries = self.entries()
        return entries[0] if len(entries) == 1 else None


def directory(rt: Runtime) -> Directory:
    """This process's."""
    found: Directory = rt.parts.setdefault(PART, Directory(rt))
    return found


def _all(db: Session) -> Sequence[Router]:
    return db.scalars(select(Router).where(THERE).order_by(Router.id).limit(ROUTERS_MOST)).all()


def _entry(router: Router) -> Entry:
    names = tuple(str(router.options[option]) for option in NAMES if router.options.get(option))
    return Entry(router.id, router.site_id, router.name, router.driver, guest_networks(router.options), names)
