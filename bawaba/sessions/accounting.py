"""What the routers' counters say, booked once; and the end of whoever has used up what they had.

One pass a router: one read of its live sessions, pure decisions, and the changes written together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from bawaba.core.events import Event
from bawaba.core.statement import Statement
from bawaba.routers import cards
from bawaba.routers.driver import RouterSession
from bawaba.routers.promises import promise
from bawaba.sessions import admission, offline, rules
from bawaba.sessions.ending import LIVE, end_session
from bawaba.sessions.events import SessionChanged
from bawaba.sessions.schemas import moved_out
from bawaba.vouchers import claiming
from bawaba.vouchers.rules import end_as_used

LIVE_AT = Statement(
    "SELECT s.id, s.site_id, s.voucher_id, s.router_id, s.client_mac, s.client_ip, s.state, s.start_time, s.end_time, "
    "s.ended_at, s.rev, s.seen_up, s.seen_down, s.seen_epoch, s.bytes_up, s.bytes_down, s.active_at, s.created_at, "
    "s.seen_at, s.router_key, "
    "v.over_at, v.ends_at, v.first_used_at, v.disabled_at, v.used_seconds, v.bytes_up, v.bytes_down, "
    "p.kind, p.duration_seconds + v.extra_seconds, p.valid_for_seconds + v.extra_seconds, "
    "p.quota_bytes + v.extra_bytes, p.quota_up_bytes, p.quota_down_bytes, "
    "p.idle_timeout_seconds, p.devices_at_once, v.serial "
    "FROM guest_session s JOIN voucher v ON v.id = s.voucher_id JOIN plan_version p ON p.id = v.plan_version_id "
    "WHERE s.router_id = :router_id AND s.ended_at IS NULL ORDER BY v.id {lock v, s}",  # a kick or a move waits
    "id site_id voucher_id router_id client_mac client_ip state start_time end_time ended_at rev seen_up seen_down "
    "seen_epoch session_up session_down active_at created_at seen_at router_key over_at ends_at first_used_at "
    "disabled_at used_seconds bytes_up bytes_down kind duration_seconds valid_for_seconds quota_bytes quota_up_bytes "
    "quota_down_bytes idle_timeout_seconds devices_at_once serial",
    (
        "start_time",
        "end_time",
        "ended_at",
        "active_at",
        "created_at",
        "seen_at",
        "over_at",
        "ends_at",
        "first_used_at",
        "disabled_at",
    ),
)
SHARED_TIME = Statement(  # sessions, at any router, of cards that several devices here use up together
    "SELECT o.id, o.voucher_id, o.client_mac, o.start_time, o.active_at, o.created_at FROM guest_session o "
    "JOIN voucher v ON v.id = o.voucher_id JOIN plan_version p ON p.id = v.plan_version_id "
    "WHERE o.ended_at IS NULL AND p.kind = 'used_time' AND p.devices_at_once > 1 AND o.voucher_id IN "
    "(SELECT voucher_id FROM guest_session WHERE router_id = :router_id AND ended_at IS NULL)",
    "id voucher_id client_mac start_time active_at created_at",
    ("start_time", "active_at", "created_at"),
)
BOOK_SESSIONS = Statement(
    "UPDATE guest_session SET bytes_up = bytes_up + :up, bytes_down = bytes_down + :down, seen_up = :seen_up, "
    "seen_down = :seen_down, seen_epoch = :epoch, seen_at = :now, active_at = :active_at WHERE id = :id",
    many="UPDATE guest_session s SET bytes_up = s.bytes_up + n.up, bytes_down = s.bytes_down + n.down, "
    "seen_up = n.seen_up, seen_down = n.seen_down, seen_epoch = n.epoch, seen_at = n.now, active_at = n.active_at "
    "FROM unnest(CAST(:id AS bigint[]), CAST(:up AS bigint[]), CAST(:down AS bigint[]), CAST(:seen_up AS bigint[]), "
    "CAST(:seen_down AS bigint[]), CAST(:epoch AS bigint[]), CAST(:now AS timestamptz[]), "
    "CAST(:active_at AS timestamptz[])) AS n(id, up, down, seen_up, seen_down, epoch, now, active_at) "
    "WHERE s.id = n.id",
)
PAUSE = Statement(  # as if it had begun, and had moved its last byte, so much later
    "UPDATE guest_session SET start_time = :start_time, active_at = :active_at WHERE id = :id AND ended_at IS NULL"
)
OPEN_JOB = Statement(
    "SELECT 1 FROM router_job WHERE kind = :kind AND ref = :ref AND router_id = :router_id AND state = 'open' LIMIT 1"
)


@dataclass
class Settled:
    """What one pass came to: ids of sessions that moved bytes, began and ended, the `news` of those that moved and go
    on, and how many strangers are online."""

    moved: list[int] = field(default_factory=list)
    began: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    readmitted: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    news: list[Event] = field(default_factory=list)
    up: int = 0  # bytes that are new in this pass
    down: int = 0
    strangers: int = 0


def settle(
    db: Session,
    router_id: int,
    seen: Sequence[RouterSession],
    asked_at: datetime,
    now: datetime,
    *,
    off_since: datetime | None = None,
) -> Settled:
    """Book a router's list of sessions, asked for at `asked_at`, and act on what follows from it.

    Who has nothing left is ended here and closed out on the router; who should be online and is not (a reboot, a lost
    table) is promised to it again with what is left; who is online there without a right to be is closed out.
    `off_since` is when a router went off that has started anew since: until now nobody there was online.
    """
    settled = Settled()
    there = {session_id: s for s in seen if (session_id := admission.session_id_of(s.key)) is not None}
    settled.strangers = sum(1 for s in seen if s.key is None)
    collected = offline.collect(db, router_id, seen, now)
    there |= collected.readings
    settled.began, settled.ended, settled.events = collected.began, collected.ended, collected.events
    live = LIVE_AT.all(db, router_id=router_id)
    if off_since is not None:
        live = [_paused(db, session, there.get(session.id), off_since, asked_at, now) for session in live]
    readings = _book(db, live, there, now, settled)
    together = _together(db, router_id, live)
    settled.up, settled.down = (sum(new[side] for new in readings.values()) for side in (0, 1))
    for session in live:
        new, running = readings.get(session.id, (0, 0)), together.get(session.voucher_id, [session])
        _judge(db, session, there.get(session.id), new, running, asked_at, now, off_since, settled)
    settled.news = _news(db, live, readings, settled)
    known = {session.id for session in live}
    for session_id, session in there.items():
        if session_id not in known and not _promised(db, admission.KICK, session_id, router_id):
            _close_out(db, session_id, router_id, session, now)
    return settled


def _news(db: Session, live: Sequence[Any], new: dict[int, tuple[int, int]], settled: Settled) -> list[Event]:
    """What has become of the sessions that moved bytes and go on: from the rows at hand, for they are locked. Unless
    others have begun, which may have ended some of them."""
    told = set(settled.moved).difference(settled.ended, settled.began)
    if settled.began:
        return admission.changes(db, sorted(told), urgent=False)
    return [SessionChanged(moved_out(row, *new[row.id]), urgent=False) for row in live if row.id in told]


def _together(db: Session, router_id: int, live: Sequence[Any]) -> dict[int, list[Any]]:
    """By card, the sessions whose time runs together: of those cards only that have more than one device's."""
    if not any(session.kind == "used_time" and session.devices_at_once > 1 for session in live):
        return {}
    found: dict[int, list[Any]] = {}
    for session in SHARED_TIME.all(db, router_id=router_id):
        found.setdefault(session.voucher_id, []).append(session)
    return found


