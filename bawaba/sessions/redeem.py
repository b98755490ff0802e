"""Trading a card's code for time online: the one way in, whichever door the guest came through."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.orm import Session

from bawaba.core import tracing
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement, together
from bawaba.routers import cards
from bawaba.routers.driver import Client, Handoff
from bawaba.routers.errors import RouterUnreachableNow
from bawaba.routers.part import part
from bawaba.routers.promises import EXPRESS_S, Promised, mark_done, promise
from bawaba.sales.service import record_sale
from bawaba.sessions import admission, guessing, rules
from bawaba.sessions.admission import AdmitWork, device_client, kick
from bawaba.sessions.ending import LIVE, end_session
from bawaba.sessions.errors import DeviceBlocked, NothingToResume, TooManyDevices, TooManyTries, UnknownPlace
from bawaba.sessions.events import GuessingSuspected, SessionChanged
from bawaba.vouchers import claiming, codes
from bawaba.vouchers.errors import VoucherExpired, VoucherUnknown, VoucherUsed
from bawaba.vouchers.queries import code_digest
from bawaba.vouchers.rules import end_as_used

log = structlog.get_logger(__name__)
GUEST_WAIT_S = 1.5
RESUME_DAYS = 90

PLACE = Statement(
    "SELECT s.id, s.mode, s.time_zone, s.wrong_tries_per_minute, s.device_moves_per_day, r.status, r.breaker_until, "
    "r.failover_group, d.standing, m.id, m.blocked_until, w.tries, w.counted_at "
    "FROM router r JOIN site s ON s.id = r.site_id "
    "LEFT JOIN device d ON d.site_id = s.id AND d.mac = :device "
    "LEFT JOIN guess_meter m ON m.site_id = s.id AND m.device = :device "
    "LEFT JOIN guess_meter w ON w.site_id = s.id AND w.device = '' "
    "WHERE r.id = :router_id AND r.removed_at IS NULL",
    "site_id mode time_zone wrong_tries_per_minute device_moves_per_day router_status breaker_until failover_group "
    "standing device_meter device_blocked_until site_tries site_counted_at",
    ("breaker_until", "device_blocked_until", "site_counted_at"),
)
SPARE_UP = Statement(
    "SELECT 1 FROM router WHERE site_id = :site_id AND failover_group = :failover_group AND id <> :router_id "
    "AND status IN ('up', 'degraded') AND removed_at IS NULL "
    "AND (breaker_until IS NULL OR breaker_until <= :now) LIMIT 1"
)
WAS_HERE = Statement("SELECT 1 FROM guest_session WHERE voucher_id = :voucher_id AND client_mac = :mac LIMIT 1")
START = Statement(
    "INSERT INTO guest_session (site_id, voucher_id, router_id, client_mac, client_ip, state, used_seconds, bytes_up, "
    "bytes_down, seen_up, seen_down, seen_epoch, rev, created_at) "
    "VALUES (:site_id, :voucher_id, :router_id, :mac, :ip, 'opening', 0, 0, 0, 0, 0, 0, 1, :now) RETURNING id",
    "id",
)
BEGIN = Statement(  # PostgreSQL: claim, sale, session and promise in one go
    "WITH card AS (UPDATE voucher SET status = 'used', "
    "claimed_at = CASE WHEN status = 'unused' THEN :now ELSE claimed_at END, "
    "over_at = CASE WHEN status = 'unused' THEN ends_at ELSE over_at END, "
    "devices_seen = devices_seen + :new_devices WHERE id = :voucher_id "
    "RETURNING id, site_id, plan_version_id, price_minor, currency, is_free), "
    "sold AS (INSERT INTO sale (voucher_id, site_id, plan_version_id, price_minor, currency, sold_at) "
    "SELECT id, site_id, plan_version_id, price_minor, currency, :now FROM card WHERE NOT is_free "
    "ON CONFLICT (voucher_id) DO NOTHING), "
    "session AS (INSERT INTO guest_session (site_id, voucher_id, router_id, client_mac, client_ip, state, "
    "used_seconds, bytes_up, bytes_down, seen_up, seen_down, seen_epoch, rev, created_at) "
    "SELECT site_id, id, :router_id, :mac, :ip, 'opening', 0, 0, 0, 0, 0, 0, 1, :now FROM card RETURNING id), "
    "job AS (INSERT INTO router_job (router_id, kind, ref, payload, state, attempts, next_try_at, created_at, "
    "request_id) SELECT :router_id, 'admit', id, CAST(:payload AS JSON), 'open', 0, :next_try_at, :now, :request_id "
    "FROM session RETURNING id) "
    "SELECT session.id, job.id FROM session, job",
    "session_id job_id",
)
ASKED_FOR = Statement("UPDATE guest_session SET seen_at = :now WHERE id = :id")
LAST_CARD = Statement(
    "SELECT voucher_id FROM guest_session WHERE site_id = :site_id AND client_mac = :mac AND created_at > :since "
    "ORDER BY created_at DESC, id DESC LIMIT 1",
    "voucher_id",
)


@dataclass(frozen=True, slots=True)
class Guest:
    """Who asks, and where: the router's id and the device as it knows it (the address where it knows no MAC).
    `site_ref` is what the gateway's redirect carried beside that (`driver.Client`). `asked_by_router`: it is the router
    that asks, so it is there, whether it takes orders of ours or not."""

    router_id: int
    mac: str
    ip: str | None
    site_ref: Mapping[str, str] = field(default_factory=dict)
    asked_by_router: bool = False

    @property
    def client(self) -> Client:
        """The device in the drivers' words."""
        return device_client(self.mac, self.ip, self.site_ref)


