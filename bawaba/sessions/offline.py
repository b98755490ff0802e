"""Cards that guests used at the router itself, while we were away or beside us (router-held sites).

A guest who signed in there becomes a session like any other: the card is claimed, sold and counted, and the other
routers let go of it. What was used between two looks is booked from the router's own count for the card, as far as the
sessions that we know do not explain it. Found on two routers at once, the later one is cut, and that is said; so is one
device more than a card may ever have.
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
from bawaba.routers.driver import GatewayError, Owned, RouterSession
from bawaba.routers.models import Router
from bawaba.routers.promises import Ask, Kind, Promised, promise
from bawaba.routers.reconcile import GROUP, Before, Drift, Finding, Look
from bawaba.sales.service import record_sale
from bawaba.sessions import admission, rules
from bawaba.sessions.ending import LIVE, end_session
from bawaba.sessions.events import CardUsedTwice
from bawaba.vouchers import claiming
from bawaba.vouchers.rules import end_as_used

BEGIN = Statement(
    "INSERT INTO guest_session (site_id, voucher_id, router_id, client_mac, client_ip, state, start_time, "
    "used_seconds, bytes_up, bytes_down, seen_up, seen_down, seen_epoch, seen_at, active_at, rev, router_key, "
    "created_at) "
    "VALUES (:site_id, :voucher_id, :router_id, :mac, :ip, 'online', :start, 0, 0, 0, 0, 0, 0, :now, :now, 1, "
    ":router_key, :now) RETURNING id",
    "id",
)
SELECT_USED = (
    "SELECT COALESCE(SUM(bytes_up), 0), COALESCE(SUM(bytes_down), 0), COALESCE(SUM(used_seconds), 0), "
    "COALESCE(SUM(CASE WHEN terminate_cause = 'Idle-Timeout' THEN 1 ELSE 0 END), 0) "
    "FROM guest_session WHERE voucher_id = :voucher_id"
)
USED_HERE = Statement(f"{SELECT_USED} AND router_id = :router_id AND router_key IS NOT NULL", "up down seconds silent")
USED_ANYWHERE = Statement(SELECT_USED, "up down seconds silent")
KNOWN = Statement(  # by cards that the router is to hold: whoever goes on there has nothing new to be judged
    "SELECT s.id, s.voucher_id, s.client_mac FROM guest_session s JOIN router_grant g ON g.router_id = s.router_id "
    "AND g.key = s.voucher_id AND g.wanted WHERE s.router_id = :router_id AND s.ended_at IS NULL ORDER BY s.id DESC",
    "id voucher_id client_mac",
)
RECORD = Statement(
    "INSERT INTO guest_session (site_id, voucher_id, router_id, client_mac, state, start_time, end_time, ended_at, "
    "used_seconds, bytes_up, bytes_down, seen_up, seen_down, seen_epoch, rev, router_key, terminate_cause, created_at) "
    "VALUES (:site_id, :voucher_id, :router_id, '', 'ended', :start, :now, :now, :seconds, :up, :down, 0, 0, 0, 1, "
    ":router_key, :cause, :now)"
)
WAS_HERE = Statement("SELECT 1 FROM guest_session WHERE voucher_id = :voucher_id AND client_mac = :mac LIMIT 1")
SLACK_S = 60  # between the router's count and ours: a poll, and rounding
LET_GO = "let_go"
UNKNOWN = "Lost-Carrier"  # RFC 2866, 5.10: it ended while nobody looked


@dataclass
class Collected:
    """What came of a router's list: readings by session, sessions that began and ended, and what is to be told."""

    readings: dict[int, RouterSession] = field(default_factory=dict)
    began: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def card_id_of(key: str | None) -> int | None:
    """The card that a key names; None for anything else."""
    digits = (key or "").removeprefix(cards.CARD)
    return int(digits) if key and key.startswith(cards.CARD) and digits.isdigit() else None


def collect(db: Session, router_id: int, seen: Sequence[RouterSession], now: datetime) -> Collected:
    """Take in who is online at a router by a card that it holds itself: those who go on are found together,
    however many they are, and a card is locked and judged only where somebody is new."""
    collected = Collected()
    by_card = [
        (card_id, there)
        for there in seen
        if (card_id := card_id_of(there.key)) is not None and not there.raw.get("ended")
    ]
    if not by_card:
        return collected
    known = {(session.voucher_id, session.client_mac): session.id for session in KNOWN.all(db, router_id=router_id)}
    judged: set[int] = set()  # what is known of these cards may have changed here
    for card_id, there in by_card:
        session_id = known.get((card_id, _device(there)))
        if session_id is not None and card_id not in judged:
            collected.readings[session_id] = there
        else:
            judged.add(card_id)
            _take_in(db, router_id, card_id, there, now, collected)
    return collected


