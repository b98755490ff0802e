"""Guests who wait for their gateway to fetch them: the open promises to it, a few at a time, until it says that they
are in (steps).

A promise remembers how it was offered, in its payload. The gateway says which of a list it let in; of the others it
says nothing, and when that word is lost it is never said again: then nobody knows whether the guest is online.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from bawaba.authmon import words
from bawaba.authmon.gateways import Gateway
from bawaba.core.events import Event
from bawaba.core.statement import together
from bawaba.routers import nds
from bawaba.routers.driver import Client, RouterRejected, RouterSession
from bawaba.routers.models import RouterJob
from bawaba.routers.promises import Promised, mark_done
from bawaba.sessions import admission
from bawaba.sessions.ending import end_session
from bawaba.sessions.models import GuestSession

log = structlog.get_logger(__name__)
SITE_REF, HID = "site_ref", "hid"
OFFERS, LAST, PENDING = "offers", "last_offer", "answer_pending"  # how often; seconds since 1970; no ack list yet
LOOK_AT_MOST = 200
OFFERS_MOST = 40  # a gateway that was offered a device so often, and did not let it in, does not see it any more
LOST = "Lost-Service"
UNHEARD = "unreachable: what the gateway did was lost on the way; it tells when the session ends"


def is_waited_for(db: Session, router_id: int) -> bool:
    """Whether anything lies ready for a gateway."""
    return db.scalars(_open(router_id).limit(1)).first() is not None


def offer(db: Session, gateway: Gateway, install: str, now: datetime) -> tuple[list[str], list[int]]:
    """What the gateway shall do next, those first that have waited longest for a turn; and the sessions that ended
    because it did not let them in for minutes."""
    entries: list[str] = []
    ended: list[int] = []
    jobs = list(db.scalars(_open(gateway.id)))
    for job in sorted(jobs, key=lambda job: (job.payload.get(LAST, 0.0), job.id)):
        if job.payload.get(PENDING):
            job.outcome_unknown = True  # asked again without a word about the list before
        if job.payload.get(OFFERS, 0) >= OFFERS_MOST:
            ended += _given_up(db, job, now)
        elif len(entries) < words.AT_ONCE and (made := _entry(db, job, gateway, install, now)) is not None:
            entries.append(made)
            offers = job.payload.get(OFFERS, 0) + 1
            job.payload = {**job.payload, OFFERS: offers, LAST: now.timestamp(), PENDING: True}
    return entries, ended


def let_in(db: Session, gateway: Gateway, proofs: Sequence[str], now: datetime) -> list[Event]:
    """The gateway let these in: their time begins. What was offered and is not among them is offered again."""
    events: list[Event] = []
    offered = [job for job in db.scalars(_open(gateway.id)) if job.payload.get(OFFERS)]
    for job in offered:
        if words.rhid(hid_in(job), gateway.faskey) in proofs:
            events += _is_in(db, gateway, job, now)
    for job in offered:
        if job.payload.get(PENDING):
            job.payload = {**job.payload, PENDING: False}
    return events


def forget_offers(db: Session, gateway: Gateway) -> None:
    """The gateway has started anew: it knows of no list. What is promised stays so."""
    for job in db.scalars(_open(gateway.id)):
        job.payload = {name: value for name, value in job.payload.items() if name not in (OFFERS, LAST, PENDING)}


def hid_in(job: RouterJob) -> str:
    """The client that a promise is about, as the gateway calls it; empty where it did not come by a redirect."""
    found = job.payload.get(SITE_REF, {}).get(HID, "")
    return found if isinstance(found, str) and nds.HID.fullmatch(found) else ""


def _open(router_id: int) -> Select[RouterJob]:
    of_router = select(RouterJob).where(RouterJob.router_id == router_id, RouterJob.state == "open")
    return of_router.where(RouterJob.kind == admission.ADMIT).order_by(RouterJob.id).limit(LOOK_AT_MOST)


def _entry(db: Session, job: RouterJob, gateway: Gateway, install: str, now: datetime) -> str | None:
    """One client with what is left for it now; None, and the promise is over, when it needs no letting in any more."""
    work = admission.prepare_admit(db, Promised(job.id, gateway.id, job.kind, job.ref), now)
    if work is None:
        db.flush()
        mark_done(db, job.id, now)
        return None
    if not hid_in(job):
        return None
    try:
        allowed = nds.allowed(work.grant.limits, now)
    except RouterRejected:
        return None
    tag = nds.Tag(install, work.grant.key, work.grant.rev)
    return words.entry(words.rhid(hid_in(job), gateway.faskey), allowed, tag)


def _is_in(db: Session, gateway: Gateway, job: RouterJob, now: datetime) -> list[Event]:
    promised = Promised(job.id, gateway.id, job.kind, job.ref)
    known = together(db, *admission.read_to_confirm(promised))  # the card before its session and its promises
    if not mark_done(db, job.id, now):
        return []
    return list(admission.confirmed(db, promised, there(job.ref or 0, now), now, *known))


def there(session_id: int, now: datetime) -> RouterSession:
    """A session that the gateway has let in, as far as it says: its counters come when it has ended."""
    key = admission.key_of(session_id)
    return RouterSession(key, key, None, Client(), now, 0, 0, 0, epoch=int(now.timestamp()))


def _given_up(db: Session, job: RouterJob, now: datetime) -> list[int]:
    """Nobody let this device in for minutes. Where the gateway's word may have been lost it may be online all the same:
    then the session stays as it is, and its end is told."""
    if job.outcome_unknown:
        job.last_error = UNHEARD
        return []
    db.flush()
    mark_done(db, job.id, now)
    session = db.get(GuestSession, job.ref)
    if session is None or session.ended_at is not None or session.start_time is not None:
        return []
    return [session.id] if end_session(db, session.id, LOST, now) else []
