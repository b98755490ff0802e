"""Keeping a router and the database in step: what should lie on it and what does, compared, said, and mended.

The database says what should be. What is ours and differs is promised to the router like any other work; what is not
ours is never touched. Each kind of thing has a keeper, registered in `wiring`, that knows what should be there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Protocol

import structlog
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from bawaba.core.actor import Actor
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime
from bawaba.routers import queries, rules
from bawaba.routers.driver import Cap, GatewayError, Owned, RouterUnreachable
from bawaba.routers.errors import RouterNotFound
from bawaba.routers.models import Router
from bawaba.routers.part import part

log = structlog.get_logger(__name__)
EVERY_S = 1800.0
SPREAD = 0.3
AGAIN_S = 60.0  # after a look that mended something, or held something back: is it in step now?
DEADLINE_S = 25.0


@dataclass
class Drift:
    """What one look found, in numbers. `missing`, `differing` and `extra` are ours and are being mended."""

    missing: int = 0
    differing: int = 0
    extra: int = 0
    unknown: int = 0  # with our mark, and nothing that we know of: left alone
    held_back: int = 0  # to be taken away, but not now (`rules.may_remove`)
    examples: list[str] = field(default_factory=list)  # keys of some of it, for the page

    def __iadd__(self, other: Drift) -> Drift:
        for name in ("missing", "differing", "extra", "unknown", "held_back"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.examples = (self.examples + other.examples)[:EXAMPLES_MOST]
        return self

    @property
    def in_step(self) -> bool:
        """Whether nothing of ours differs."""
        return not (self.missing or self.differing or self.extra or self.held_back)


EXAMPLES_MOST = 20
GROUP = 500  # rows that one step reads or writes: nobody waits long behind it


@dataclass(frozen=True)
class Look:
    """One router as it was seen: what is ours on it, by key, and whether things may be taken away now."""

    router_id: int
    site_id: int
    owned: Mapping[str, Owned]
    may_remove: bool

    @cached_property
    def numbers(self) -> Mapping[str, Sequence[int]]:
        """The numbers in the keys of what is there, in order, by what stands before them ("card:", "session:")."""
        found: dict[str, list[int]] = {}
        for key in self.owned:
            kind, colon, number = key.partition(":")
            if number.isascii() and number.isdigit():
                found.setdefault(kind + colon, []).append(int(number))
        return {kind: sorted(numbers) for kind, numbers in found.items()}


@dataclass(frozen=True)
class Finding:
    """What a keeper found in one group, and the step that promises what mends it; None where nothing has to be mended.
    `go_on` is where the next group begins, None after the last."""

    drift: Drift
    mend: Callable[[Session, datetime], None] | None = None
    go_on: Any = None


@dataclass(frozen=True)
class Before:
    """What was known of a router when a look began: what the last one noted, and how its site holds cards now."""

    noted: Mapping[str, Any]
    mode: str


class Keeper(Protocol):
    """Knows one kind of thing. `prepare` (step) brings what should be there up to date before the router is asked;
    `compare` (a read) finds the differences. Both take `GROUP` rows at a time, for a site may have a million cards:
    they begin where they left off (None: at the beginning) and say where to go on, None when all is done."""

    def prepare(self, db: Session, router: Router, before: Before, after: Any, now: datetime) -> Any: ...
    def compare(self, db: Session, look: Look, after: Any) -> Finding: ...


async def reconcile(rt: Runtime, router_id: int, *, by_hand: bool = False) -> Drift | None:
    """Compare a router with the database and promise what mends it; None where the router cannot list what is ours.
    Raises `GatewayError`s. On the router loop."""
    links = part(rt).links
    link = await links.link(router_id)
    before = await _prepared(rt, router_id)
    if Cap.OWNED_LIST not in link.driver.caps:
        await rt.transact_async(_note, router_id, before, _later(rt, EVERY_S))
        return None
    health = await links.ask(router_id, "health", by_hand=by_hand)
    owned: Sequence[Owned] = await links.ask(router_id, "owned", by_hand=by_hand)
    may_remove = rules.may_remove(len(owned), int(before.get("owned", 0)), health.uptime_s)
    look = Look(router_id, link.site_id, {mine.key: mine for mine in owned}, may_remove)
    drift = await _compared(rt, look)
    wait_s = EVERY_S if drift.in_step else AGAIN_S
    noted = {**before, "at": rt.clock.now().isoformat(), "owned": len(owned), **asdict(drift)}
    await rt.transact_async(_note, router_id, noted, _later(rt, wait_s))
    part(rt).wake()
    if not drift.in_step:
        log.info("a router was out of step", router_id=router_id, **asdict(drift))
    return drift


async def _prepared(rt: Runtime, router_id: int) -> dict[str, Any]:
    """Let the keepers bring up to date what should be there; answers what the last look noted, and the mode now."""
    before = await rt.read_async(_before, router_id)
    for keeper in part(rt).keepers:
        after = await rt.transact_async(_prepare, keeper, router_id, before, None, rt.clock.now())
        while after is not None:
            after = await rt.transact_async(_prepare, keeper, router_id, before, after, rt.clock.now())
    return {**before.noted, "mode": before.mode}


async def _compared(rt: Runtime, look: Look) -> Drift:
    """All that the keepers find, each group mended before the next is looked at."""
    whole = Drift()
    for keeper in part(rt).keepers:
        found = Finding(Drift())
        while True:
            found = await rt.read_async(keeper.compare, look, found.go_on)
            whole += found.drift
            if found.mend is not None:
                await rt.transact_async(found.mend, rt.clock.now())
            if found.go_on is None:
                break
    return whole


def reconcile_now(rt: Runtime, actor: Actor, router_id: int) -> Drift | None:
    """The same, asked for by a person. Raises `RouterNotFound` and `GatewayError`s."""
    router = rt.read(queries.get_router, actor, router_id)
    future = part(rt).loop.submit(reconcile(rt, router.id, by_hand=True))
    try:
        return future.result(DEADLINE_S)
    except TimeoutError as error:
        future.cancel()
        raise RouterUnreachable(f"the router did not list what lies on it within {DEADLINE_S:g} s") from error


async def reconcile_if_due(rt: Runtime, router_id: int) -> None:
    """After a poll that went well: look when it is time. What goes wrong here is no missed poll."""
    if not await rt.read_async(_is_due, router_id, rt.clock.now()):
        return
    try:
        await reconcile(rt, router_id)
    except (GatewayError, Problem, asyncio.CancelledError) as error:
        log.warning("a router could not be compared", router_id=router_id, error=str(error))
        await rt.transact_async(_put_off, router_id, _later(rt, AGAIN_S))
        if isinstance(error, asyncio.CancelledError):
            raise


def ask_soon(db: Session, router_id: int) -> None:
    """Something happened whose outcome we do not know: compare at the next poll (step)."""
    db.execute(update(Router).where(Router.id == router_id).values(reconcile_at=None))


def _before(db: Session, router_id: int) -> Before:
    router = db.get(Router, router_id)
    if router is None:
        raise RouterNotFound()
    return Before(router.drift or {}, mode_of(db, router.site_id))


def _prepare(db: Session, keeper: Keeper, router_id: int, before: Before, after: Any, now: datetime) -> Any:
    router = db.get(Router, router_id)
    return keeper.prepare(db, router, before, after, now) if router is not None else None


def mode_of(db: Session, site_id: int) -> str:
    """How a site holds its cards (the table is that of `sites`, above us)."""
    return str(db.execute(text("SELECT mode FROM site WHERE id = :id"), {"id": site_id}).scalar())


def _note(db: Session, router_id: int, noted: dict[str, Any], next_at: datetime) -> None:
    db.execute(update(Router).where(Router.id == router_id).values(drift=noted, reconcile_at=next_at))


def _put_off(db: Session, router_id: int, next_at: datetime) -> None:
    db.execute(update(Router).where(Router.id == router_id).values(reconcile_at=next_at))


def _is_due(db: Session, router_id: int, now: datetime) -> bool:
    at = db.execute(select(Router.reconcile_at).where(Router.id == router_id)).first()
    return at is not None and (at[0] is None or at[0] <= now)


def _later(rt: Runtime, seconds: float) -> datetime:
    spread = 1 - SPREAD / 2 + SPREAD * rt.rng.random()
    return rt.clock.now() + timedelta(seconds=seconds * spread)
