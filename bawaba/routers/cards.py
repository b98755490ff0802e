"""Cards that lie on the routers themselves (router-held sites): what should be there, and bringing it there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, text, update
from sqlalchemy.orm import Session

from bawaba.core.events import Event
from bawaba.core.keyring import Keyring
from bawaba.core.statement import Statement
from bawaba.routers.driver import Cap, GatewayError, Grant, Limits, Owned, Result, RouterUnreachable, Unsupported
from bawaba.routers.events import CardsBrought
from bawaba.routers.links import driver_class
from bawaba.routers.models import THERE, Router, RouterGrant, RouterJob
from bawaba.routers.promises import Ask, Kind, Promised, Rest, promise
from bawaba.routers.reconcile import GROUP, Before, Drift, Finding, Look
from bawaba.routers.rules import differs

KIND = "cards"
AT_ONCE = 100  # cards in one call to a router: guests are let in between two calls
REFUSAL_MOST = 200
CARD = "card:"
NO_SECRET = ""  # the code alone lets in: the router's own page has one field, and works without scripts
CARD_SECRET = b"voucher code"  # the keyring's context for a sealed code
HOLDS = Statement("SELECT 1 FROM router_grant WHERE router_id = :router_id AND key = :key AND wanted", "one")
LET_GO_OF = Statement(
    "UPDATE router_grant SET wanted = :no, rev = rev + 1, synced_rev = rev + 1 "
    "WHERE router_id = :router_id AND key = :key"
)
AGAIN = Statement("UPDATE router_grant SET synced_rev = 0 WHERE id = :id AND rev = :rev")
AT_HOLDING_SITE = text("router.site_id IN (SELECT id FROM site WHERE mode = 'router_held')")  # a table above us
Printed = Callable[[str], str]


@dataclass(frozen=True)
class CardToHold:
    """A card as its routers should hold it."""

    voucher_id: int
    code_sealed: bytes
    limits: dict[str, Any]  # the fields of `Limits`, times left out
    plan: str


@dataclass(frozen=True)
class Brought:
    """One card that the router was told about; `refusal` is why it did not take it, `passing` if it may yet."""

    row_id: int
    rev: int
    refusal: str | None = None
    passing: bool = False


@dataclass
class CardWork:
    """Cards to bring to one router, and cards to take away; each with its grant's row and revision."""

    puts: list[tuple[int, int, Grant]] = field(default_factory=list)
    drops: list[tuple[int, int, str]] = field(default_factory=list)


def holders(db: Session, site_id: int) -> list[int]:
    """The site's routers that can hold cards."""
    rows = db.execute(select(Router.id, Router.driver).where(Router.site_id == site_id, THERE).order_by(Router.id))
    return [row.id for row in rows if Cap.PRELOAD in driver_class(row.driver).caps]


def hold(db: Session, router_ids: Sequence[int], cards: Sequence[CardToHold]) -> None:
    """Write down that these routers should hold these cards."""
    rows = [
        {
            "router_id": router_id,
            "key": card.voucher_id,
            "rev": 1,
            "synced_rev": 0,
            "wanted": True,
            "secret_sealed": card.code_sealed,
            "limits": card.limits,
            "plan": card.plan,
        }
        for router_id in router_ids
        for card in cards
    ]
    if rows:
        db.execute(insert(RouterGrant), rows)


def give_more(db: Session, voucher_id: int, more: Mapping[str, int], now: datetime) -> None:
    """A card has so much more of these fields of `Limits`: the routers that hold it are to give that too, on top of
    what each has for it, which is less than the plan's where the card has taken a lost one's place."""
    held = select(RouterGrant).where(RouterGrant.key == voucher_id).with_for_update()
    for grant in db.scalars(held.order_by(RouterGrant.router_id)):
        had = grant.limits
        changed = {**had, **{name: had[name] + much for name, much in more.items() if had.get(name) is not None}}
        if changed == grant.limits:
            continue
        grant.limits = changed
        if not grant.wanted:
            continue  # it holds the card again some day, and then with these
        grant.rev += 1
        grant.refusals, grant.given_up = 0, False
        promise_cards(db, grant.router_id, now)


def want(db: Session, voucher_ids: Sequence[int], wanted: bool, now: datetime) -> list[Promised]:
    """Say that cards should (not) be on their routers any more, and promise it to each router. Where the server holds
    the cards of a site by now none comes back: it would be good at the portal and at the router."""
    changed = update(RouterGrant).where(RouterGrant.key.in_(voucher_ids), RouterGrant.wanted.is_(not wanted))
    if wanted:
        changed = changed.where(RouterGrant.router_id.in_(select(Router.id).where(THERE, AT_HOLDING_SITE)))
    values = {"wanted": wanted, "rev": RouterGrant.rev + 1, "refusals": 0, "given_up": False}
    told = db.scalars(changed.values(**values).returning(RouterGrant.router_id))
    return [promise_cards(db, router_id, now) for router_id in sorted(set(told))]


