"""What a NAS reports of its sessions: time that starts and ends, bytes counted once, ghosts closed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog
from sqlalchemy.orm import Session

from bawaba.core.keyring import Keyring
from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement
from bawaba.radius.gateways import Gateway, gateways
from bawaba.radius.packet import Packet
from bawaba.radius.rules import INTERIM, OFF, ON, START, STOP, Report, is_plausible, kind_of, within
from bawaba.radius.tags import session_of
from bawaba.routers.driver import RouterSession
from bawaba.routers.part import part
from bawaba.sessions import admission, rules
from bawaba.sessions.ending import LIVE, end_session
from bawaba.vouchers import claiming, codes
from bawaba.vouchers.queries import code_digest
from bawaba.vouchers.rules import end_as_used

log = structlog.get_logger(__name__)
NAMES = b"radius session"
ADMIN_REBOOT = "Admin-Reboot"

SESSION = Statement(
    "SELECT id, site_id, voucher_id, router_id, client_mac, client_ip, state, start_time, ended_at, rev, seen_up, "
    "seen_down, seen_epoch, bytes_up, bytes_down, active_at, created_at FROM guest_session WHERE id = :id {lock}",
    "id site_id voucher_id router_id client_mac client_ip state start_time ended_at rev seen_up seen_down seen_epoch "
    "bytes_up bytes_down active_at created_at",
    ("start_time", "ended_at", "active_at", "created_at"),
)
BY_ACCT_ID = Statement(
    "SELECT l.session_id, s.client_mac, s.client_ip FROM radius_session l JOIN guest_session s ON s.id = l.session_id "
    "WHERE l.router_id = :router_id AND l.acct_session_id = :acct_session_id ORDER BY l.id DESC LIMIT 1",
    "session_id client_mac client_ip",
)
BY_CARD = Statement(
    "SELECT id FROM guest_session WHERE voucher_id = :voucher_id AND client_mac = :device AND router_id = :router_id "
    "ORDER BY id DESC LIMIT 1",
    "id",
)
LIFE = Statement(
    "SELECT id, seen_seconds, seen_up, seen_down, started_at, seen_at, stopped_at FROM radius_session "
    "WHERE router_id = :router_id AND acct_session_id = :acct_session_id AND session_id = :session_id",
    "id seen_seconds seen_up seen_down started_at seen_at stopped_at",
    ("started_at", "seen_at", "stopped_at"),
)
NEW_LIFE = Statement(
    "INSERT INTO radius_session (router_id, session_id, acct_session_id, names_sealed, seen_seconds, seen_up, "
    "seen_down, started_at, seen_at) VALUES (:router_id, :session_id, :acct_session_id, :names, 0, 0, 0, :started_at, "
    ":now)"
)
LIFE_SEEN = Statement(
    "UPDATE radius_session SET seen_seconds = :seconds, seen_up = :up, seen_down = :down, seen_at = :now, "
    "stopped_at = :stopped_at WHERE id = :id"
)
LATER_LIFE = Statement(
    "SELECT 1 FROM radius_session WHERE session_id = :session_id AND id <> :id AND started_at > :started_at "
    "AND stopped_at IS NULL LIMIT 1"
)
BOOK_SESSION = Statement(
    "UPDATE guest_session SET bytes_up = bytes_up + :up, bytes_down = bytes_down + :down, seen_at = :now, "
    "active_at = :active_at, told = 0 WHERE id = :id"
)
FELL_SILENT = Statement("UPDATE guest_session SET active_at = :at WHERE id = :id")
OPEN_KICK = Statement(
    "SELECT 1 FROM router_job WHERE kind = 'kick' AND ref = :ref AND router_id = :router_id AND state = 'open' LIMIT 1"
)
LIVES_AT = Statement(
    "SELECT l.id, l.session_id, l.started_at, l.seen_at, s.voucher_id FROM radius_session l "
    "JOIN guest_session s ON s.id = l.session_id "
    "WHERE l.router_id = :router_id AND l.stopped_at IS NULL AND l.started_at < :before ORDER BY s.voucher_id, l.id",
    "id session_id started_at seen_at voucher_id",
    ("started_at", "seen_at"),
)
STOP_LIFE = Statement("UPDATE radius_session SET stopped_at = :at WHERE id = :id AND stopped_at IS NULL")


@dataclass
class Noted:
    """What came of a report: sessions whose news are urgent, those that only moved bytes, and whether work follows."""

    urgent: list[int] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)
    kicked: bool = False


@dataclass
class Case:
    """One report with all that it is about. The card is locked first, then its session: always in this order."""

    gateway: Gateway
    report: Report
    card: Any
    session: Any
    life: Any
    now: datetime
    noted: Noted = field(default_factory=Noted)


def account(rt: Runtime, router_id: int, packet: Packet) -> None:
    """Note an Accounting-Request. Raises `RouterNotFound`, and whatever means that it was not noted: then the NAS must
    hear nothing, and sends it again."""
    gateway, kind = gateways(rt).get(router_id), kind_of(packet)
    gateways(rt).heard(gateway)
    if kind in (ON, OFF):
        noted = rt.transact(close_all, gateway, Report.of(packet, rt.clock.now()), rt.clock.now())
        log.warning("a NAS has started anew" if kind == ON else "a NAS is going down", router_id=router_id)
    elif kind in (START, INTERIM, STOP):
        noted = rt.transact(note, rt.keyring, gateway, packet, rt.clock.now())
    else:
        return
    admission.announce(rt, noted.urgent)
    for event in rt.read(admission.changes, noted.moved, urgent=False):
        rt.publish(event)
    if noted.kicked:
        part(rt).wake()


def note(db: Session, keyring: Keyring, gateway: Gateway, packet: Packet, now: datetime) -> Noted:
    """Start, Interim-Update or Stop, in whatever order and however often they come."""
    report = Report.of(packet, now)
    session_id = _whose(db, keyring, gateway, packet, report)
    card = claiming.OF_SESSION.first(db, session_id=session_id) if session_id is not None else None
    session = SESSION.first(db, id=session_id) if card is not None else None
    if session is None or session.site_id != gateway.site_id:
        return Noted()  # of a trusted device, of another manager, or of nobody we know
    names = keyring.encrypt(orjson.dumps(packet.names), NAMES)
    case = Case(gateway, report, card, session, _life(db, gateway, report, session, names, now), now)
    _book(db, case)
    if report.kind == STOP:
        _stopped(db, case)
    elif case.life.stopped_at is None:
        _is_there(db, case)
    return case.noted


def close_all(db: Session, gateway: Gateway, report: Report, now: datetime) -> Noted:
    """The NAS has started, or is going down: whoever was online there is not. One that starts does not know when it
    stopped, so its sessions ended when they were last heard of; what began after it said so goes on."""
    noted = Noted()
    for life in LIVES_AT.all(db, router_id=gateway.id, before=report.at):
        claiming.OF_SESSION.first(db, session_id=life.session_id)
        session = SESSION.first(db, id=life.session_id)
        later = LATER_LIFE.first(db, session_id=life.session_id, id=life.id, started_at=report.at) is not None
        ended_at = life.seen_at if report.kind == ON else within(report.at, life.seen_at, now)
        STOP_LIFE.run(db, id=life.id, at=ended_at)
        if session.ended_at is None and session.router_id == gateway.id and not later:
            end_session(db, session.id, rules.NAS_REBOOT if report.kind == ON else ADMIN_REBOOT, now, ended_at)
            noted.urgent.append(session.id)
    return noted


def _whose(db: Session, keyring: Keyring, gateway: Gateway, packet: Packet, report: Report) -> int | None:
    """The session that a report is about: by our Class; from a NAS that does not say it back by its Acct-Session-Id,
    and at first by the card and the device."""
    if (marked := session_of(keyring, packet.octets("Class"))) is not None:
        return marked
    client = packet.device
    device = client.mac or client.ip
    known = BY_ACCT_ID.first(db, router_id=gateway.id, acct_session_id=report.acct_session_id)
    if known is not None and known.client_mac == device:
        return int(known.session_id)
    try:
        digest = code_digest(keyring, codes.parse(packet.text("User-Name") or "").text)
    except codes.CodeMalformed:
        return None
    card = claiming.LOOK_BY_CODE.first(db, digest=digest)
    found = BY_CARD.first(db, voucher_id=card.id, device=device, router_id=gateway.id) if card is not None else None
    return int(found.id) if found is not None else None


def _life(db: Session, gateway: Gateway, report: Report, session: Any, names: bytes, now: datetime) -> Any:
    """The session as the NAS counts it; new when it is heard of for the first time."""
    key = {"router_id": gateway.id, "acct_session_id": report.acct_session_id, "session_id": session.id}
    life = LIFE.first(db, **key)
    if life is None:
        started_at = within(report.started_at, session.created_at, now)
        NEW_LIFE.run(db, **key, names=names, started_at=started_at, now=now)
        life = LIFE.first(db, **key)
    return life


def _book(db: Session, case: Case) -> None:
    """Count what is new since this life was last heard of: a repeat, an old report come late and a lost one change
    nothing of the sum. More than any link carries is a fault or a forgery, and is not counted."""
    report, life, session = case.report, case.life, case.session
    known = rules.Reading(0, life.seen_up, life.seen_down)
    newest, up, down = rules.booked(known, rules.Reading(0, report.up, report.down))
    since = case.now - (life.seen_at if life.seen_seconds or known.up or known.down else life.started_at)
    if not is_plausible(up, down, since):
        log.error("a NAS reports more than can be", router_id=case.gateway.id, session_id=session.id, up=up, down=down)
        newest, up, down = known, 0, 0
    stopped_at = life.stopped_at
    if report.kind == STOP and stopped_at is None:
        stopped_at = within(life.started_at + timedelta(seconds=report.seconds), life.started_at, case.now)
    seconds = max(life.seen_seconds, report.seconds)
    LIFE_SEEN.run(db, id=life.id, seconds=seconds, up=newest.up, down=newest.down, now=case.now, stopped_at=stopped_at)
    moved = up + down > 0
    if session.ended_at is None and session.router_id == case.gateway.id and session.state == "online":
        active_at = within(report.at, session.active_at or case.now, case.now) if moved else session.active_at
        BOOK_SESSION.run(db, id=session.id, up=up, down=down, now=case.now, active_at=active_at)
    elif moved:  # what was moved up to the very end is told after it
        BOOK_SESSION.run(db, id=session.id, up=up, down=down, now=case.now, active_at=session.active_at)
    if moved:
        claiming.BOOK.run(db, id=session.voucher_id, up=up, down=down, seconds=0)
        case.noted.moved.append(session.id)


def _is_there(db: Session, case: Case) -> None:
    """The NAS says that the device is online: so it may be, from now on, or it has to go."""
    session = case.session
    if session.ended_at is not None or session.router_id != case.gateway.id:
        _kick(db, case)
        return
    if session.state == "opening":
        _begin(db, case)
    if (cause := _why_over(db, case)) is not None and end_session(db, session.id, cause, case.now):
        case.noted.urgent.append(session.id)
        _kick(db, case)


def _begin(db: Session, case: Case) -> None:
    """Its time starts: when the NAS let it in, by what it says of the session's length."""
    session, life = case.session, case.life
    there = RouterSession(str(life.id), None, None, admission.device_client(session.client_mac, None), None, 0, 0, 0)
    admission.mark_online(db, case.card, session, case.gateway.id, there, life.started_at)
    admission.end_others(db, session, case.now)
    case.noted.urgent.append(session.id)


