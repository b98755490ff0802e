"""Promises kept through bad links: together, in turn, once, by a spare, and not by asking a dead router all day."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from bawaba import wiring
from bawaba.core.database import DatabaseAway
from bawaba.core.events import Event
from bawaba.core.runtime import Runtime
from bawaba.monitoring import polling
from bawaba.routers import cards, leases, pace, promises
from bawaba.routers.delivery import Deliverer
from bawaba.routers.driver import Client, Grant, RouterUnreachable
from bawaba.routers.drivers import fake
from bawaba.routers.events import JobFailed, RouterStatusChanged
from bawaba.routers.models import Router, RouterGrant, RouterJob
from bawaba.routers.promises import Kind, promise
from bawaba.sessions import redeem as redeeming
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import making
from tests.cast import PHONE, TABLET, Cast, person, phones

HANA = person()


async def ask_how_it_is(ask: Any, work: int) -> None:
    await ask("health")


LOOK = Kind(lambda db, job, now: job.ref, ask_how_it_is, lambda db, job, result, now: [], about=lambda work: work)


def deliver(rt: Runtime, router_id: int) -> None:
    routers = rt.parts["routers"]
    routers.loop.submit(routers._deliver_due(router_id)).result(30)


def look(rt: Runtime, router_id: int) -> None:
    rt.parts["routers"].loop.submit(polling.poll(rt, router_id)).result(30)


def jobs(rt: Runtime, **is_like: Any) -> list[RouterJob]:
    return rt.read(lambda db: list(db.scalars(select(RouterJob).filter_by(**is_like).order_by(RouterJob.id))))


def heard(rt: Runtime, kind: type[Event]) -> list[Any]:
    events: list[Any] = []
    rt.events.subscribe(kind, events.append)
    return events


@pytest.fixture
def shop(rt: Runtime, cast: Cast, clock: Any) -> Callable[[int], Router]:
    """A router-held site whose router is told to hold so many cards of one batch."""

    def make(count: int) -> Router:
        site = cast.make_site(mode="router_held")
        router = cast.make_router(site.id)
        fake.box(router.id, clock).break_with("unreachable")
        version = cast.make_plan(site_id=site.id)
        batch = making.order_batch(rt, HANA, making.BatchOrder(version.plan_id, count))
        rt.parts["batch_maker"].make(batch.id)
        return router

    return make


def test_a_thousand_cards_made_while_the_router_is_off_are_all_there_when_it_is_back(rt, cast, clock, shop):
    router = shop(1000)
    for _ in range(4):
        deliver(rt, router.id)
        clock.advance(10)
    assert rt.read(cards.progress, [router.id])[router.id] == cards.Progress(1000, 0, 1000, 0)
    (job,) = jobs(rt, router_id=router.id)  # one line, not a thousand
    assert (job.state, job.kind) == ("open", "cards") and "unreachable" in str(job.last_error)

    fake.box(router.id).mend()
    clock.advance(120)
    deliver(rt, router.id)
    box = fake.box(router.id)
    assert len(box.cards) == len({card.grant.login for card in box.cards.values()}) == 1000
    assert rt.read(cards.progress, [router.id])[router.id] == cards.Progress(1000, 1000, 0, 0)
    assert [job.state for job in jobs(rt, router_id=router.id)] == ["done"]
    assert box.calls.count("put") < 20  # never a round trip a card


def test_cards_made_one_by_one_at_a_silent_router_wait_in_one_line(rt, cast, clock):
    site = cast.make_site(mode="router_held")
    router = cast.make_router(site.id)
    box = fake.box(router.id, clock)
    box.break_with("unreachable")
    plan_id = cast.make_plan(site_id=site.id).plan_id
    made = [making.make_card(rt, HANA, making.CardOrder(plan_id))[0] for _ in range(8)]

    assert set(making.sync_of(rt, [card.id for card in made]).values()) == {"pending"}
    assert len(jobs(rt, kind="cards")) == 1
    box.mend()
    clock.advance(120)
    deliver(rt, router.id)
    assert set(making.sync_of(rt, [card.id for card in made]).values()) == {"synced"}
    assert len(box.cards) == 8


def test_an_admit_that_is_still_under_way_at_a_spare_is_not_begun_by_anybody_else(rt, cast, clock, monkeypatch):
    """A dead router and a slow spare take longer than a fresh promise belongs to its request."""
    monkeypatch.setattr(promises, "HOLD_EVERY_S", 0.05)
    spare = cast.make_router(cast.site.id, failover_group="a")
    rt.transact(lambda db: db.get_one(Router, cast.router.id).__setattr__("failover_group", "a"))
    fake.box(cast.router.id, clock).break_with("unreachable")
    routers, going_on, go_on = rt.parts["routers"], threading.Event(), threading.Event()
    plain, asked = fake.Driver.admit, []

    async def slow(driver, grant, client):
        asked.append(driver.connection.router_id)
        if driver.connection.router_id == spare.id:
            going_on.set()
            await asyncio.to_thread(go_on.wait, 20)
        return await plain(driver, grant, client)

    monkeypatch.setattr(fake.Driver, "admit", slow)
    redemption = redeeming.redeem(rt, cast.make_voucher().code, cast.guest())
    assert redemption.status == "opening" and going_on.wait(5)
    asked.clear()
    fake.box(cast.router.id).mend()
    another = Deliverer(rt, routers.links)  # another process, whose turn it would be
    another.kinds = routers.kinds
    for _ in range(3):
        clock.advance(7)
        time.sleep(0.3)
        for deliverer in (another, routers.deliverer):
            routers.loop.submit(deliverer.due(cast.router.id, bulk=False)).result(10)
    assert asked == []

    go_on.set()
    wait_until(lambda: cast.row(GuestSession, redemption.session_id).state == "online")
    assert len(fake.box(spare.id).sessions) == 1 and fake.box(cast.router.id).sessions == {}


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_guest_is_let_in_between_two_calls_of_a_thousand_cards(rt, cast, clock, shop, monkeypatch):
    router = shop(1000)
    box, order = fake.box(router.id), []
    box.mend()
    guest_came = asyncio.Event()
    plain = fake.Driver._do

    async def watched(driver: Any, verb: str, work: Any) -> Any:
        order.append(verb)
        if verb == "put" and order.count("put") == 2 and not guest_came.is_set():
            guest_came.set()
            rt.parts["routers"].loop._loop.create_task(admit())
        await asyncio.sleep(0.01)
        return await plain(driver, verb, work)

    async def admit() -> None:
        client = Client(mac=PHONE)
        await rt.parts["routers"].links.ask(router.id, "admit", Grant("session:1", 1), client)

    monkeypatch.setattr(fake.Driver, "_do", watched)
    monkeypatch.setattr(fake.Driver, "at_once", 1)
    deliver(rt, router.id)

    assert order.index("admit") <= 4 and order.count("put") == 10


def test_many_guests_of_one_router_are_let_in_side_by_side(rt, cast, clock, monkeypatch):
    """Ten promised admits, a connection that takes a few at a time: more than one is under way at once."""
    box = fake.box(cast.router.id)
    box.break_with("refused")
    for mac in phones(10):
        redeeming.redeem(rt, cast.make_voucher().code, cast.guest(mac))
    box.mend()
    clock.advance(120)
    under_way = most = 0
    plain = fake.Driver._do

    async def counted(driver: Any, verb: str, work: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return await plain(driver, verb, work)

    monkeypatch.setattr(fake.Driver, "_do", counted)
    deliver(rt, cast.router.id)

    assert len(box.sessions) == 10
    assert 1 < most <= fake.Driver.at_once


def test_what_concerns_one_phone_keeps_its_order(rt, cast, clock):
    """Shut out by one card and let in by another: the phone is in, whatever is quicker."""
    box = fake.box(cast.router.id)
    first, second = cast.make_voucher(), cast.make_voucher()
    redeeming.redeem(rt, first.code, cast.guest())
    box.break_with("unreachable")
    redeeming.redeem(rt, second.code, cast.guest())
    box.mend()
    clock.advance(120)
    deliver(rt, cast.router.id)
    deliver(rt, cast.router.id)

    live = rt.read(lambda db: db.scalars(select(GuestSession).where(GuestSession.ended_at.is_(None))).all())
    assert [session.voucher_id for session in live] == [second.id]
    assert [online.grant.key for online in box.sessions.values() if not online.ended] == [f"session:{live[0].id}"]


def test_a_router_that_fails_again_and_again_is_left_alone_and_its_work_says_why(rt, cast, clock):
    box = fake.box(cast.router.id)
    box.break_with("unreachable")
    rt.parts["routers"].kinds["look"] = LOOK
    for number in range(40):
        rt.transact(promise, cast.router.id, "look", number, clock.now())
    deliver(rt, cast.router.id)
    asked = len(box.calls)
    assert 3 <= asked <= 3 + fake.Driver.at_once  # not forty times
    assert cast.row(Router, cast.router.id).breaker == "open"
    assert all(job.last_error for job in jobs(rt))

    clock.advance(1)
    deliver(rt, cast.router.id)
    assert len(box.calls) == asked
    box.mend()
    clock.advance(60)
    look(rt, cast.router.id)
    deliver(rt, cast.router.id)
    row = cast.row(Router, cast.router.id)
    assert (row.breaker, row.failures, row.breaker_until) == ("closed", 0, None)
    assert {job.state for job in jobs(rt)} == {"done"}


def test_a_lost_answer_is_looked_up_and_nobody_is_let_in_twice(rt, cast, clock):
    box = fake.box(cast.router.id)
    box.break_with("lost_answer", ["admit"])
    redeeming.redeem(rt, cast.make_voucher().code, cast.guest())
    assert jobs(rt)[0].outcome_unknown
    box.mend()
    box.calls.clear()
    clock.advance(30)
    deliver(rt, cast.router.id)

    assert box.calls == ["sessions"]
    assert jobs(rt)[0].state == "done"
    assert rt.read(lambda db: db.scalars(select(GuestSession.state)).all()) == ["online"]


def test_cards_whose_answer_was_lost_are_looked_up_and_only_the_missing_are_written(rt, cast, clock, shop, monkeypatch):
    router = shop(150)
    box = fake.box(router.id)
    box.break_with("lost_answer", ["put"])
    deliver(rt, router.id)
    assert len(box.cards) == 100 and rt.read(cards.progress, [router.id])[router.id].on_router == 0
    box.mend()
    written: list[str] = []
    put = box.put

    def noted(grant: Grant, owner: str) -> bool:
        written.append(grant.key)
        return put(grant, owner)

    monkeypatch.setattr(box, "put", noted)
    clock.advance(120)
    deliver(rt, router.id)

    assert len(box.cards) == 150 and len(written) == 50


def test_a_guest_whom_nobody_could_let_in_takes_the_router_down(rt, cast, clock):
    told = heard(rt, RouterStatusChanged)
    failed = heard(rt, JobFailed)
    fake.box(cast.router.id).break_with("unreachable")
    redeeming.redeem(rt, cast.make_voucher().code, cast.guest())

    row = cast.row(Router, cast.router.id)
    assert (row.status, row.down_since) == ("down", clock.now())
    assert [event.status for event in told] == ["down"]
    assert failed[-1].error.startswith("partial_failure")
    assert str(jobs(rt)[0].last_error).startswith("partial_failure")


def test_a_refusal_does_not_take_a_router_down(rt, cast):
    fake.box(cast.router.id).break_with("refused")
    redeeming.redeem(rt, cast.make_voucher().code, cast.guest())
    assert cast.row(Router, cast.router.id).status == "up"


def test_open_promises_go_to_the_spare_once_there_is_one(rt, cast, clock):
    fake.box(cast.router.id).break_with("unreachable")
    redeeming.redeem(rt, cast.make_voucher().code, cast.guest())
    rt.transact(lambda db: db.query(Router).update({"failover_group": "roof"}))
    spare = cast.make_router(cast.site.id, failover_group="roof")
    fake.box(spare.id, clock)
    clock.advance(30)
    deliver(rt, cast.router.id)

    session = rt.read(lambda db: db.scalars(select(GuestSession)).one())
    assert (session.state, session.router_id) == ("online", spare.id)
    assert len(fake.box(spare.id).sessions) == 1


def test_a_router_left_alone_is_skipped_for_its_spare_without_being_asked(rt, cast, clock, monkeypatch):
    monkeypatch.setattr(redeeming, "GUEST_WAIT_S", 30.0)  # a busy machine may need longer than a guest is kept waiting
    rt.transact(lambda db: db.query(Router).update({"failover_group": "roof"}))
    spare = cast.make_router(cast.site.id, failover_group="roof")
    fake.box(spare.id, clock)
    box = fake.box(cast.router.id)
    box.break_with("unreachable")
    for mac in phones(3):
        assert redeeming.redeem(rt, cast.make_voucher().code, cast.guest(mac)).status == "online"
    box.calls.clear()

    assert redeeming.redeem(rt, cast.make_voucher().code, cast.guest(TABLET)).status == "online"
    assert box.calls == []


def test_a_card_that_the_router_refuses_does_not_keep_the_others_away(rt, cast, clock, shop):
    router = shop(250)
    box = fake.box(router.id)
    box.mend()
    bad = rt.read(lambda db: db.scalars(select(RouterGrant.id).order_by(RouterGrant.id).limit(120)).all())
    empty = {"uptime_s": 0, "devices": 1}
    rt.transact(lambda db: db.query(RouterGrant).filter(RouterGrant.id.in_(bad)).update({"limits": empty}))
    for _ in range(8):
        clock.advance(120)
        deliver(rt, router.id)

    assert len(box.cards) == 130
    assert rt.read(cards.progress, [router.id])[router.id].refused == 120
    (job,) = jobs(rt, kind="cards")
    assert job.state == "failed" and "120 cards" in str(job.last_error)


def test_cards_given_up_stay_away_until_they_are_tried_again(rt, cast, clock, shop):
    router = shop(10)
    rt.transact(cards.give_up, router.id)
    fake.box(router.id).mend()
    clock.advance(60)
    deliver(rt, router.id)
    ids = rt.read(lambda db: db.scalars(select(RouterGrant.key)).all())
    assert fake.box(router.id).cards == {}
    assert set(making.sync_of(rt, ids).values()) == {"failed"}

    rt.transact(cards.take_up_again, router.id)
    rt.transact(cards.promise_cards, router.id, clock.now())
    deliver(rt, router.id)
    assert len(fake.box(router.id).cards) == 10


def test_the_measured_link_is_on_the_routers_row(rt, cast):
    look(rt, cast.router.id)
    assert cast.row(Router, cast.router.id).link_ms is not None


def test_promises_keep_count_of_rows_small(rt, cast, clock, shop):
    router = shop(300)
    fake.box(router.id).mend()
    clock.advance(120)
    deliver(rt, router.id)
    assert rt.read(lambda db: db.scalar(select(func.count()).select_from(RouterJob))) == 1


def test_a_silent_router_holds_half_of_the_threads_at_most(rt, cast):
    """Six threads wait for it; the seventh is told at once that it does not answer."""
    fake.box(cast.router.id).break_with("slow")
    routers = rt.parts["routers"]
    most = rt.config.web_threads // 2
    with ThreadPoolExecutor(most) as pool:
        waiting = [pool.submit(routers.ask, cast.router.id, "locate", mac=PHONE, deadline_s=2.0) for _ in range(most)]
        time.sleep(0.5)
        with pytest.raises(RouterUnreachable, match="others wait"):
            routers.ask(cast.router.id, "locate", mac=PHONE, deadline_s=2.0)
        assert not any(future.done() for future in waiting)
        for future in waiting:
            assert isinstance(future.exception(), RouterUnreachable)


def test_work_that_is_under_way_is_not_taken_up_a_second_time(rt, cast, monkeypatch):
    """One job meets a database that is away; the other one is still being done when that is known."""
    begun: list[int] = []

    async def slowly(ask: Any, work: int) -> None:
        begun.append(work)
        await asyncio.sleep(0.3)
        if work == 1:
            raise DatabaseAway()
        await asyncio.sleep(0.5)

    routers = rt.parts["routers"]
    kind = Kind(lambda db, job, now: job.ref, slowly, lambda db, job, result, now: [], about=lambda work: work)
    monkeypatch.setitem(routers.kinds, "slow", kind)
    for ref in (1, 2):
        rt.transact(promise, cast.router.id, "slow", ref, rt.clock.now())

    with pytest.raises(DatabaseAway):
        deliver(rt, cast.router.id)
    begun.clear()
    with pytest.raises(DatabaseAway):
        deliver(rt, cast.router.id)
    assert begun == [1]


def test_work_that_waits_for_its_turn_says_nothing_of_the_router(rt, cast, monkeypatch):
    """A router that takes one call at a time, and more at once than it does in the time that one call has."""
    monkeypatch.setattr(fake.Driver, "at_once", 1)
    monkeypatch.setattr(pace, "CALL_S", 0.9)
    monkeypatch.setitem(rt.parts["routers"].kinds, "look", LOOK)
    router = cast.make_router(cast.site.id, options={"delay_s": 0.2})
    for ref in range(8):
        rt.transact(promise, router.id, "look", ref, rt.clock.now())
    deliver(rt, router.id)

    assert {(job.state, job.attempts, job.last_error) for job in jobs(rt, router_id=router.id)} == {("done", 1, None)}
    row = cast.row(Router, router.id)
    assert (row.breaker, row.failures, row.status) == ("closed", 0, "up")


def test_a_poll_that_waits_for_its_turn_is_no_missed_poll(rt, cast, monkeypatch):
    monkeypatch.setattr(fake.Driver, "at_once", 1)
    monkeypatch.setattr(pace, "CALL_S", 0.3)
    router = cast.make_router(cast.site.id, options={"delay_s": 1.0})
    routers = rt.parts["routers"]

    async def both() -> None:
        under_way = asyncio.ensure_future(routers.links.ask(router.id, "sessions"))
        await asyncio.sleep(0.1)
        await polling.poll(rt, router.id)
        await under_way

    routers.loop.submit(both()).result(10)
    row = cast.row(Router, router.id)
    assert (row.status, row.missed_polls) == ("up", 0)


def test_whatever_the_database_says_the_next_beat_comes(rt, cast, monkeypatch):
    def full(*_args: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as outage:
        outage.setattr(leases, "take", full)
        rt.parts["routers"].start()
        time.sleep(0.3)
    until = time.monotonic() + 10
    while fake.box(cast.router.id).calls.count("health") == 0 and time.monotonic() < until:
        time.sleep(0.05)
    assert "health" in fake.box(cast.router.id).calls


def test_whatever_the_database_says_the_house_is_kept(rt, monkeypatch):
    def full(*_args: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(wiring, "keep_house", full)
    house = rt.parts["housekeeping"]
    house.start()
    house._thread.join(0.5)
    assert house._thread.is_alive()