def _paused(
    db: Session, session: Any, reading: RouterSession | None, off_since: datetime, asked_at: datetime, now: datetime
) -> Any:
    """A session as it stands without the time that its router was off: a card of used time is not charged with it."""
    if session.kind != "used_time" or session.state != "online" or not _is_missing(session, reading, asked_at):
        return session
    away = now - max(off_since, session.start_time)
    if away <= timedelta(0):
        return session
    active_at = (session.active_at or session.start_time) + away
    paused = session._replace(start_time=session.start_time + away, active_at=active_at)
    PAUSE.run(db, id=paused.id, start_time=paused.start_time, active_at=active_at)
    return paused


def _book(
    db: Session, live: Sequence[Any], there: dict[int, RouterSession], now: datetime, settled: Settled
) -> dict[int, tuple[int, int]]:
    """Book the new bytes of all sessions, together; the answer is what is new by session."""
    sessions: list[dict[str, Any]] = []
    cards: dict[int, list[int]] = {}
    new: dict[int, tuple[int, int]] = {}
    for session in live:
        reading = there.get(session.id)
        if reading is None or session.state != "online":
            continue
        before = rules.Reading(session.seen_epoch, session.seen_up, session.seen_down)
        newest, up, down = rules.booked(before, rules.Reading(reading.epoch, reading.up, reading.down))
        moved = up + down > 0
        new[session.id] = (up, down)
        if moved or _is_here_uncounted(reading) or newest != before:
            sessions.append(
                {
                    "id": session.id,
                    "up": up,
                    "down": down,
                    "seen_up": newest.up,
                    "seen_down": newest.down,
                    "epoch": newest.epoch,
                    "now": now,
                    "active_at": now if moved or _is_here_uncounted(reading) else session.active_at,
                }
            )
        if moved:
            settled.moved.append(session.id)
            sums = cards.setdefault(session.voucher_id, [0, 0])
            sums[0] += up
            sums[1] += down
    by_card = [{"id": card_id, "up": up, "down": down, "seconds": 0} for card_id, (up, down) in sorted(cards.items())]
    claiming.BOOK.run_many(db, by_card)
    BOOK_SESSIONS.run_many(db, sessions)
    return new