@dataclass(frozen=True, slots=True)
class Redemption:
    """What a guest got. `start_time` and `end_time` are None while the router has not confirmed; `handoff` is what the
    guest's own browser has to send to the router for that."""

    session_id: int
    voucher_id: int
    serial: str
    resumed: bool
    status: str  # online, opening
    start_time: datetime | None = None
    end_time: datetime | None = None
    remaining_seconds: int | None = None
    remaining_bytes: int | None = None
    handoff: Handoff | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a router that asks for its guest itself is told; `work` has the limits as they stand."""

    redemption: Redemption
    work: AdmitWork
    idle_timeout_s: int


@dataclass
class Outcome:
    """What the transaction came to: a redemption with work for the router, or the refusal to give."""

    redemption: Redemption | None = None
    refusal: Problem | None = None
    job: Promised | None = None
    work: AdmitWork | None = None
    crossed: list[str] = field(default_factory=list)
    site_id: int = 0
    ended: list[int] = field(default_factory=list)


def redeem(rt: Runtime, code: str, guest: Guest, *, move: bool = False) -> Redemption:
    """Trade a voucher code for time online. Raises the refusals of the API's table, the first that fits.

    The card is claimed, the session written and the router's work promised in one transaction; the router hears of it
    only after the commit. Time starts when the router confirms, so a silent router costs the guest nothing.
    """
    return carry_out(rt, guest, rt.transact(_redeem, rt, code, guest, move, rt.clock.now()))


def resume(rt: Runtime, guest: Guest, *, move: bool = False) -> Redemption:
    """Go on with the card that this device last used here, without typing it again. Raises `NothingToResume`."""
    return carry_out(rt, guest, rt.transact(_resume, guest, move, rt.clock.now()))


def look_again(rt: Runtime, guest: Guest) -> Redemption | None:
    """See whether the router has let in a device whose own browser was to sign in there; None when it waits for no such
    thing. Else the redemption is online now, or says again which form to send."""
    outcome = rt.transact(_look_again, guest, rt.clock.now())
    return None if outcome is None else carry_out(rt, guest, outcome)


def answer_router(rt: Runtime, guest: Guest, code: str | None) -> Answer:
    """Let a router that asks for its guest itself (RADIUS) know what the guest may have: by a code, or (None) by the
    card that the device last used here. The answer is the delivery, so nothing stays promised to the router; time
    starts when it reports the session. Raises what `redeem` and `resume` raise."""
    guest = replace(guest, asked_by_router=True)
    outcome, answer = rt.transact(_answer_router, rt, guest, code, rt.clock.now())
    _made_known(rt, outcome)
    assert answer is not None
    return answer


def _answer_router(
    db: Session, rt: Runtime, guest: Guest, code: str | None, now: datetime
) -> tuple[Outcome, Answer | None]:
    outcome = _resume(db, guest, False, now) if code is None else _redeem(db, rt, code, guest, False, now)
    redemption = outcome.redemption
    if redemption is None:
        return outcome, None
    if outcome.job is not None:
        mark_done(db, outcome.job.id, now)
    if redemption.status == "opening":
        ASKED_FOR.run(db, id=redemption.session_id, now=now)
    card = claiming.BY_ID.first(db, id=redemption.voucher_id)
    work = outcome.work or _work_as_it_stands(db, redemption.session_id, card, guest, now)
    return outcome, Answer(redemption, work, card.idle_timeout_seconds)


def _work_as_it_stands(db: Session, session_id: int, card: Any, guest: Guest, now: datetime) -> AdmitWork:
    session = admission.SESSION.first(db, id=session_id)
    left = rules.left_on(card, end_as_used(card, now), LIVE.all(db, voucher_id=card.id), now)
    return admission.work_for(session.id, session.rev, card, left, guest.client)


def _made_known(rt: Runtime, outcome: Outcome) -> Redemption:
    """Tell what has happened, and answer with what the guest got. Raises the refusal."""
    for device in outcome.crossed:
        rt.publish(GuessingSuspected(outcome.site_id, device))
    if outcome.refusal is not None:
        raise outcome.refusal
    redemption = outcome.redemption
    assert redemption is not None
    admission.announce(rt, outcome.ended)
    if outcome.ended:
        part(rt).wake()
    return redemption


def carry_out(rt: Runtime, guest: Guest, outcome: Outcome) -> Redemption:
    redemption = _made_known(rt, outcome)
    if outcome.job is None:
        return redemption
    delivered = part(rt).deliver(outcome.job, outcome.work, GUEST_WAIT_S)
    if delivered is None:
        return redemption
    if isinstance(delivered.result, Handoff):
        return replace(redemption, handoff=delivered.result)
    for event in delivered.events:
        if isinstance(event, SessionChanged) and event.session["id"] == redemption.session_id:
            return _as_confirmed(redemption, event.session, rt.clock.now())
    return redemption


def _redeem(db: Session, rt: Runtime, typed: str, guest: Guest, move: bool, now: datetime) -> Outcome:
    """The whole decision as one step; a refusal is an answer here, so that a counted try is committed with it.

    The card is read together with the place, and nobody looks at it whose device has to wait.
    """
    asked = _by_code(rt, typed)
    place, card = _place_and(db, guest, asked) if isinstance(asked, tuple) else (place_of(db, guest), None)
    if wait_s := guessing.wait_s(db, place, guest.mac, now):
        return Outcome(refusal=TooManyTries(retry_after_s=wait_s))
    if not isinstance(asked, tuple):
        return Outcome(refusal=asked)
    if card is None:
        crossed = guessing.count_wrong(db, place.site_id, guest.mac, place.wrong_tries_per_minute, now)
        return Outcome(refusal=VoucherUnknown(), crossed=crossed, site_id=place.site_id)
    outcome = use_card(db, card, place, guest, move, now)
    if outcome.refusal is None and card.status == "unused" and place.device_meter is not None:
        guessing.forgive_device(db, place.site_id, guest.mac)  # a card in use, typed over and over, forgives nothing
    return outcome


def _by_code(rt: Runtime, typed: str) -> tuple[Statement, dict[str, Any]] | codes.CodeMalformed:
    """How to find the card of a code; the refusal where it can be none."""
    try:
        return claiming.BY_CODE, {"digest": code_digest(rt.keyring, codes.parse(typed).text)}
    except codes.CodeMalformed as malformed:
        return malformed


def place_of(db: Session, guest: Guest) -> Any:
    """All about the place, read when no other request of this device is under way."""
    return _place_and(db, guest)[0]


def _place_and(db: Session, guest: Guest, *also: tuple[Statement, dict[str, Any]]) -> list[Any]:
    """All about the place, and the first row of whatever is asked for `also`, in one go."""
    asked = (PLACE, {"router_id": guest.router_id, "device": guest.mac})
    alone = () if db.info["sqlite"] else ((guessing.ONE_AT_A_TIME, {"device": guest.mac}),)
    rows = together(db, *alone, asked, *also)[len(alone) :]
    if rows[0] is None:
        raise UnknownPlace()  # the router has just been removed
    return rows


def _resume(db: Session, guest: Guest, move: bool, now: datetime) -> Outcome:
    place = place_of(db, guest)
    since = now - timedelta(days=RESUME_DAYS)
    last = LAST_CARD.first(db, site_id=place.site_id, mac=guest.mac, since=since)
    if last is None:
        return Outcome(refusal=NothingToResume())
    return use_card(db, claiming.BY_ID.first(db, id=last.voucher_id), place, guest, move, now)


def _look_again(db: Session, guest: Guest, now: datetime) -> Outcome | None:
    place = place_of(db, guest)
    since = now - timedelta(days=RESUME_DAYS)
    last = LAST_CARD.first(db, site_id=place.site_id, mac=guest.mac, since=since)
    live = LIVE.all(db, voucher_id=last.voucher_id) if last is not None else []
    mine = next((session for session in live if session.client_mac == guest.mac), None)
    if mine is None or not admission.is_handed(db, mine.id):
        return None
    card = claiming.BY_ID.first(db, id=last.voucher_id)
    left = rules.left_on(card, end_as_used(card, now), live, now)
    return None if left.spent else _go_on(db, card, mine, left, guest, place, now)


def use_card(db: Session, card: Any, place: Any, guest: Guest, move: bool, now: datetime) -> Outcome:
    """Let a device use a card: the refusals after "not found", in the order of the API's table."""
    refusal = claiming.validate_voucher(card, place.site_id, now)
    if refusal is None and place.standing == "blocked":
        refusal = DeviceBlocked()
    if refusal is not None:
        return Outcome(refusal=refusal)
    fresh = card.status == "unused"  # then it has no sessions yet
    live = [] if fresh else LIVE.all(db, voucher_id=card.id)
    left = rules.left_on(card, end_as_used(card, now), live, now)
    if left.spent:
        return Outcome(refusal=VoucherExpired() if left.seconds == 0 and card.kind == "elapsed" else VoucherUsed())
    mine = next((session for session in live if session.client_mac == guest.mac), None)
    if mine is not None:
        return _go_on(db, card, mine, left, guest, place, now)
    new_device = fresh or WAS_HERE.first(db, voucher_id=card.id, mac=guest.mac) is None
    if new_device and card.devices_ever is not None and card.devices_seen >= card.devices_ever:
        return Outcome(refusal=TooManyDevices(ever=card.devices_ever, may_move=False))
    leaving = _make_room(card, live, place, move, now)
    if leaving is None:
        since, may_move = live[0].start_time, _may_move(card, place, now)
        return Outcome(refusal=TooManyDevices(at_once=card.devices_at_once, since=since, may_move=may_move))
    if _is_away(place, guest, now) and not _has_spare(db, place, guest.router_id, now):
        return Outcome(refusal=RouterUnreachableNow())
    ended = _let_go(db, card, leaving, move, place, now)
    if ended:  # what they used is booked now
        card = claiming.BY_ID.first(db, id=card.id)
        left = rules.left_on(card, end_as_used(card, now), LIVE.all(db, voucher_id=card.id), now)
    if place.mode == "router_held":
        cards.let_go_elsewhere(db, card.id, [session.router_id for session in live], now)
    return _begin(db, card, left, guest, new_device, ended, now)