def promise_cards(db: Session, router_id: int, now: datetime) -> Promised:
    """Promise that a router's cards will be brought up to date: one open job a router, however many cards."""
    job = _open_job(db, router_id)
    return Promised(job.id, router_id, KIND, None) if job is not None else promise(db, router_id, KIND, None, now)


def promise_at_once(db: Session, router_id: int, now: datetime) -> Promised | None:
    """The same for the request that has made a card and delivers it; None where the router is behind already, and the
    card waits with the others."""
    job = _open_job(db, router_id)
    if job is not None and (job.attempts > 0 or job.last_error is not None):
        return None
    return promise(db, router_id, KIND, None, now, express=True)


def _open_job(db: Session, router_id: int) -> RouterJob | None:
    """The locked open job: who finishes it at this moment finishes before us, or sees what we add."""
    wanted = select(RouterJob).where(
        RouterJob.router_id == router_id, RouterJob.kind == KIND, RouterJob.state == "open"
    )
    return db.scalar(wanted.order_by(RouterJob.id).limit(1).with_for_update())


def holds(db: Session, router_id: int, voucher_id: int) -> bool:
    """Whether a router should hold a card."""
    return HOLDS.first(db, router_id=router_id, key=voucher_id) is not None


def other_holders(db: Session, voucher_id: int, router_id: int) -> list[int]:
    """The other routers that should hold a card."""
    held = select(RouterGrant.router_id).where(RouterGrant.key == voucher_id, RouterGrant.wanted.is_(True))
    return list(db.scalars(held.where(RouterGrant.router_id != router_id).order_by(RouterGrant.router_id)))


def has_let_go(db: Session, voucher_id: int, router_id: int) -> None:
    """A router has let go of a card, and nothing more is to be done about that."""
    LET_GO_OF.run(db, router_id=router_id, key=voucher_id, no=False)


def let_go_elsewhere(db: Session, voucher_id: int, router_ids: Sequence[int], now: datetime) -> None:
    """A card is served by the portal from now on: every router lets go of it but those where it is in use."""
    _let_go(db, RouterGrant.key == voucher_id, RouterGrant.router_id.not_in(router_ids), now=now)


def let_go(db: Session, voucher_id: int, router_id: int, now: datetime) -> None:
    """One router lets go of a card, and of whoever is online by it."""
    _let_go(db, RouterGrant.key == voucher_id, RouterGrant.router_id == router_id, now=now)


def _let_go(db: Session, *which: ColumnElement[bool], now: datetime) -> None:
    held = (*which, RouterGrant.wanted.is_(True))
    for router_id in sorted(set(db.scalars(select(RouterGrant.router_id).where(*held)))):
        promise_cards(db, router_id, now)  # the job is locked before what it is about
    db.execute(update(RouterGrant).where(*held).values(wanted=False, rev=RouterGrant.rev + 1))


def kind(keyring: Keyring, printed: Printed) -> Kind:
    """The work of bringing a router's cards up to date. `printed` turns a code into what stands on the card."""

    def prepare(db: Session, job: Promised, now: datetime) -> CardWork | None:
        return work_for(db, keyring, printed, job.router_id)

    return Kind(prepare, bring, brought, may_move=True, bulk=True, deliver_again=bring_missing, rest=rest)


def _behind(router_id: int) -> Any:
    """The condition of cards that a router has not got as they should be."""
    return and_(
        RouterGrant.router_id == router_id, RouterGrant.synced_rev < RouterGrant.rev, RouterGrant.given_up.is_(False)
    )


def work_for(
    db: Session, keyring: Keyring, printed: Printed, router_id: int, voucher_ids: Sequence[int] = ()
) -> CardWork | None:
    """What is behind on a router (of these cards, or of all), up to a hundred cards, those that it refused last; None
    when nothing is. A guest signs in at the router with the code as it is printed: twelve bare digits might be taken
    for a hardware address there."""
    behind = select(RouterGrant).where(_behind(router_id))
    if voucher_ids:
        behind = behind.where(RouterGrant.key.in_(voucher_ids))
    work = CardWork()
    for row in db.scalars(behind.order_by(RouterGrant.refusals, RouterGrant.id).limit(AT_ONCE)):
        if row.wanted:
            code = keyring.decrypt(row.secret_sealed, CARD_SECRET).decode()
            limits = Limits(**row.limits)
            grant = Grant(card_key(row.key), row.rev, printed(code), NO_SECRET, limits, row.plan)
            work.puts.append((row.id, row.rev, grant))
        else:
            work.drops.append((row.id, row.rev, card_key(row.key)))
    return work if work.puts or work.drops else None


