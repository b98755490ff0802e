"""A NAS asks whether a guest may come in: redeemed as at every other door, and told the limits in its own words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from bawaba.core.errors import Invalid, Problem
from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement
from bawaba.radius import rules, words
from bawaba.radius.gateways import Gateway, gateways
from bawaba.radius.packet import Packet
from bawaba.radius.tags import TRUSTED, class_of
from bawaba.routers import nas
from bawaba.routers.devices import canonical_mac, standing_of
from bawaba.sessions import admission, redeem
from bawaba.sessions.ending import end_session
from bawaba.sessions.errors import DeviceBlocked, NothingToResume, UnknownDevice
from bawaba.sessions.redeem import Guest
from bawaba.vouchers import claiming

log = structlog.get_logger(__name__)
LOST_INTERVALS = 1.5  # the device itself signs in anew: one report late is proof enough
ONLINE = Statement(
    "SELECT id, seen_at FROM guest_session WHERE site_id = :site_id AND client_mac = :device "
    "AND router_id = :router_id AND ended_at IS NULL AND state = 'online'",
    "id seen_at",
    ("seen_at",),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the NAS is told; `attributes` are of its reply."""

    accepted: bool
    attributes: nas.Attributes


def authorise(rt: Runtime, router_id: int, packet: Packet) -> Verdict:
    """Answer an Access-Request. Raises `RouterNotFound`, and what means that we cannot tell (the database is away):
    then the NAS must hear nothing and try again, for a refusal would tell a guest who has paid that his code is wrong.
    """
    gateway = gateways(rt).get(router_id)
    gateways(rt).heard(gateway)
    try:
        return _accept(rt, gateway, packet)
    except Problem as refusal:
        if refusal.status >= 500:
            raise
        log.info("a NAS was told no", router_id=router_id, error_code=refusal.code)
        return Verdict(False, {"Reply-Message": words.refusal(refusal, gateway.language)})


def _accept(rt: Runtime, gateway: Gateway, packet: Packet) -> Verdict:
    client = packet.device
    device = client.mac or client.ip
    if device is None:
        raise UnknownDevice()
    name = packet.text("User-Name") or ""
    by_mac = client.mac is not None and _mac(name) == client.mac
    if by_mac and not gateway.options.mac_auth:
        raise NothingToResume()  # no code, so no wrong one
    if by_mac and (standing := rt.read(standing_of, gateway.site_id, device)) is not None:
        return _known(gateway, standing)
    _end_lost(rt, gateway, device)
    answer = redeem.answer_router(rt, Guest(gateway.id, device, client.ip), None if by_mac else name)
    return Verdict(True, _granted(rt, gateway, answer))


def _known(gateway: Gateway, standing: str) -> Verdict:
    """A device that needs no card, or gets in with none."""
    if standing == "blocked":
        raise DeviceBlocked()
    return Verdict(True, {"Acct-Interim-Interval": gateway.options.interim_s, "Class": TRUSTED})


def _granted(rt: Runtime, gateway: Gateway, answer: redeem.Answer) -> nas.Attributes:
    """The limits as they stand. Where a NAS keeps no quota, its reports are what we cut by."""
    limits = answer.work.grant.limits
    attributes = nas.limits_for(gateway.options.make, limits, nas.Used(), rt.clock.now())
    attributes["Idle-Timeout"] = answer.idle_timeout_s
    attributes["Acct-Interim-Interval"] = gateway.options.interim_s
    attributes["Class"] = class_of(rt.keyring, answer.redemption.session_id)
    return attributes


def _end_lost(rt: Runtime, gateway: Gateway, device: str) -> None:
    """A NAS that lost a session (its power was cut) asks for the device anew: the old session ended when it was last
    heard of, and the hours between are given back."""
    now = rt.clock.now()
    if rt.read(_lost, gateway, device, now):
        admission.announce(rt, rt.transact(_end, gateway, device, now))


def _lost(db: Session, gateway: Gateway, device: str, now: datetime) -> list[Any]:
    online = ONLINE.all(db, site_id=gateway.site_id, device=device, router_id=gateway.id)
    return [
        session for session in online if rules.is_lost(session.seen_at, gateway.options.interim_s, now, LOST_INTERVALS)
    ]


def _end(db: Session, gateway: Gateway, device: str, now: datetime) -> list[int]:
    """End them, unless one was heard of meanwhile."""
    for session in _lost(db, gateway, device, now):
        claiming.OF_SESSION.first(db, session_id=session.id)  # the card before its sessions: always in this order
    lost = _lost(db, gateway, device, now)
    return [session.id for session in lost if end_session(db, session.id, rules.LOST, now, session.seen_at)]


def _mac(text: str) -> str | None:
    try:
        return canonical_mac(text)
    except Invalid:
        return None
