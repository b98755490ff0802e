"""A gateway's call, from its three words to the answer that its script reads."""

from __future__ import annotations

from datetime import datetime

import structlog
from flask import Response, request
from sqlalchemy.orm import Session

from bawaba.authmon import arriving, reports, waiting, watching, words
from bawaba.authmon.gateways import Gateway, gateways
from bawaba.core.errors import Invalid, Unauthenticated, field_fault
from bawaba.core.events import Event
from bawaba.core.runtime import Runtime
from bawaba.routers import nds
from bawaba.routers.models import Router
from bawaba.sessions import admission

log = structlog.get_logger(__name__)


def is_call() -> bool:
    """Whether this request is a gateway's, not a guest's."""
    return "auth_get" in request.values


def answer(rt: Runtime) -> Response:
    """Answer this request; whoever is not known is refused before anything else is looked at. The script writes what
    begins with `ERROR:` into the gateway's log."""
    try:
        return _plain(_answered(rt))
    except (Unauthenticated, Invalid) as refusal:
        return _plain(f"ERROR: {refusal.code}", refusal.status)


def _answered(rt: Runtime) -> str:
    said = request.values
    gateway = gateways(rt).calling(said.get("gatewayhash", ""), request.remote_addr or "")
    return take(rt, gateway, said["auth_get"], said.get("payload", ""))


def _plain(text: str, status: int = 200) -> Response:
    return Response(text, status, mimetype="text/plain", headers={"Cache-Control": "no-store"})


def take(rt: Runtime, gateway: Gateway, verb: str, payload: str) -> str:
    """Act on a call. Raises `Invalid` for what the protocol does not know."""
    if verb not in words.VERBS:
        raise field_fault("auth_get", f"must be one of {', '.join(words.VERBS)}")
    text = words.decoded(payload) if payload else words.NOTHING
    gateways(rt).heard(gateway, anew=verb == words.CLEAR)
    if verb == words.CLEAR:
        return _started(rt, gateway)
    if verb == words.DEAUTHED:
        return _ended(rt, gateway, text)
    if verb == words.CUSTOM:
        return words.ACK
    if verb == words.VIEW and (proofs := words.acknowledged(text)) is not None:
        return _acknowledged(rt, gateway, proofs)
    return _wanted(rt, gateway, taken=verb == words.LIST)


def _started(rt: Runtime, gateway: Gateway) -> str:
    log.info("an openNDS gateway has started", router_id=gateway.id)
    ended = rt.transact(_forget, gateway, rt.clock.now())
    admission.announce(rt, ended)
    return ""


def _forget(db: Session, gateway: Gateway, now: datetime) -> list[int]:
    waiting.forget_offers(db, gateway)
    return watching.started_anew(db, gateway.id, now, arriving.off_since(db.get_one(Router, gateway.id), now))


def _ended(rt: Runtime, gateway: Gateway, text: str) -> str:
    said = nds.farewell(text)
    if said is None:
        raise field_fault("payload", "must say method, clientmac, bytes, session_start, session_end, token and custom")
    noted = rt.transact(reports.note, gateway, rt.keyring.fingerprint[:8], said, rt.clock.now())
    admission.announce(rt, noted.urgent)
    for event in rt.read(admission.changes, noted.moved, urgent=False):
        rt.publish(event)
    return words.ACK


def _acknowledged(rt: Runtime, gateway: Gateway, proofs: list[str]) -> str:
    waits = rt.read(waiting.is_waited_for, gateway.id)
    if proofs or waits:
        _publish(rt, rt.transact(waiting.let_in, gateway, proofs, rt.clock.now()))
    return words.ACK


def _wanted(rt: Runtime, gateway: Gateway, *, taken: bool) -> str:
    """What the gateway shall do. By `list` it takes it for good and says nothing more, so that is its word."""
    if not rt.read(waiting.is_waited_for, gateway.id):
        return words.listed([])
    entries, ended, events = rt.transact(_offer, gateway, rt.keyring.fingerprint[:8], taken, rt.clock.now())
    admission.announce(rt, ended)
    _publish(rt, events)
    return words.listed(entries)


def _offer(
    db: Session, gateway: Gateway, install: str, taken: bool, now: datetime
) -> tuple[list[str], list[int], list[Event]]:
    entries, ended = waiting.offer(db, gateway, install, now)
    proofs = [words.proof_in(entry) for entry in entries] if taken else []
    return entries, ended, waiting.let_in(db, gateway, proofs, now) if proofs else []


def _publish(rt: Runtime, events: list[Event]) -> None:
    for event in events:
        rt.publish(event)