def _judge(
    db: Session,
    session: Any,
    reading: RouterSession | None,
    new: tuple[int, int],
    running: Sequence[Any],
    asked_at: datetime,
    now: datetime,
    off_since: datetime | None,
    settled: Settled,
) -> None:
    """What becomes of one session after this reading; `running` are those of its card, itself among them."""
    opening = session.state == "opening"
    if opening and reading is not None and not reading.raw.get("ended"):
        _found_online(db, session, reading, now, settled)
        return
    cause, ended_at = why_over(db, session, new, now, running)
    if cause is None and reading is not None and reading.raw.get("ended") == "data":
        cause, ended_at = rules.DATA_SPENT, now  # the gateway stops just short of the last packet
    if (
        cause is None
        and not opening
        and any(new) is False
        and not _is_here_uncounted(reading)
        and session.kind == "used_time"
        and rules.is_silent(session, session.idle_timeout_seconds, now)
    ):
        cause = rules.NAS_REBOOT if _never_came_back(db, session) else rules.IDLE_TIMEOUT
        ended_at = session.active_at
    if cause is not None:
        if end_session(db, session.id, cause, now, ended_at):
            settled.ended.append(session.id)
            admission.kick(db, session.router_id, session.id, now)
            if session.router_key is not None and cause != rules.IDLE_TIMEOUT:
                cards.let_go(db, session.voucher_id, session.router_id, now)  # else the router would serve it again
    elif session.router_key is not None and _is_missing(session, reading, asked_at):
        left_by = rules.NAS_REBOOT if off_since is not None else offline.UNKNOWN  # the latter by the router's own page
        if end_session(db, session.id, left_by, now, session.seen_at):
            settled.ended.append(session.id)
    elif not opening and _is_missing(session, reading, asked_at) and _may_be_let_in_again(db, session):
        payload = {admission.RESTARTED: True} if off_since is not None else None
        promise(db, session.router_id, admission.ADMIT, session.id, now, payload=payload)
        settled.readmitted.append(session.id)


def _never_came_back(db: Session, session: Any) -> bool:
    """Whether its router has started anew, and the device has not been let in since."""
    promised = admission.open_admit(db, session.id)
    return promised is not None and promised.restarted


def why_over(
    db: Session, session: Any, new: tuple[int, int], now: datetime, running: Sequence[Any] | None = None
) -> tuple[str | None, datetime | None]:
    """Why a session has to end now, and when that was; (None, None) when it goes on. `running` are the live sessions of
    its card, itself among them; read here where the caller has not."""
    if session.disabled_at is not None:
        return rules.ADMIN_RESET, now
    if running is None:
        running = [session] if session.devices_at_once == 1 else LIVE.all(db, voucher_id=session.voucher_id)
    with_new = session._replace(bytes_up=session.bytes_up + new[0], bytes_down=session.bytes_down + new[1])
    left = rules.left_on(with_new, end_as_used(session, now), running, now)
    if left.data_spent:
        return rules.DATA_SPENT, now
    if left.spent:
        over = session.over_at
        return rules.SESSION_TIMEOUT, min(now, over) if over is not None else now
    return None, None


def _is_here_uncounted(reading: RouterSession | None) -> bool:
    """Whether a device is there on a gateway that counts no bytes meanwhile: then it cannot be called silent."""
    raw = reading.raw if reading is not None else {}
    return "uncounted" in raw and not raw.get("ended") and not raw.get("away")


def _is_missing(session: Any, reading: RouterSession | None, asked_at: datetime) -> bool:
    """Whether a session that should be online was not there when the router was asked."""
    if session.start_time is None or session.start_time >= asked_at:
        return False
    return reading is None or bool(reading.raw.get("ended"))


def _may_be_let_in_again(db: Session, session: Any) -> bool:
    """Not twice, and not when its device has taken another card, whose start we may not have heard of yet."""
    promised = _promised(db, admission.ADMIT, session.id, session.router_id)
    return not promised and not admission.has_newer(db, session)


def _found_online(db: Session, session: Any, reading: RouterSession, now: datetime, settled: Settled) -> None:
    """The router had let it in, and we died before we could write that down: its time began then."""
    started = max(session.created_at, now - timedelta(seconds=reading.uptime_s))
    card = claiming.BY_ID.first(db, id=session.voucher_id)
    admission.mark_online(db, card, session, session.router_id, reading, started)
    admission.end_others(db, session, now)
    admission.close_handed(db, session.id, now)
    settled.began.append(session.id)


def _close_out(db: Session, session_id: int, router_id: int, seen: RouterSession, now: datetime) -> None:
    """Somebody is online by a session that is over, or has gone on elsewhere."""
    session = admission.SESSION.first(db, id=session_id)
    if session is not None:
        admission.kick(db, router_id, session_id, now)


def _promised(db: Session, kind: str, session_id: int, router_id: int) -> bool:
    return OPEN_JOB.first(db, kind=kind, ref=session_id, router_id=router_id) is not None
