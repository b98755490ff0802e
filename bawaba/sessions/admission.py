"""Opening and closing access on the router: the kinds of promised work that sessions bring."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.events import Event
from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement
from bawaba.routers.devices import MAC
from bawaba.routers.driver import (
    Awaited,
    Client,
    Grant,
    Handoff,
    Limits,
    RouterProtocolError,
    RouterSession,
    Unsupported,
)
from bawaba.routers.models import RouterJob
from bawaba.routers.promises import EXPRESS_S, HANDED, Ask, Kind, Promised, mark_done, promise
from bawaba.sessions import queries, rules
from bawaba.sessions.ending import LIVE, end_session
from bawaba.sessions.events import SessionChanged
from bawaba.sessions.schemas import online_out, session_out
from bawaba.vouchers import claiming
from bawaba.vouchers.rules import end_as_used

ADMIT = "admit"
KICK = "kick"
DROP = "drop"
KEY = "session:"
RESTARTED = "restarted"  # in a promise's payload: the device is let in again after its router has started anew
SEEN = "seen"  # in a kick's payload: epoch, up and down as they were booked of the router that the session has left

SELECT_SESSION = (
    "SELECT id, site_id, voucher_id, router_id, client_mac, client_ip, state, start_time, ended_at, rev, seen_up, "
    "seen_down, seen_epoch, bytes_up, bytes_down, router_key FROM guest_session WHERE id = :id"
)
SESSION_COLUMNS = (
    "id site_id voucher_id router_id client_mac client_ip state start_time ended_at rev seen_up seen_down seen_epoch "
    "bytes_up bytes_down router_key"
)
SESSION = Statement(SELECT_SESSION, SESSION_COLUMNS, ("start_time", "ended_at"))
SESSION_TO_CHANGE = Statement(f"{SELECT_SESSION} {{lock}}", SESSION_COLUMNS, ("start_time", "ended_at"))
ONLINE = Statement(
    "UPDATE guest_session SET state = 'online', router_id = :router_id, start_time = COALESCE(start_time, :now), "
    "end_time = :end_time, seen_up = :up, seen_down = :down, seen_epoch = :epoch, seen_at = :now, active_at = :now, "
    "rev = rev + 1 WHERE id = :id AND ended_at IS NULL"
)
OTHERS_OF_DEVICE = Statement(
    "SELECT o.id, o.router_id FROM guest_session mine "
    "JOIN guest_session o ON o.site_id = mine.site_id AND o.client_mac = mine.client_mac "
    "WHERE mine.id = :id AND o.ended_at IS NULL AND o.id <> mine.id",
    "id router_id",
)
NEWER_OF_DEVICE = Statement(
    "SELECT 1 FROM guest_session "
    "WHERE site_id = :site_id AND client_mac = :mac AND ended_at IS NULL AND id > :id LIMIT 1"
)
OPEN_ADMIT = Statement(
    "SELECT id, router_id, payload FROM router_job WHERE kind = 'admit' AND ref = :ref AND state = 'open' "
    "ORDER BY id DESC LIMIT 1",
    "id router_id payload",
)
LATER_ADMIT = Statement("SELECT 1 FROM router_job WHERE kind = 'admit' AND ref = :ref AND id > :id LIMIT 1")
MOVE = Statement(
    "UPDATE guest_session SET router_id = :router_id, client_ip = :ip, state = 'opening', seen_up = :up, "
    "seen_down = :down, seen_epoch = :epoch, router_key = NULL WHERE id = :id"
)
KICK_THERE = Statement(
    "SELECT id, payload FROM router_job WHERE kind = 'kick' AND ref = :ref AND router_id = :router_id "
    "AND state <> 'done' ORDER BY id DESC LIMIT 1",
    "id payload",
)
KICK_PAYLOAD = Statement("SELECT payload FROM router_job WHERE id = :id", "payload")
COUNT = Statement(
    "UPDATE guest_session SET bytes_up = bytes_up + :up, bytes_down = bytes_down + :down, seen_up = :seen_up, "
    "seen_down = :seen_down, seen_epoch = :epoch, told = 0 WHERE id = :id"
)


@dataclass(frozen=True, slots=True)
class AdmitWork:
    """A device to let in, and what it may use. `handed`: its browser was given the gateway's form before."""

    grant: Grant
    client: Client
    handed: bool = False


@dataclass(frozen=True, slots=True)
class Online:
    """What has become of a session whose device is in."""

    start_time: datetime
    end_time: datetime | None
    bytes_up: int
    bytes_down: int
    state: str = "online"