def _device(there: RouterSession) -> str:
    return there.client.mac or there.client.ip or ""


def _take_in(
    db: Session, router_id: int, card_id: int, there: RouterSession, now: datetime, collected: Collected
) -> None:
    card = claiming.BY_ID.first(db, id=card_id)
    if card is None or not cards.holds(db, router_id, card_id):  # the router is to let go of it: that is under way
        return
    device = _device(there)
    live = LIVE.all(db, voucher_id=card_id)
    mine = next((s for s in live if s.client_mac == device and s.router_id == router_id), None)
    if mine is not None:
        collected.readings[mine.id] = there
        return
    start = now - timedelta(seconds=there.uptime_s)
    if not _may_stay(db, card, live, start, device, now, collected):
        _cut(db, router_id, card, now)
        return
    session_id = _begin(db, router_id, card, there, device, start, now)
    collected.began.append(session_id)
    collected.readings[session_id] = there


def _may_stay(
    db: Session, card: Any, live: Sequence[Any], start: datetime, device: str, now: datetime, collected: Collected
) -> bool:
    """Whether a guest who came in at the router itself may go on; of two at once the later one may not."""
    if card.disabled_at is not None or rules.left_on(card, end_as_used(card, now), live, now).spent:
        return False
    if card.devices_ever is not None and card.devices_seen >= card.devices_ever and _is_new(db, card, device):
        collected.events.append(CardUsedTwice(card.site_id, card.id, card.serial, too_many_devices=True))
        return False
    others = [session for session in live if session.client_mac != device]
    for session in live:
        if session.client_mac == device:  # the same phone came over from another router
            _end(db, session, rules.MOVED, now, collected)
    if len(others) < card.devices_at_once:
        return True
    latest = max(others, key=lambda session: session.start_time or session.created_at)
    collected.events.append(CardUsedTwice(card.site_id, card.id, card.serial))
    if (latest.start_time or latest.created_at) <= start:
        return False
    _end(db, latest, rules.ADMIN_RESET, now, collected)
    return True


def _begin(
    db: Session, router_id: int, card: Any, there: RouterSession, device: str, start: datetime, now: datetime
) -> int:
    if claiming.claim(db, card, _is_new(db, card, device), now):
        record_sale(db, card.id, now)
        claiming.tell_redeemed(db, card, router_id, device, now)
    claiming.confirm_first_use(db, card, start)
    row = BEGIN.first(
        db, site_id=card.site_id, voucher_id=card.id, router_id=router_id, mac=device, ip=there.client.ip, start=start,
        router_key=cards.card_key(card.id), now=now,
    )  # fmt: skip
    _let_go_elsewhere(db, card.id, router_id, now)
    return int(row.id)


def _let_go_elsewhere(db: Session, card_id: int, router_id: int, now: datetime) -> None:
    """A card is in use on one router: the others are to let go of it."""
    for other in cards.other_holders(db, card_id, router_id):
        promise(db, other, LET_GO, card_id, now)


def _prepare_let_go(db: Session, job: Promised, now: datetime) -> str | None:
    assert job.ref is not None
    return cards.card_key(job.ref) if cards.holds(db, job.router_id, job.ref) else None


async def _drop_unless_in_use(ask: Ask, key: str) -> list[RouterSession]:
    """The same for one card."""
    (answer,) = await _drop_those_not_in_use(ask, [key])
    if isinstance(answer, GatewayError):
        raise answer
    return answer


async def _drop_those_not_in_use(ask: Ask, keys: Sequence[str]) -> list[list[RouterSession] | GatewayError]:
    """Who is online by each card there: somebody may have used it at this router as well, and that must be judged
    first. Where nobody is, the card is taken away."""
    there: dict[str, list[RouterSession]] = {key: [] for key in keys}
    for session in await ask("sessions"):
        if session.key in there and not session.raw.get("ended"):
            there[session.key].append(session)
    free = [key for key in there if not there[key]]
    results = await ask("drop", free) if free else []
    stay = {key: result.error for key, result in zip(free, results, strict=True) if result.error is not None}
    return [stay.get(key, there[key]) for key in keys]


