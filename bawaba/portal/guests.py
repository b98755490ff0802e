"""Who is asking: the guest's router and device, as the router itself knows them and never as the guest says."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bawaba.authmon import arriving
from bawaba.authmon.gateways import DRIVER as FETCHES_ITSELF
from bawaba.core.errors import Invalid, field_fault
from bawaba.core.runtime import Runtime
from bawaba.radius import signing_in
from bawaba.routers.devices import canonical_mac
from bawaba.routers.directory import Entry, directory
from bawaba.routers.driver import Client, GatewayError
from bawaba.routers.errors import RouterUnreachableNow
from bawaba.routers.part import part
from bawaba.routers.promises import spares
from bawaba.sessions.errors import UnknownDevice, UnknownPlace
from bawaba.sessions.redeem import Guest

LOCATE_S = 1.5
BELIEVES_REDIRECT = frozenset({"fake"})  # no network lies behind it that could be asked


@dataclass(frozen=True, slots=True)
class Told:
    """What a redirect carried, and where the request came from. Everything but `source_ip` is the guest's word."""

    source_ip: str
    router: str | None = None
    client_mac: str | None = None
    client_ip: str | None = None
    at: str | None = None  # what the gateway calls itself
    site_ref: Mapping[str, str] = field(default_factory=dict)


def identify(rt: Runtime, told: Told) -> Guest:
    """The guest's router and device. Raises `UnknownPlace`, `UnknownDevice`, or `RouterUnreachableNow` when the router
    cannot be asked."""
    router = find_router(rt, told)
    if router is None:
        raise UnknownPlace()
    if router.driver in BELIEVES_REDIRECT:
        return _believed(router, told)
    if signing_in.signs_in_itself(router.driver):
        return _reported(rt, router, told)
    if router.driver == FETCHES_ITSELF:
        return _redirected(rt, router, told)
    return _seen_by(rt, router, told)


def _seen_by(rt: Runtime, router: Entry, told: Told) -> Guest:
    """The device as its router sees it, or, where that one does not answer, as a spare does that has it before it."""
    try:
        return _located(rt, router.id, told)
    except GatewayError as error:
        for spare_id in rt.read(spares, router.id, rt.clock.now()):
            try:
                return _located(rt, spare_id, told)
            except (GatewayError, UnknownDevice):
                continue
        raise RouterUnreachableNow() from error


def _located(rt: Runtime, router_id: int, told: Told) -> Guest:
    seen: Client | None = part(rt).ask(router_id, "locate", ip=told.source_ip, deadline_s=LOCATE_S)
    if seen is None or seen.mac is None:
        raise UnknownDevice()
    return Guest(router_id, seen.mac, told.source_ip, told.site_ref)


def _reported(rt: Runtime, router: Entry, told: Told) -> Guest:
    """A device whose gateway cannot be asked, but has told who has that address."""
    seen = rt.read(signing_in.device_at, router.id, told.source_ip)
    if seen is None or seen.mac is None:
        raise UnknownDevice()
    return Guest(router.id, seen.mac, told.source_ip, told.site_ref)


def _redirected(rt: Runtime, router: Entry, told: Told) -> Guest:
    """A device whose gateway cannot be asked: it is let in by what the gateway's redirect alone gives its browser."""
    hid = told.site_ref.get("hid")
    if told.client_mac is None or hid is None or not arriving.came_by_redirect(hid):
        raise UnknownDevice()
    claimed = _believed(router, told)
    return replace(claimed, mac=arriving.device_of(rt, router.id, claimed.mac, hid))


def find_router(rt: Runtime, told: Told) -> Entry | None:
    """The router that a guest is behind; None where that can't be known.

    The network that a request came from decides, whatever the redirect says, which may choose among several
    with that network. From elsewhere (behind NAT, or a router whose networks nobody told us) it is the router
    that the redirect names, if that may be; else the only one whose networks are not known, or the only one there is.
    A gateway's name for itself counts where a router has it.
    """
    known = directory(rt)
    named = known.named(told.router) if told.router else known.named(told.at) if told.at else None
    near = known.behind(told.source_ip)
    if near is not None:
        return named if named is not None and named.has(told.source_ip) else near
    if told.router and named is None:
        return None
    if named is not None and _may_be(named, told):
        return named
    return known.unplaced() or known.only()


def _may_be(named: Entry, told: Told) -> bool:
    """Whether a guest may be behind a router whose networks the request did not come from: they are not known, or the
    address that the redirect gives the guest is in them."""
    return not named.networks or (told.client_ip is not None and named.has(told.client_ip))


def _believed(router: Entry, told: Told) -> Guest:
    ip = _canonical_ip(told.client_ip) if told.client_ip else told.source_ip
    if told.client_mac:
        try:
            return Guest(router.id, canonical_mac(told.client_mac), ip, told.site_ref)
        except Invalid as error:
            raise Invalid(fields={"client_mac": error.details["fields"]["mac"]}) from error
    if not told.source_ip:
        raise UnknownDevice()
    return Guest(router.id, told.source_ip, ip, told.site_ref)  # without a MAC the source address is the device


def _canonical_ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise field_fault("client_ip", "must be an address like 10.77.0.9") from error