def _stopped(db: Session, case: Case) -> None:
    """The session is over, unless the device has come back meanwhile and this is only its earlier life."""
    session, life, report = case.session, case.life, case.report
    later = LATER_LIFE.first(db, session_id=session.id, id=life.id, started_at=life.started_at)
    if life.stopped_at is not None or session.ended_at is not None or session.router_id != case.gateway.id or later:
        return
    if session.state == "opening" and (report.seconds or report.up or report.down):  # its start was lost
        _begin(db, case)
    ended_at = within(life.started_at + timedelta(seconds=report.seconds), life.started_at, case.now)
    if report.cause == rules.IDLE_TIMEOUT:
        idle = timedelta(seconds=case.card.idle_timeout_seconds)
        FELL_SILENT.run(db, id=session.id, at=max(ended_at - idle, life.started_at))
    if end_session(db, session.id, report.cause, case.now, ended_at):
        case.noted.urgent.append(session.id)


def _why_over(db: Session, case: Case) -> str | None:
    """Why it has to end now that its bytes are booked; None when it goes on."""
    card = claiming.BY_ID.first(db, id=case.session.voucher_id)
    if card.disabled_at is not None:
        return rules.ADMIN_RESET
    left = rules.left_on(card, end_as_used(card, case.now), LIVE.all(db, voucher_id=card.id), case.now)
    if left.data_spent:
        return rules.DATA_SPENT
    return rules.SESSION_TIMEOUT if left.spent else None


def _kick(db: Session, case: Case) -> None:
    if OPEN_KICK.first(db, ref=case.session.id, router_id=case.gateway.id) is None:
        admission.kick(db, case.gateway.id, case.session.id, case.now)
        case.noted.kicked = True