def _make_room(card: Any, live: Sequence[Any], place: Any, move: bool, now: datetime) -> list[Any] | None:
    """Who has to go so that this device fits; None when nobody can be sent away."""
    silent = rules.who_makes_room(live, card.devices_at_once, card.idle_timeout_seconds, now)
    if silent is None and move and _may_move(card, place, now):
        return [live[0]]
    return silent


def _may_move(card: Any, place: Any, now: datetime) -> bool:
    return rules.may_move(card.moved_on, card.moves_that_day, place.device_moves_per_day, today_at(place, now))


def today_at(place: Any, now: datetime) -> date:
    return now.astimezone(ZoneInfo(place.time_zone)).date()


def _let_go(db: Session, card: Any, leaving: Sequence[Any], move: bool, place: Any, now: datetime) -> list[int]:
    """End the sessions that make room: silent ones get their silent tail back, a moved one counts as a move."""
    for session in leaving:
        silent = rules.is_silent(session, card.idle_timeout_seconds, now)
        end_session(db, session.id, rules.IDLE_TIMEOUT if silent else rules.MOVED, now)
        if move and not silent:
            today = today_at(place, now).isoformat()
            moves = card.moves_that_day + 1 if card.moved_on == today else 1
            claiming.MOVED.run(db, id=card.id, today=today, moves=moves)
        kick(db, session.router_id, session.id, now)
    return [session.id for session in leaving]


