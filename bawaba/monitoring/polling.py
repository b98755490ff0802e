"""One look at a router: who is online and how it is, written down in one transaction, told to those who watch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from bawaba.core.errors import Problem
from bawaba.core.events import Event
from bawaba.core.runtime import Runtime
from bawaba.monitoring.samples import Sample, samples
from bawaba.routers import reconcile, service, standing
from bawaba.routers.driver import GatewayError, Health, RouterSession, RouterUnreachable
from bawaba.routers.links import NotItsTurn
from bawaba.routers.models import Router
from bawaba.routers.part import Poll, part
from bawaba.sessions import accounting, admission

log = structlog.get_logger(__name__)
PERIOD_S = 30.0
LOOK_AGAIN_S = 3.0  # after guests were promised to a router again: did they get in?
SPREAD = 0.1  # of the period, so that a thousand routers are not asked in the same second


Look = Callable[[Runtime, int, datetime], Awaitable[list[Event]]]


def by_make(tellers: Mapping[str, Look]) -> Poll:
    """The poll of every router: those of some makes tell us by themselves and cannot be asked, so a `Look` by the name
    of their driver acts on what they told (given when the next one is); all others are asked."""

    async def look(rt: Runtime, router_id: int) -> None:
        teller = tellers.get((await part(rt).links.link(router_id)).driver_name)
        if teller is None:
            await poll(rt, router_id)
            return
        next_at = next_poll_at(rt)
        try:
            events = await teller(rt, router_id, next_at)
        except Problem:  # the database is away
            raise
        except Exception:
            log.exception("what a router told could not be settled", router_id=router_id)
            await rt.transact_async(service.put_off, router_id, next_at)
            return
        for event in events:
            rt.publish(event)
        part(rt).wake()

    return look


async def poll(rt: Runtime, router_id: int) -> None:
    """Ask a router once and act on the answer; one that does not answer is noted as such."""
    links, asked_at = part(rt).links, rt.clock.now()
    try:
        health = await links.ask(router_id, "health", probing=True)
        seen = await links.ask(router_id, "sessions")
    except NotItsTurn:  # we ourselves keep it busy: it answers others
        await rt.transact_async(service.put_off, router_id, next_poll_at(rt))
        return
    except GatewayError as error:
        await _missed(rt, router_id, error)
        return
    next_at = next_poll_at(rt)
    try:
        events, sample = await rt.transact_async(settle, router_id, health, seen, asked_at, rt.clock.now(), next_at)
    except Problem:  # the database is away
        raise
    except Exception:
        log.exception("a router's sessions could not be settled", router_id=router_id)
        await rt.transact_async(service.put_off, router_id, next_at)  # else it would be asked twice a second
        return
    samples(rt).add(sample)
    for event in events:
        rt.publish(event)
    part(rt).wake()
    await reconcile.reconcile_if_due(rt, router_id)


def settle(
    db: Session,
    router_id: int,
    health: Health,
    seen: list[RouterSession],
    asked_at: datetime,
    now: datetime,
    next_at: datetime,
) -> tuple[list[Event], Sample]:
    """One pass: usage booked, limits enforced, reboots healed, the router's own row brought up to date."""
    router = db.get(Router, router_id)
    if router is None:
        return [], Sample(router_id, now, health)
    before, rebooted = router.status, bool(router.boot) and health.boot > router.boot
    off_since = _off_since(router, health, now) if rebooted else None
    settled = accounting.settle(db, router_id, seen, asked_at, now, off_since=off_since)
    online = sum(1 for session in seen if not session.raw.get("ended"))
    if settled.readmitted:
        next_at = min(next_at, now + timedelta(seconds=LOOK_AGAIN_S))
    service.saw(db, router_id, now, next_at, boot=health.boot, online=online, health=asdict(health))
    if rebooted or before == "down":
        reconcile.ask_soon(db, router_id)
    if rebooted:
        log.warning("a router has started anew", router_id=router_id, readmitted=len(settled.readmitted))
    db.flush()
    events: list[Event] = list(settled.events)
    events += admission.changes(db, settled.ended + settled.began, urgent=True)
    events += settled.news
    if before != router.status or online != 0 or before == "up":
        events.append(standing.status_event(router))
    return events, Sample(router_id, now, health, online, settled.up, settled.down)


def _off_since(router: Router, health: Health, now: datetime) -> datetime:
    """When a router that has started anew went off, never too early: by the first poll that it missed, else by its
    start, and not before it was last seen."""
    booted_at = now - timedelta(seconds=health.uptime_s or 0)
    if router.last_seen_at is None:
        return booted_at
    if router.missed_polls:
        booted_at = min(booted_at, router.last_seen_at + timedelta(seconds=PERIOD_S * (1 + SPREAD / 2)))
    return max(booted_at, router.last_seen_at)


async def _missed(rt: Runtime, router_id: int, error: GatewayError) -> None:
    """Degraded, then down; asked again sooner at first."""
    samples(rt).add(Sample(router_id, rt.clock.now()))
    await part(rt).links.forget(router_id) if isinstance(error, RouterUnreachable) else None
    router = await rt.transact_async(service.missed, router_id, error, rt.clock.now(), next_poll_at(rt))
    log.warning("a router was not read", router_id=router_id, error=str(error))
    if router is not None:
        rt.publish(standing.status_event(router))


def next_poll_at(rt: Runtime) -> datetime:
    """When to ask again: every 30 s, a little spread."""
    return rt.clock.now() + timedelta(seconds=PERIOD_S * (1 - SPREAD / 2 + SPREAD * rt.rng.random()))