def key_of(session_id: int) -> str:
    """A session's key in ownership tags and on the gateway."""
    return f"{KEY}{session_id}"


def session_id_of(key: str | None) -> int | None:
    """The session that a key names; None for anything else."""
    digits = (key or "").removeprefix(KEY)
    return int(digits) if key and key.startswith(KEY) and digits.isdigit() else None


def device_client(device: str, ip: str | None, site_ref: Mapping[str, str] | None = None) -> Client:
    """A device in the drivers' words; one that is known by its address only has no MAC."""
    return Client(device if MAC.fullmatch(device) else None, ip, site_ref=site_ref or {})


def work_for(
    session_id: int, rev: int, card: Any, left: rules.Left, client: Client, *, handed: bool = False
) -> AdmitWork:
    """What a router is told: durations and bytes still allowed, never its own idea of the date."""
    limits = Limits(
        uptime_s=left.seconds,
        bytes_total=left.bytes_total,
        bytes_up=left.bytes_up,
        bytes_down=left.bytes_down,
        rate_up_kbps=card.rate_up_kbps,
        rate_down_kbps=card.rate_down_kbps,
    )
    grant = Grant(key_of(session_id), rev, login=card.serial, limits=limits, plan=card.plan_name)
    return AdmitWork(grant, client, handed)


def payload_of(client: Client) -> dict[str, Any]:
    """What a promise to admit remembers of the gateway's redirect, for when it is kept later."""
    return {"site_ref": dict(client.site_ref)} if client.site_ref else {}


def kick(db: Session, router_id: int, session_id: int, now: datetime, *, express: bool = False) -> Promised:
    """Promise to close a session's access on a router; `express`: the caller delivers it."""
    return promise(db, router_id, KICK, session_id, now, express=express)


def move_session(db: Session, session_id: int, router_id: int, ip: str | None, now: datetime) -> None:
    """A device roamed to another router of its site: the one that it leaves is to close it out, the other one counts
    from zero. Unless it was there before, and that router was not reached since: it goes on from where it was."""
    left = SESSION.first(db, id=session_id)
    seen = [left.seen_epoch, left.seen_up, left.seen_down]
    promise(db, left.router_id, KICK, left.id, now, payload={SEEN: seen} if left.router_key is None else {})
    epoch, up, down = _take_up_again(db, session_id, router_id, now)
    MOVE.run(db, id=session_id, router_id=router_id, ip=ip, epoch=epoch, up=up, down=down)


def _take_up_again(db: Session, session_id: int, router_id: int, now: datetime) -> list[int]:
    """What was booked of a session at the router that it comes back to; closing it out there has no sense any more."""
    waiting = KICK_THERE.first(db, ref=session_id, router_id=router_id)
    if waiting is None:
        return [0, 0, 0]
    mark_done(db, waiting.id, now)
    return _seen_in(waiting) or [0, 0, 0]


def _seen_in(job: Any) -> list[int] | None:
    found: list[int] | None = _payload(job).get(SEEN)
    return found


def _payload(job: Any) -> dict[str, Any]:
    """A job's payload, which comes as text from SQLite."""
    payload: dict[str, Any] = json.loads(job.payload) if isinstance(job.payload, str) else job.payload
    return payload


@dataclass(frozen=True, slots=True)
class OpenAdmit:
    """A promise to let a session's device in that is still to be kept."""

    job: Promised
    handed: bool
    restarted: bool


def open_admit(db: Session, session_id: int) -> OpenAdmit | None:
    """The newest promise to let a session's device in that is not kept yet."""
    row = OPEN_ADMIT.first(db, ref=session_id)
    if row is None:
        return None
    payload = _payload(row)
    job = Promised(row.id, row.router_id, ADMIT, session_id)
    return OpenAdmit(job, bool(payload.get(HANDED)), bool(payload.get(RESTARTED)))


def is_handed(db: Session, session_id: int) -> bool:
    """Whether the device's own browser has to finish letting it in."""
    found = open_admit(db, session_id)
    return found is not None and found.handed


def ask_again(db: Session, job_id: int, client: Client, now: datetime) -> None:
    """The guest is back with a newer redirect: the caller tries the promise again, and the outbox waits for that."""
    job = db.get_one(RouterJob, job_id)
    job.payload = {**job.payload, **payload_of(client)}
    job.next_try_at = now + timedelta(seconds=EXPRESS_S)