def _begin(
    db: Session, card: Any, left: rules.Left, guest: Guest, new_device: bool, ended: list[int], now: datetime
) -> Outcome:
    """A new session: claim the card, write session, sale and promise."""
    session_id, job = _write_beginning(db, card, guest, new_device, now)
    if card.status == "unused":
        claiming.tell_redeemed(db, card, guest.router_id, guest.mac, now)
    redemption = Redemption(session_id, card.id, card.serial, False, "opening", remaining_bytes=left_bytes(left))
    work = admission.work_for(session_id, 1, card, left, guest.client)
    return Outcome(redemption, job=job, work=work, ended=ended)


def _write_beginning(db: Session, card: Any, guest: Guest, new_device: bool, now: datetime) -> tuple[int, Promised]:
    """The rows of a new session: its id, and the promise to its router."""
    if not db.info["sqlite"]:
        row = BEGIN.first(
            db, voucher_id=card.id, new_devices=int(new_device), router_id=guest.router_id, mac=guest.mac, ip=guest.ip,
            payload=json.dumps(admission.payload_of(guest.client)), now=now,
            next_try_at=now + timedelta(seconds=EXPRESS_S), request_id=tracing.request_id(),
        )  # fmt: skip
        return row.session_id, Promised(row.job_id, guest.router_id, admission.ADMIT, row.session_id)
    if claiming.claim(db, card, new_device, now):
        record_sale(db, card.id, now)
    session = START.first(
        db, site_id=card.site_id, voucher_id=card.id, router_id=guest.router_id, mac=guest.mac, ip=guest.ip, now=now
    )
    payload = admission.payload_of(guest.client)
    return session.id, promise(db, guest.router_id, admission.ADMIT, session.id, now, express=True, payload=payload)