def _let_go(db: Session, job: Promised, there: list[RouterSession], now: datetime) -> list[Event]:
    """Nobody was online by it: it is gone. Else whoever came first goes on, and the other one is cut."""
    assert job.ref is not None
    if not there:
        cards.has_let_go(db, job.ref, job.router_id)
        return []
    collected = collect(db, job.router_id, there, now)
    return collected.events + admission.changes(db, collected.began + collected.ended, urgent=True)


def _is_new(db: Session, card: Any, device: str) -> bool:
    return WAS_HERE.first(db, voucher_id=card.id, mac=device) is None


def _end(db: Session, session: Any, cause: str, now: datetime, collected: Collected) -> None:
    if end_session(db, session.id, cause, now):
        collected.ended.append(session.id)
        admission.kick(db, session.router_id, session.id, now)


def _cut(db: Session, router_id: int, card: Any, now: datetime) -> None:
    """The router lets go of the card, and of whoever is online by it."""
    cards.let_go(db, card.id, router_id, now)


class OfflineUse:
    """Books what was used of the cards on a router while nobody looked."""

    def prepare(self, db: Session, router: Router, before: Before, after: Any, now: datetime) -> None:
        """Nothing: what should be there is the cards' own matter."""

    def compare(self, db: Session, look: Look, after: int | None) -> Finding:
        """Cards whose count at the router may be larger than what we know of it, a group of them from this place on."""
        start = after or 0
        some = look.numbers.get(cards.CARD, ())[start : start + GROUP]
        lying = [look.owned[cards.card_key(number)] for number in some if cards.card_key(number) in look.owned]
        used = [mine for mine in lying if mine.up or mine.down or mine.uptime_s]

        def book(db: Session, now: datetime) -> None:
            for mine in used:
                _book(db, look.router_id, mine, now)

        return Finding(Drift(), book if used else None, start + GROUP if len(some) == GROUP else None)


def _book(db: Session, router_id: int, mine: Owned, now: datetime) -> None:
    """The part of a router's own count for a card that no session of ours explains: a session that nobody saw.

    While somebody is online by it the count of bytes runs ahead of the last poll's; it is taken when nobody is. A card
    that the router is to let go of may have gone on elsewhere, with what it had used here: there all of it is known.
    """
    card = claiming.BY_ID.first(db, id=card_id_of(mine.key))
    if card is None:
        return
    running = [session for session in LIVE.all(db, voucher_id=card.id) if session.start_time is not None]
    if cards.holds(db, router_id, card.id):
        known = USED_HERE.first(db, voucher_id=card.id, router_id=router_id)
        running = [session for session in running if session.router_id == router_id]
    else:
        known = USED_ANYWHERE.first(db, voucher_id=card.id)
    seconds = int(known.seconds) + sum(int((now - s.start_time).total_seconds()) for s in running)
    seconds += int(known.silent) * (card.idle_timeout_seconds + SLACK_S)  # given back, and counted by the router
    up, down = (0, 0) if running else (max(0, mine.up - int(known.up)), max(0, mine.down - int(known.down)))
    more = max(0, mine.uptime_s - seconds)
    if more <= SLACK_S and up + down < rules.LEAST_BYTES:
        return
    start = now - timedelta(seconds=max(more, 1))
    if claiming.claim(db, card, new_device=False, now=now):
        record_sale(db, card.id, now)
        claiming.tell_redeemed(db, card, router_id, None, now)
    claiming.confirm_first_use(db, card, start)
    RECORD.run(
        db, site_id=card.site_id, voucher_id=card.id, router_id=router_id, start=start, now=now, seconds=more, up=up,
        down=down, router_key=mine.key, cause=UNKNOWN,
    )  # fmt: skip
    charged = more if card.kind == "used_time" else 0
    claiming.BOOK.run(db, id=card.id, up=up, down=down, seconds=charged)
    _let_go_elsewhere(db, card.id, router_id, now)


def _lock_card(db: Session, job: Promised) -> None:
    claiming.BY_ID.first(db, id=job.ref)


LET_GO_WORK = Kind(_prepare_let_go, _drop_unless_in_use, _let_go, lock=_lock_card, together=_drop_those_not_in_use)