def close_handed(db: Session, session_id: int, now: datetime) -> None:
    """The device is in: what was handed to its browser is done."""
    wanted = select(RouterJob).where(RouterJob.kind == ADMIT, RouterJob.ref == session_id, RouterJob.state == "open")
    for job in db.scalars(wanted):
        if job.payload.get(HANDED):
            job.state, job.done_at = "done", now


def _is_outdated(db: Session, job: Promised) -> bool:
    return LATER_ADMIT.first(db, ref=job.ref, id=job.id) is not None


def has_newer(db: Session, session: Any) -> bool:
    """Whether the device has gone on with another card since."""
    return NEWER_OF_DEVICE.first(db, site_id=session.site_id, mac=session.client_mac, id=session.id) is not None


def prepare_admit(db: Session, job: Promised, now: datetime) -> AdmitWork | None:
    """The admit as things stand now: with what is left now, or nothing at all when the session is over, or was promised
    anew since."""
    session = SESSION.first(db, id=job.ref)
    if session is None or session.ended_at is not None or _is_outdated(db, job):
        return None
    card = claiming.LOOK_BY_ID.first(db, id=session.voucher_id)
    left = rules.left_on(card, end_as_used(card, now), LIVE.all(db, voucher_id=card.id), now)
    if left.spent:
        return None
    kept = db.get(RouterJob, job.id)
    payload = kept.payload if kept is not None else {}
    client = device_client(session.client_mac, session.client_ip, payload.get("site_ref"))
    return work_for(session.id, session.rev, card, left, client, handed=bool(payload.get(HANDED)))


async def configure_client_access(ask: Ask, work: AdmitWork) -> RouterSession | Handoff | Awaited:
    """Open access for a guest's device on its router, or say which form its own browser has to send there, or that the
    router comes for it.

    Where the form was given out before, the router is looked at first: the browser may have sent it.
    """
    if work.handed and (there := await _there(ask, work.grant.key)) is not None:
        return there
    answer = await ask("admit", work.grant, work.client)
    if isinstance(answer, Handoff):
        if urlsplit(answer.action_url).scheme not in ("http", "https") or answer.method not in ("GET", "POST"):
            raise RouterProtocolError("the router's sign-in form is none that a browser may send")
        return answer
    assert isinstance(answer, RouterSession | Awaited)
    return answer


async def let_in_again(ask: Ask, work: AdmitWork) -> RouterSession | Handoff | Awaited:
    """After a try whose answer was lost: who is in already is not let in a second time."""
    return await _there(ask, work.grant.key) or await configure_client_access(ask, work)


async def _there(ask: Ask, key: str) -> RouterSession | None:
    """Who is online at the router by our key, where it can tell."""
    try:
        seen = await ask("sessions")
    except Unsupported:
        return None
    return next((session for session in seen if session.key == key and not session.raw.get("ended")), None)


def read_to_confirm(job: Promised) -> list[tuple[Statement, dict[str, Any]]]:
    """The card before its sessions: they are locked in this order everywhere."""
    mine = {"id": job.ref}
    return [(claiming.OF_SESSION, {"session_id": job.ref}), (SESSION_TO_CHANGE, mine), (OTHERS_OF_DEVICE, mine)]


def confirmed(
    db: Session, job: Promised, there: RouterSession, now: datetime, card: Any, session: Any, other: Any
) -> list[Event]:
    """The router let the device in: its time starts, unless it had started. A session that ended meanwhile, or went to
    another router, is closed again on this one."""
    if card is None:
        return []
    if session.ended_at is not None or (session.router_id != job.router_id and _is_outdated(db, job)):
        kick(db, job.router_id, session.id, now)
        return []
    online = mark_online(db, card, session, job.router_id, there, now)
    if other is not None:
        end_others(db, session, now)
    return [SessionChanged(online_out(session, card.serial, job.router_id, online), urgent=True)]


def end_others(db: Session, session: Any, now: datetime) -> None:
    """The same device by another card: it goes on with this one."""
    for other in OTHERS_OF_DEVICE.all(db, id=session.id):
        end_session(db, other.id, rules.MOVED, now)
        kick(db, other.router_id, other.id, now)


