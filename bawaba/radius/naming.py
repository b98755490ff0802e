"""What a NAS calls a session, put beside work that is promised to it: its driver knows no table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.keyring import Keyring
from bawaba.core.statement import Statement
from bawaba.radius.accounting import NAMES
from bawaba.radius.gateways import DRIVER
from bawaba.radius.models import RadiusSession
from bawaba.routers.driver import Client
from bawaba.routers.models import Router
from bawaba.routers.promises import Kind, Promised
from bawaba.sessions.admission import AdmitWork

LATER_OF_DEVICE = Statement(
    "SELECT 1 FROM guest_session s JOIN guest_session mine ON mine.id = :session_id "
    "WHERE s.router_id = :router_id AND s.client_mac = mine.client_mac AND s.id <> mine.id AND s.ended_at IS NULL "
    "LIMIT 1"
)
Prepare = Callable[[Session, Promised, datetime], Any]


def for_letting_in(kind: Kind, keyring: Keyring) -> Kind:
    """Letting a device in, or changing its limits: the NAS hears which of its sessions is meant."""

    def named(db: Session, job: Promised, now: datetime) -> Any:
        work: AdmitWork | None = kind.prepare(db, job, now)
        if work is None or not _speaks_radius(db, job.router_id):
            return work
        life = _newest(db, job)
        return work if life is None else replace(work, client=_named(work.client, life, keyring, now))

    return replace(kind, prepare=named)


def for_closing_out(kind: Kind, keyring: Keyring) -> Kind:
    """Closing a device out. What the NAS has said to be over is; a session that it never told of is named by its
    device, unless that has a newer one there, which must not be hit."""

    def named(db: Session, job: Promised, now: datetime) -> Any:
        work: tuple[str, Client] | None = kind.prepare(db, job, now)
        if work is None or not _speaks_radius(db, job.router_id):
            return work
        life = _newest(db, job)
        if life is None:
            newer = LATER_OF_DEVICE.first(db, session_id=job.ref, router_id=job.router_id) is not None
            return None if newer else work
        if life.stopped_at is not None:
            return None
        key, client = work
        return key, _named(client, life, keyring, now)

    return replace(kind, prepare=named)


def _speaks_radius(db: Session, router_id: int) -> bool:
    return db.scalar(select(Router.driver).where(Router.id == router_id)) == DRIVER


def _newest(db: Session, job: Promised) -> RadiusSession | None:
    of_session = select(RadiusSession).where(
        RadiusSession.session_id == job.ref, RadiusSession.router_id == job.router_id
    )
    return db.scalar(of_session.order_by(RadiusSession.stopped_at.is_not(None), RadiusSession.id.desc()).limit(1))


def _named(client: Client, life: RadiusSession, keyring: Keyring, now: datetime) -> Client:
    names: dict[str, str] = orjson.loads(keyring.decrypt(life.names_sealed, NAMES))
    used = {
        "used-seconds": str(max(0, int((now - life.started_at).total_seconds()))),
        "used-up": str(life.seen_up),
        "used-down": str(life.seen_down),
    }
    return replace(client, site_ref=names | used)
