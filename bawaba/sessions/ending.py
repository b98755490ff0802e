"""A card's live sessions, and ending one in the database, whatever the reason: once, and with its time charged."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from bawaba.core import outward
from bawaba.core.statement import Statement
from bawaba.sessions import rules
from bawaba.vouchers import claiming

OF_CARD = Statement(
    "SELECT s.id, s.site_id, s.voucher_id, s.start_time, s.active_at, p.kind FROM guest_session s "
    "JOIN voucher v ON v.id = s.voucher_id JOIN plan_version p ON p.id = v.plan_version_id WHERE s.id = :id",
    "id site_id voucher_id start_time active_at kind",
    ("start_time", "active_at"),
)
LIVE = Statement(
    "SELECT id, client_mac, router_id, state, start_time, end_time, active_at, created_at, bytes_up, bytes_down "
    "FROM guest_session WHERE voucher_id = :voucher_id AND ended_at IS NULL ORDER BY id",
    "id client_mac router_id state start_time end_time active_at created_at bytes_up bytes_down",
    ("start_time", "end_time", "active_at", "created_at"),
)
END = Statement(
    "UPDATE guest_session SET state = 'ended', ended_at = :ended_at, used_seconds = :seconds, "
    "terminate_cause = :cause WHERE id = :id AND ended_at IS NULL"
)
TOLD = Statement(  # what other programs are told of a session that has ended
    "SELECT s.id, s.site_id, s.voucher_id, v.serial, s.router_id, s.client_mac, s.start_time, s.ended_at, "
    "s.used_seconds, s.bytes_up, s.bytes_down, s.terminate_cause "
    "FROM guest_session s JOIN voucher v ON v.id = s.voucher_id WHERE s.id = :id",
    "session_id site_id voucher_id serial router_id client_mac start_time ended_at used_seconds bytes_up bytes_down "
    "terminate_cause",
    ("start_time", "ended_at"),
)


def end_session(db: Session, session_id: int, cause: str, now: datetime, ended_at: datetime | None = None) -> bool:
    """End a session (at `ended_at`, else now); False when it had ended before.

    A used-time card is charged for the time online; when the device fell silent, only up to its last byte.
    """
    session = OF_CARD.first(db, id=session_id)
    seconds = 0
    if session.start_time is not None:
        silent = cause == rules.IDLE_TIMEOUT
        until = min(now, ended_at) if ended_at is not None else now
        seconds = rules.online_seconds(session.start_time, session.active_at, until, give_back_tail=silent)
    if END.run(db, id=session_id, ended_at=ended_at or now, seconds=seconds, cause=cause) != 1:
        return False
    outward.tell(db, "session.ended", session.site_id, lambda: TOLD.first(db, id=session_id)._asdict(), now)
    if seconds and session.kind == "used_time":
        claiming.BOOK.run(db, id=session.voucher_id, up=0, down=0, seconds=seconds)
    return True