def mark_online(
    db: Session, card: Any, session: Any, router_id: int, there: RouterSession, started: datetime
) -> Online:
    """Write down that a device is in since `started`, and until when it may be."""
    over_at = claiming.confirm_first_use(db, card, started)
    live = LIVE.all(db, voucher_id=card.id) if card.kind == "used_time" else []
    left = rules.left_on(card, over_at, live, started)
    end_time = started + timedelta(seconds=left.seconds) if left.seconds is not None else None
    if over_at is not None and card.kind == "elapsed":
        end_time = over_at
    known = (session.router_id, session.seen_epoch) == (router_id, there.epoch)
    same_life = known and session.start_time is not None
    up, down = (session.seen_up, session.seen_down) if same_life else (0, 0)
    ONLINE.later(
        db, id=session.id, router_id=router_id, now=started, end_time=end_time, up=up, down=down, epoch=there.epoch
    )
    return Online(session.start_time or started, end_time, session.bytes_up, session.bytes_down)


def prepare_kick(db: Session, job: Promised, now: datetime) -> tuple[str, Client] | None:
    """Who is to be closed out; nobody when the session has come back to this router meanwhile."""
    session = SESSION.first(db, id=job.ref)
    if session is None or (session.ended_at is None and session.router_id == job.router_id):
        return None
    return session.router_key or key_of(session.id), device_client(session.client_mac, session.client_ip)


async def close_access(ask: Ask, work: tuple[str, Client]) -> RouterSession | None:
    """Close a device's access; its last exact counters, or None when it was not there any more."""
    key, client = work
    target = RouterSession(key, key, None, client, None, 0, 0, 0)
    answer = await ask("kick", target)
    return answer if isinstance(answer, RouterSession) else None


def _device_let_in(work: AdmitWork) -> str | None:
    return work.client.mac or work.client.ip


def _device_shut_out(work: tuple[int, Client]) -> str | None:
    return work[1].mac or work[1].ip


def kicked(db: Session, job: Promised, last: RouterSession | None, now: datetime) -> list[Event]:
    """Book what was moved up to the very end. Of a session that has gone on elsewhere too: from what was booked when it
    left, for the counters of two routers cannot be compared."""
    if last is None or claiming.OF_SESSION.first(db, session_id=job.ref) is None:  # locks the card, then its session
        return []
    session = SESSION_TO_CHANGE.first(db, id=job.ref)
    here = rules.Reading(session.seen_epoch, session.seen_up, session.seen_down)
    newest, up, down = rules.booked(here, rules.Reading(last.epoch, last.up, last.down))
    if session.router_id != job.router_id:
        seen = _seen_in(KICK_PAYLOAD.first(db, id=job.id))
        if seen is None:
            return []
        _, up, down = rules.booked(rules.Reading(*seen), rules.Reading(last.epoch, last.up, last.down))
        newest = here
    COUNT.run(db, id=session.id, up=up, down=down, seen_up=newest.up, seen_down=newest.down, epoch=newest.epoch)
    claiming.BOOK.run(db, id=session.voucher_id, up=up, down=down, seconds=0)
    return changes(db, [session.id], urgent=True)


def prepare_drop(db: Session, job: Promised, now: datetime) -> str | None:
    """What a session has left behind on a router; nothing when it has come back there."""
    session = SESSION.first(db, id=job.ref)
    if session is None or (session.ended_at is None and session.router_id == job.router_id):
        return None
    return key_of(session.id)


async def clear_away(ask: Ask, key: str) -> None:
    """Take what is left of a session off its router."""
    (result,) = await ask("drop", [key])
    if result.error is not None:
        raise result.error


def changes(db: Session, session_ids: Sequence[int], *, urgent: bool) -> list[Event]:
    """The news of some sessions as they stand."""
    if not session_ids:
        return []
    return [SessionChanged(session_out(row, row.serial), urgent) for row in db.execute(queries.shown(session_ids))]


def announce(rt: Runtime, session_ids: Sequence[int]) -> None:
    """Tell the news of sessions that have just ended or begun."""
    if session_ids:
        for event in rt.read(changes, session_ids, urgent=True):
            rt.publish(event)


def lock_card(db: Session, job: Promised) -> None:
    """The card of a promise's session, before the promise: always in this order (docs/decisions/lock-order.md)."""
    claiming.OF_SESSION.first(db, session_id=job.ref)


ADMIT_WORK = Kind(
    prepare_admit,
    configure_client_access,
    confirmed,
    read_to_confirm,
    spare_may=True,
    may_move=True,
    about=_device_let_in,
    deliver_again=let_in_again,
)
KICK_WORK = Kind(prepare_kick, close_access, kicked, about=_device_shut_out, lock=lock_card)
DROP_WORK = Kind(prepare_drop, clear_away, lambda _db, _job, _result, _now: (), bulk=True)
