"""Cards that lie on the routers themselves (router-held sites): what should be there, and bringing it there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from bawaba.core.events import Event
from bawaba.core.keyring import Keyring
from bawaba.routers.driver import Cap, GatewayError, Grant, Limits, Result
from bawaba.routers.links import driver_class
from bawaba.routers.models import Router, RouterGrant, RouterJob
from bawaba.routers.promises import Ask, Kind, Promised, promise

KIND = "cards"
AT_ONCE = 1000  # cards in one call to a router
CARD_SECRET = b"voucher code"  # the keyring's context for a sealed code


@dataclass(frozen=True)
class CardToHold:
    """A card as its routers should hold it."""

    voucher_id: int
    code_sealed: bytes
    limits: dict[str, Any]  # the fields of `Limits`, times left out
    plan: str


@dataclass
class CardWork:
    """Cards to bring to one router, and cards to take away; each with its grant's row and revision."""

    puts: list[tuple[int, int, Grant]] = field(default_factory=list)
    drops: list[tuple[int, int, str]] = field(default_factory=list)


def holders(db: Session, site_id: int) -> list[int]:
    """The site's routers that can hold cards."""
    rows = db.execute(select(Router.id, Router.driver).where(Router.site_id == site_id).order_by(Router.id))
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


def want(db: Session, voucher_ids: Sequence[int], wanted: bool, now: datetime) -> list[Promised]:
    """Say that cards should (not) be on their routers any more, and promise it to each router."""
    changed = (
        update(RouterGrant)
        .where(RouterGrant.key.in_(voucher_ids), RouterGrant.wanted.is_(not wanted))
        .values(wanted=wanted, rev=RouterGrant.rev + 1)
        .returning(RouterGrant.router_id)
    )
    return [promise(db, router_id, KIND, None, now) for router_id in sorted(set(db.scalars(changed)))]


def kind(keyring: Keyring) -> Kind:
    """The work of bringing a router's cards up to date."""

    def prepare(db: Session, job: Promised, now: datetime) -> CardWork | None:
        return work_for(db, keyring, job.router_id)

    return Kind(prepare, bring, brought)


def work_for(db: Session, keyring: Keyring, router_id: int, voucher_ids: Sequence[int] = ()) -> CardWork | None:
    """What is behind on a router (of these cards, or of all), up to a thousand cards; None when nothing is."""
    behind = select(RouterGrant).where(RouterGrant.router_id == router_id, RouterGrant.synced_rev < RouterGrant.rev)
    if voucher_ids:
        behind = behind.where(RouterGrant.key.in_(voucher_ids))
    work = CardWork()
    for row in db.scalars(behind.order_by(RouterGrant.id).limit(AT_ONCE)):
        if row.wanted:
            code = keyring.decrypt(row.secret_sealed, CARD_SECRET).decode()
            grant = Grant(card_key(row.key), row.rev, code, code, Limits(**row.limits), row.plan)
            work.puts.append((row.id, row.rev, grant))
        else:
            work.drops.append((row.id, row.rev, card_key(row.key)))
    return work if work.puts or work.drops else None


def card_key(voucher_id: int) -> str:
    """The key of a card in ownership tags."""
    return f"card:{voucher_id}"


async def bring(ask: Ask, work: CardWork) -> list[tuple[int, int]]:
    """Write and remove cards on the router; the answer is what is now as it should be, by grant row and revision.
    Raises the first refusal when the router took none of them."""
    results: list[tuple[int, int, Result]] = []
    if work.puts:
        answers = await ask("put", [grant for _, _, grant in work.puts])
        results += [(row, rev, result) for (row, rev, _), result in zip(work.puts, answers, strict=True)]
    if work.drops:
        answers = await ask("drop", [key for _, _, key in work.drops])
        results += [(row, rev, result) for (row, rev, _), result in zip(work.drops, answers, strict=True)]
    taken = [(row, rev) for row, rev, result in results if result.ok]
    if not taken:
        raise next((r.error for _, _, r in results if r.error), None) or GatewayError("the router took no card")
    return taken


def brought(db: Session, job: Promised, taken: list[tuple[int, int]], now: datetime) -> list[Event]:
    """Remember what the router has; what is still behind is promised again."""
    by_rev: dict[int, list[int]] = {}
    for row_id, rev in taken:
        by_rev.setdefault(rev, []).append(row_id)
    for rev, row_ids in by_rev.items():
        db.execute(update(RouterGrant).where(RouterGrant.id.in_(row_ids)).values(synced_rev=rev))
    left = db.scalar(
        select(RouterGrant.id)
        .where(RouterGrant.router_id == job.router_id, RouterGrant.synced_rev < RouterGrant.rev)
        .limit(1)
    )
    if left is not None and not _promised(db, job.router_id):
        promise(db, job.router_id, KIND, None, now)
    return []


def _promised(db: Session, router_id: int) -> bool:
    open_job = select(RouterJob.id).where(
        RouterJob.router_id == router_id, RouterJob.kind == KIND, RouterJob.state == "open"
    )
    return db.scalar(open_job.limit(1)) is not None


def sync_states(db: Session, voucher_ids: Sequence[int]) -> dict[int, str]:
    """pending, synced or failed for each card that should lie on a router; a card on no router is left out."""
    if not voucher_ids:
        return {}
    behind = func.sum(func.coalesce(RouterGrant.rev - RouterGrant.synced_rev, 0))
    rows = db.execute(
        select(RouterGrant.key, behind.label("behind"), func.min(RouterGrant.router_id).label("router_id"))
        .where(RouterGrant.key.in_(voucher_ids))
        .group_by(RouterGrant.key)
    ).all()
    gave_up = set(
        db.scalars(select(RouterJob.router_id).where(RouterJob.kind == KIND, RouterJob.state == "failed").distinct())
    )
    return {
        row.key: "synced" if not row.behind else ("failed" if row.router_id in gave_up else "pending") for row in rows
    }
