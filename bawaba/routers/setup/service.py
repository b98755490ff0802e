"""From a router's row to its scripts."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.core.actor import Actor
from bawaba.core.errors import field_fault
from bawaba.core.runtime import Runtime
from bawaba.routers import queries
from bawaba.routers.links import driver_class
from bawaba.routers.models import Router
from bawaba.routers.service import PASSWORD
from bawaba.routers.setup import opennds, routeros
from bawaba.routers.setup.wireguard import tunnel
from bawaba.sites.models import Site

USERNAMES = {"routeros": "bawaba", "opennds": "root", "authmon": ""}
OPENNDS = ("opennds", "authmon")


@dataclass(frozen=True)
class Wanted:
    """What the owner chose. `server` is a hotspot that is there; `interface` asks for a new one on it."""

    server: str | None = None
    interface: str | None = None
    network: str = "10.77.0.1/24"
    manager_ip: str | None = None
    wireguard: str | None = None  # host or host:port where the manager is reached from the internet


@dataclass(frozen=True)
class Scripts:
    """To run on the router, to undo it, and the manager's end of a tunnel."""

    setup: str
    undo: str
    tunnel: str | None


def scripts(rt: Runtime, actor: Actor, router_id: int, wanted: Wanted) -> Scripts:
    """The scripts of a RouterOS or openNDS router. One that has no password yet gets a random one, kept sealed. Raises
    what is wrong with `wanted`, and `Invalid` for a router of another make."""
    router, router_held = rt.transact(_ready, rt, actor, router_id, rt.clock.now())
    assert router.password_sealed is not None
    if router.driver in OPENNDS:
        return _of_opennds(rt, router, wanted)
    facts = routeros.Facts(
        router_id=router.id,
        router_name=router.name,
        username=router.username or USERNAMES["routeros"],
        password=rt.keyring.decrypt(router.password_sealed, PASSWORD).decode(),
        portal_url=rt.config.portal_url,
        manager_ip=wanted.manager_ip or _own_address(rt, router.address),
        manager_port=urlsplit(rt.config.portal_url).port or (443 if rt.config.portal_url.startswith("https") else 80),
        router_held=router_held,
        server=wanted.server or None,
        interface=wanted.interface or None,
        network=wanted.network,
        tunnel=tunnel(rt.keyring, router.id, wanted.wireguard) if wanted.wireguard else None,
    )
    config = facts.tunnel.manager_config() if facts.tunnel else None
    return Scripts(routeros.script(facts), routeros.undo(facts), config)


def _of_opennds(rt: Runtime, router: Router, wanted: Wanted) -> Scripts:
    facts = opennds.Facts(
        router_id=router.id,
        gateway_name=router.options["gateway_name"],
        faskey=rt.keyring.decrypt(router.password_sealed or b"", PASSWORD).decode(),
        portal_url=rt.config.portal_url,
        interface=wanted.interface or None,
        fetching=_fetching(rt, router) if router.driver == "authmon" else None,
    )
    return Scripts(opennds.script(facts), opennds.undo(facts), None)


def _fetching(rt: Runtime, router: Router) -> opennds.Fetching:
    """How it fetches its guests. Raises what stands in the way: openNDS does that over https alone, by a name."""
    portal = urlsplit(rt.config.portal_url)
    if portal.scheme != "https" or not portal.hostname:
        raise field_fault("public_url", "BAWABA_PUBLIC_URL must be https: openNDS fetches its guests in no other way")
    try:
        portal_ip = socket.getaddrinfo(portal.hostname, None, socket.AF_INET)[0][4][0]
    except OSError as error:
        raise field_fault("public_url", "the name in BAWABA_PUBLIC_URL leads nowhere") from error
    options = driver_class(router.driver).Options.model_validate(router.options).model_dump()
    return opennds.Fetching(str(portal_ip), options["poll_seconds"], options["idle_minutes"])


def _ready(db: Session, rt: Runtime, actor: Actor, router_id: int, now: datetime) -> tuple[Router, bool]:
    router = queries.get_router(db, actor, router_id)
    if router.driver not in USERNAMES:
        raise field_fault("driver", "a setup script is for MikroTik and openNDS routers")
    if router.driver == "routeros":
        routeros.check_username(router.username or "")
    if router.driver in OPENNDS and not router.options.get("gateway_name"):
        make = opennds.gateway_name if router.driver == "opennds" else opennds.secret_name
        name = make(router.id, router.name)
        router.options = {**router.options, "gateway_name": name}
    if router.password_sealed is None or not (router.username or router.driver == "authmon"):
        router.username = router.username or USERNAMES[router.driver] or None
        if router.password_sealed is None:
            router.password_sealed = rt.keyring.encrypt(secrets.token_urlsafe(30).encode(), PASSWORD)
        audit.record(db, actor, "router.changed", router.site_id, "router", router.id, now, name=router.name)
    site = db.get(Site, router.site_id)
    return router, site is not None and site.mode == "router_held"


def _own_address(rt: Runtime, router_address: str) -> str:
    """The address that the router sees us under: the portal's, where it is one; else the one that packets to the router
    leave from. Nothing is sent."""
    host = urlsplit(rt.config.portal_url).hostname or ""
    for text in (host, rt.config.host):
        try:
            address = ipaddress.IPv4Address(text)
        except ValueError:
            continue
        if not address.is_loopback and not address.is_unspecified:
            return str(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((router_address, 9))
        except OSError as error:
            raise field_fault("manager_ip", "say which address this router reaches Bawaba under") from error
        return str(probe.getsockname()[0])
