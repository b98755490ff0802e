"""What a gateway tells of a session that ended: time and bytes booked once, whether it is told late, twice, or of a
session that we thought over, or never heard the beginning of (steps).

A report is believed where it holds the client's token, which the gateway keeps to itself until then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bawaba.authmon import waiting, words
from bawaba.authmon.gateways import Gateway
from bawaba.core.statement import Statement
from bawaba.routers import nds
from bawaba.routers.models import RouterJob
from bawaba.routers.nds import Farewell
from bawaba.routers.promises import mark_done
from bawaba.sessions import admission, rules
from bawaba.sessions.ending import end_session
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import claiming

log = structlog.get_logger(__name__)
TOLD = "told"  # in a promise's payload: bytes up and down that the gateway has told of that life
CAUSES = {
    "time": rules.SESSION_TIMEOUT, "idle": rules.IDLE_TIMEOUT, "data": rules.DATA_SPENT, "client": rules.USER_REQUEST,
    "ndsctl": rules.ADMIN_RESET, "shutdown": "Admin-Reboot",
}  # fmt: skip
UNKNOWN_CAUSE = "NAS-Error"
BOOK = Statement(
    "UPDATE guest_session SET bytes_up = bytes_up + :up, bytes_down = bytes_down + :down, told = 0 WHERE id = :id"
)
FELL_SILENT = Statement("UPDATE guest_session SET active_at = :at WHERE id = :id")
CHARGE_LATE = Statement(
    "UPDATE guest_session SET used_seconds = :seconds, start_time = COALESCE(start_time, :started), told = 0 "
    "WHERE id = :id"
)


@dataclass
class Noted:
    """Ids of sessions whose news are urgent, and of those that only moved bytes."""

    urgent: list[int] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)


def note(db: Session, gateway: Gateway, install: str, said: Farewell, now: datetime) -> Noted:
    """Note a session's end."""
    noted = Noted()
    life = _life(db, gateway, install, said)
    card = claiming.OF_SESSION.first(db, session_id=life.ref) if life is not None else None
    if life is None or card is None:
        log.warning("a gateway told of a session that is not known", router_id=gateway.id, custom=said.custom[:80])
        return noted
    session = db.get_one(GuestSession, life.ref, populate_existing=True, with_for_update=True)
    if session.client_mac != said.mac:
        log.warning("a device said another MAC than its own", session_id=session.id, said=session.client_mac)
    is_first = TOLD not in life.payload
    _book(db, life, session, said, noted)
    if is_first:
        length = min(timedelta(seconds=max(0, said.ended - said.started)), now - life.created_at)
        _over(db, gateway, life, card, session, CAUSES.get(said.why, UNKNOWN_CAUSE), length, now, noted)
    return noted


def _life(db: Session, gateway: Gateway, install: str, said: Farewell) -> RouterJob | None:
    """The promise by which the client was let in."""
    tag, hid = nds.tag_of(said.custom), words.hid_of(said.token)
    session_id = admission.session_id_of(tag.key) if tag is not None and tag.install == install else None
    promised = select(RouterJob).where(
        RouterJob.router_id == gateway.id, RouterJob.kind == admission.ADMIT, RouterJob.ref == session_id
    )
    found = db.scalars(promised.order_by(RouterJob.id.desc())) if session_id is not None else ()
    return next((job for job in found if waiting.hid_in(job) == hid), None)


def _book(db: Session, life: RouterJob, session: GuestSession, said: Farewell, noted: Noted) -> None:
    """The bytes of this life that were not told before."""
    known_up, known_down = life.payload.get(TOLD, (0, 0))
    up, down = max(0, said.up - known_up), max(0, said.down - known_down)
    life.payload = {**life.payload, TOLD: [known_up + up, known_down + down]}
    if up or down:
        BOOK.run(db, id=session.id, up=up, down=down)
        claiming.BOOK.run(db, id=session.voucher_id, up=up, down=down, seconds=0)
        noted.moved.append(session.id)


def _over(
    db: Session, gateway: Gateway, life: RouterJob, card: Any, session: GuestSession, cause: str, length: timedelta,
    now: datetime, noted: Noted,
) -> None:  # fmt: skip
    """This life is over, and with it the session, unless the device has been let in anew since."""
    _nobody_to_put_out(db, gateway, session.id, now)
    if session.ended_at is not None:
        _charge_late(db, card, session, now - length, length)
    elif session.router_id == gateway.id and life.id == _newest(db, gateway, session.id):
        if session.state == "opening":
            _began(db, gateway, life, card, session, now - length, now)
        if cause == rules.IDLE_TIMEOUT:
            FELL_SILENT.run(db, id=session.id, at=max(now - timedelta(seconds=gateway.idle_s), now - length))
        db.flush()
        if end_session(db, session.id, cause, now):
            noted.urgent.append(session.id)


def _began(
    db: Session, gateway: Gateway, life: RouterJob, card: Any, session: Any, started: datetime, now: datetime
) -> None:
    """The gateway's word that the guest was in was lost: it is known now."""
    db.flush()
    mark_done(db, life.id, now)
    admission.mark_online(db, card, session, gateway.id, waiting.there(session.id, now), started)


def _charge_late(db: Session, card: Any, session: GuestSession, started: datetime, length: timedelta) -> None:
    """We thought it over, and it went on at the gateway: the time that is not charged yet."""
    seconds = max(session.used_seconds, int(length.total_seconds()))
    claiming.confirm_first_use(db, card, started)
    if card.kind == "used_time" and seconds > session.used_seconds:
        claiming.BOOK.run(db, id=card.id, up=0, down=0, seconds=seconds - session.used_seconds)
    db.flush()
    CHARGE_LATE.run(db, id=session.id, seconds=seconds, started=started)


def _newest(db: Session, gateway: Gateway, session_id: int) -> int | None:
    newest = select(RouterJob.id).where(
        RouterJob.router_id == gateway.id, RouterJob.kind == admission.ADMIT, RouterJob.ref == session_id
    )
    return db.scalar(newest.order_by(RouterJob.id.desc()).limit(1))


def _nobody_to_put_out(db: Session, gateway: Gateway, session_id: int, now: datetime) -> None:
    """Whoever was to be put out is out."""
    orders = update(RouterJob).where(
        RouterJob.router_id == gateway.id, RouterJob.kind == admission.KICK, RouterJob.ref == session_id
    )
    db.execute(orders.where(RouterJob.state != "done").values(state="done", done_at=now, last_error=None))
