"""Keeping a router and the database in step: what should lie on it and what does, compared, said, and mended.

The database says what should be. What is ours and differs is promised to the router like any other work; what is not
ours is never touched. Each kind of thing has a keeper, registered in `wiring`, that knows what should be there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from bawaba.core.actor import Actor
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime
from bawaba.routers import queries, rules
from bawaba.routers.driver import Cap, GatewayError, Owned, RouterUnreachable
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


@dataclass(frozen=True)
class Look:
    """One router as it was seen: what is ours on it, by key, and whether things may be taken away now."""

    router_id: int
    site_id: int
    owned: Mapping[str, Owned]
    may_remove: bool


@dataclass(frozen=True)
class Finding:
    """What a keeper found, and the step that promises what mends it; None where nothing has to be mended."""

    drift: Drift
    mend: Callable[[Session, datetime], None] | None = None


class Keeper(Protocol):
    """Knows one kind of thing. `prepare` (step) brings what should be there up to date before the router is asked;
    `compare` (a read) finds the differences."""

    def prepare(self, db: Session, router: Router, before: Mapping[str, Any], now: datetime) -> None: ...
    def compare(self, db: Session, look: Look) -> Finding: ...


async def reconcile(rt: Runtime, router_id: int) -> Drift | None:
    """Compare a router with the database and promise what mends it; None where the router cannot list what is ours.
    Raises `GatewayError`s. On the router loop."""
    links = part(rt).links
    link = await links.link(router_id)
    before = await rt.transact_async(_prepare, rt, router_id, rt.clock.now())
    if Cap.OWNED_LIST not in link.driver.caps:
        await rt.transact_async(_note, router_id, before, rt.clock.now(), _later(rt, EVERY_S))
        return None
    health = await links.ask(router_id, "health")
    owned: Sequence[Owned] = await links.ask(router_id, "owned")
    may_remove = rules.may_remove(len(owned), int(before.get("owned", 0)), health.uptime_s)
    look = Look(router_id, link.site_id, {mine.key: mine for mine in owned}, may_remove)
    found = await rt.read_async(_compare, rt, look)
    drift = sum_of(finding.drift for finding in found)
    wait_s = EVERY_S if drift.in_step else AGAIN_S
    noted = {**before, "at": rt.clock.now().isoformat(), "owned": len(owned), **asdict(drift)}
    await rt.transact_async(_mend, router_id, found, noted, rt.clock.now(), _later(rt, wait_s))
    part(rt).wake()
    if not drift.in_step:
        log.info("a router was out of step", router_id=router_id, **asdict(drift))
    return drift


def sum_of(drifts: Iterable[Drift]) -> Drift:
    """All of them as one."""
    whole = Drift()
    for drift in drifts:
        whole += drift
    return whole


def reconcile_now(rt: Runtime, actor: Actor, router_id: int) -> Drift | None:
    """The same, asked for by a person. Raises `RouterNotFound` and `GatewayError`s."""
    router = rt.read(queries.get_router, actor, router_id)
    future = part(rt).loop.submit(reconcile(rt, router.id))
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


def _prepare(db: Session, rt: Runtime, router_id: int, now: datetime) -> dict[str, Any]:
    """Let the keepers bring up to date what should be there; answers what the last look noted."""
    router = db.get(Router, router_id)
    if router is None:
        return {}
    before = dict(router.drift or {})
    for keeper in part(rt).keepers:
        keeper.prepare(db, router, before, now)
    return before | {"mode": mode_of(db, router.site_id)}


def mode_of(db: Session, site_id: int) -> str:
    """How a site holds its cards (the table is that of `sites`, above us)."""
    return str(db.execute(text("SELECT mode FROM site WHERE id = :id"), {"id": site_id}).scalar())


def _compare(db: Session, rt: Runtime, look: Look) -> list[Finding]:
    return [keeper.compare(db, look) for keeper in part(rt).keepers]


def _mend(
    db: Session, router_id: int, found: Sequence[Finding], noted: dict[str, Any], now: datetime, next_at: datetime
) -> None:
    for finding in found:
        if finding.mend is not None:
            finding.mend(db, now)
    _note(db, router_id, noted, now, next_at)


def _note(db: Session, router_id: int, noted: dict[str, Any], now: datetime, next_at: datetime) -> None:
    db.execute(update(Router).where(Router.id == router_id).values(drift=noted, reconcile_at=next_at))


def _put_off(db: Session, router_id: int, next_at: datetime) -> None:
    db.execute(update(Router).where(Router.id == router_id).values(reconcile_at=next_at))


def _is_due(db: Session, router_id: int, now: datetime) -> bool:
    at = db.execute(select(Router.reconcile_at).where(Router.id == router_id)).first()
    return at is not None and (at[0] is None or at[0] <= now)


def _later(rt: Runtime, seconds: float) -> datetime:
    spread = 1 - SPREAD / 2 + SPREAD * rt.rng.random()
    return rt.clock.now() + timedelta(seconds=seconds * spread)