def card_key(voucher_id: int) -> str:
    """The key of a card in ownership tags."""
    return f"{CARD}{voucher_id}"


async def bring(ask: Ask, work: CardWork) -> list[Brought]:
    """Write and remove cards on the router. Raises the first error when it took none of them for a reason that passes;
    what it refused is in the answer."""
    told: list[Brought] = []
    if work.puts:
        answers = await ask("put", [grant for _, _, grant in work.puts])
        told += [_told(row, rev, result) for (row, rev, _), result in zip(work.puts, answers, strict=True)]
    if work.drops:
        answers = await ask("drop", [key for _, _, key in work.drops])
        told += [_told(row, rev, result) for (row, rev, _), result in zip(work.drops, answers, strict=True)]
    if all(card.passing for card in told):
        raise RouterUnreachable(told[0].refusal or "the router took no card")
    return told


def _told(row_id: int, rev: int, result: Result) -> Brought:
    if result.ok:
        return Brought(row_id, rev)
    error = result.error or GatewayError("the router did not take this card")
    return Brought(row_id, rev, str(error)[:REFUSAL_MOST], error.retryable)


async def bring_missing(ask: Ask, work: CardWork) -> list[Brought]:
    """After a try whose answer was lost: look what lies there first, and bring the rest."""
    try:
        there = {owned.key: owned.rev for owned in await ask("owned")}
    except Unsupported:
        return await bring(ask, work)
    puts = [put for put in work.puts if there.get(put[2].key) != put[1]]
    drops = [drop for drop in work.drops if drop[2] in there]
    done = [Brought(row, rev) for row, rev, grant in work.puts if there.get(grant.key) == rev]
    done += [Brought(row, rev) for row, rev, key in work.drops if key not in there]
    rest_of_it = CardWork(puts, drops)
    return done + (await bring(ask, rest_of_it) if puts or drops else [])


def brought(db: Session, job: Promised, told: list[Brought], now: datetime) -> list[Event]:
    """Remember what the router has, and what it refused."""
    by_rev: dict[int, list[int]] = {}
    by_refusal: dict[str, list[int]] = {}
    for card in told:
        if card.refusal is None:
            by_rev.setdefault(card.rev, []).append(card.row_id)
        elif not card.passing:
            by_refusal.setdefault(card.refusal, []).append(card.row_id)
    for rev, row_ids in by_rev.items():
        has = {"synced_rev": rev, "refusals": 0, "error": None}
        db.execute(update(RouterGrant).where(RouterGrant.id.in_(row_ids)).values(**has))
    for refusal, row_ids in by_refusal.items():
        refused = {"refusals": RouterGrant.refusals + 1, "error": refusal}
        db.execute(update(RouterGrant).where(RouterGrant.id.in_(row_ids)).values(**refused))
    site_id = db.scalar(select(Router.site_id).where(Router.id == job.router_id))
    taken = sum(len(row_ids) for row_ids in by_rev.values())
    return [CardsBrought(job.router_id, site_id, taken)] if site_id else []


def rest(db: Session, job: Promised) -> Rest:
    """What is left of bringing a router's cards: some not tried yet, or those that it refused."""
    fresh = select(RouterGrant.id).where(_behind(job.router_id), RouterGrant.refusals == 0).limit(1)
    if db.scalar(fresh) is not None:
        return Rest(more=True)
    refused = select(func.count(), func.max(RouterGrant.error)).where(_behind(job.router_id))
    count, why = db.execute(refused).one()
    return Rest(refused=f"{why} ({count} cards)") if count else Rest()


@dataclass(frozen=True)
class Progress:
    """How far a router is with the cards it should hold: `on_router` of `wanted`; `refused` ones need a person."""

    wanted: int
    on_router: int
    waiting: int
    refused: int


def progress(db: Session, router_ids: Sequence[int]) -> dict[int, Progress]:
    """The progress of each of these routers; all zero where it holds no cards."""
    behind = RouterGrant.synced_rev < RouterGrant.rev
    rows = db.execute(
        select(
            RouterGrant.router_id,
            func.count().filter(RouterGrant.wanted),
            func.count().filter(RouterGrant.wanted, RouterGrant.synced_rev == RouterGrant.rev),
            func.count().filter(behind, RouterGrant.given_up.is_(False)),
            func.count().filter(behind, or_(RouterGrant.refusals > 0, RouterGrant.given_up)),
        )
        .where(RouterGrant.router_id.in_(router_ids))
        .group_by(RouterGrant.router_id)
    )
    found = {row[0]: Progress(row[1], row[2], row[3], row[4]) for row in rows}
    return {router_id: found.get(router_id, Progress(0, 0, 0, 0)) for router_id in router_ids}