def _go_on(db: Session, card: Any, mine: Any, left: rules.Left, guest: Guest, place: Any, now: datetime) -> Outcome:
    """The same device again: the same session goes on, nothing is charged. At another router it moves there, unless
    that one is down and the session is on its spare. What was handed to its browser is looked at again; where nobody is
    at work any more on letting it in, work is promised again."""
    waiting = Redemption(mine.id, card.id, card.serial, True, "opening", remaining_bytes=left_bytes(left))
    stays = mine.router_id == guest.router_id or _is_away(place, guest, now)
    if stays and mine.state == "online":
        start, end = mine.start_time, mine.end_time
        going_on = replace(waiting, status="online", start_time=start, end_time=end, remaining_seconds=left.seconds)
        return Outcome(going_on)
    promised = admission.open_admit(db, mine.id) if stays else None
    if promised is not None and not promised.handed:
        return Outcome(waiting)
    if promised is not None:
        admission.ask_again(db, promised.job.id, guest.client, now)
        work = admission.work_for(mine.id, 2, card, left, guest.client, handed=True)
        return Outcome(waiting, job=promised.job, work=work)
    if not stays:
        cards.let_go(db, card.id, mine.router_id, now)
        admission.move_session(db, mine.id, guest.router_id, guest.ip, now)
    router_id = mine.router_id if stays else guest.router_id
    payload = admission.payload_of(guest.client)
    job = promise(db, router_id, admission.ADMIT, mine.id, now, express=True, payload=payload)
    return Outcome(waiting, job=job, work=admission.work_for(mine.id, 2, card, left, guest.client))


def _is_away(place: Any, guest: Guest, now: datetime) -> bool:
    """Whether the router is known not to answer: down, or left alone by a person or for now."""
    if guest.asked_by_router:
        return False
    return place.router_status in ("down", "maintenance") or (
        place.breaker_until is not None and now < place.breaker_until
    )


def _has_spare(db: Session, place: Any, router_id: int, now: datetime) -> bool:
    if not place.failover_group:
        return False
    group = place.failover_group
    return SPARE_UP.first(db, site_id=place.site_id, failover_group=group, router_id=router_id, now=now) is not None


def _as_confirmed(redemption: Redemption, session: dict[str, Any], now: datetime) -> Redemption:
    """The redemption as it stands after the router confirmed."""
    end_time = session["end_time"]
    seconds = int((end_time - now).total_seconds()) if end_time is not None else None
    return replace(
        redemption,
        status=session["state"],
        start_time=session["start_time"],
        end_time=end_time,
        remaining_seconds=seconds,
    )


def left_bytes(left: rules.Left) -> int | None:
    """The one figure of data left that a guest is shown: the tightest of the card's quotas."""
    quotas = [value for value in (left.bytes_total, left.bytes_up, left.bytes_down) if value is not None]
    return min(quotas, default=None)