def give_up(db: Session, router_id: int) -> None:
    """A person decided that the cards which are behind are not brought any more."""
    db.execute(update(RouterGrant).where(_behind(router_id)).values(given_up=True))


def take_up_again(db: Session, router_id: int) -> None:
    """A person decided to try them again, those that were refused or given up too."""
    behind = RouterGrant.synced_rev < RouterGrant.rev
    mine = update(RouterGrant).where(RouterGrant.router_id == router_id, behind)
    db.execute(mine.values(given_up=False, refusals=0, error=None))


def hand_over(db: Session, router_id: int, to_router_id: int) -> None:
    """Cards that never reached a router are to lie on another one instead, unless they are to lie there anyway. What
    is there already and is to be changed stays its own."""
    new_here = RouterGrant.synced_rev == 0
    mine = and_(RouterGrant.router_id == router_id, new_here)
    there = select(RouterGrant.key).where(RouterGrant.router_id == to_router_id)
    db.execute(delete(RouterGrant).where(mine, RouterGrant.key.in_(there.scalar_subquery())))
    moved = {"router_id": to_router_id, "refusals": 0, "error": None, "given_up": False}
    db.execute(update(RouterGrant).where(mine).values(**moved))


def sync_states(db: Session, voucher_ids: Sequence[int]) -> dict[int, str]:
    """pending, synced or failed for each card that should lie on a router; a card on no router is left out."""
    if not voucher_ids:
        return {}
    behind = RouterGrant.synced_rev < RouterGrant.rev
    gave_up = select(RouterJob.router_id).where(RouterJob.kind == KIND, RouterJob.state == "failed")
    stuck = and_(behind, or_(RouterGrant.given_up, RouterGrant.router_id.in_(gave_up)))
    rows = db.execute(
        select(
            RouterGrant.key,
            func.count().filter(behind).label("behind"),
            func.count().filter(stuck).label("stuck"),
        )
        .where(RouterGrant.key.in_(voucher_ids))
        .group_by(RouterGrant.key)
    ).all()
    return {row.key: "failed" if row.stuck else ("pending" if row.behind else "synced") for row in rows}


class CardKeeper:
    """Compares the cards on a router with those that should lie there."""

    def prepare(self, db: Session, router: Router, before: Before, after: Any, now: datetime) -> None:
        """What should be there is known already."""

    def compare(self, db: Session, look: Look, after: int | None) -> Finding:
        """Missing, different and left over among the cards behind this number; a card of ours that nobody knows is left
        alone."""
        drift, wrong = Drift(), list[dict[str, int]]()
        rows = _held_behind(db, look.router_id, after)
        for row in rows:
            if row.synced_rev == row.rev and _counted(drift, row, look.owned.get(card_key(row.key)), look.may_remove):
                wrong.append({"id": row.id, "rev": row.rev})
                drift.examples.append(card_key(row.key))
        last = rows[-1].key if len(rows) == GROUP else None
        drift.unknown = _unknown(look, {row.key for row in rows}, after, last)
        behind = any(row.synced_rev < row.rev for row in rows)

        def mend(db: Session, now: datetime) -> None:
            promise_cards(db, look.router_id, now)
            AGAIN.run_many(db, wrong)

        return Finding(drift, mend if wrong or behind else None, last)


def _held_behind(db: Session, router_id: int, after: int | None) -> Sequence[Any]:
    """What a router should hold or let go of, a group of it, by the card's number."""
    columns = (RouterGrant.id, RouterGrant.key, RouterGrant.rev, RouterGrant.synced_rev, RouterGrant.wanted)
    rows = select(*columns, RouterGrant.limits).where(RouterGrant.router_id == router_id)
    if after is not None:
        rows = rows.where(RouterGrant.key > after)
    return db.execute(rows.order_by(RouterGrant.key).limit(GROUP)).all()


def _unknown(look: Look, known: set[int], after: int | None, last: int | None) -> int:
    """How many of the cards that lie there with numbers behind `after`, up to `last`, nobody knows."""
    there = look.numbers.get(CARD, ())
    start = bisect_right(there, after) if after is not None else 0
    end = bisect_right(there, last) if last is not None else len(there)
    return sum(1 for number in there[start:end] if number not in known)


def _counted(drift: Drift, row: Any, there: Owned | None, may_remove: bool) -> bool:
    """Count what is wrong with one card on a router that should be up to date; whether it is to be mended."""
    if row.wanted and there is None:
        drift.missing += 1
    elif row.wanted and there is not None and (there.rev != row.rev or differs(Limits(**row.limits), there.limits)):
        drift.differing += 1
    elif not row.wanted and there is not None and may_remove:
        drift.extra += 1
    elif not row.wanted and there is not None:
        drift.held_back += 1
        return False
    else:
        return False
    return True
