"""Usage is counted once, time is right to the poll, and who has nothing left is out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.statement import Statement
from bawaba.monitoring.polling import poll, settle
from bawaba.routers import service
from bawaba.routers.driver import Client, Health, RouterSession, RouterUnreachable
from bawaba.routers.drivers import fake
from bawaba.routers.models import Router, RouterJob
from bawaba.sessions import accounting
from bawaba.sessions import redeem as redeeming
from bawaba.sessions.admission import key_of
from bawaba.sessions.models import GuestSession
from bawaba.sessions.rules import Reading, booked
from bawaba.vouchers.errors import VoucherUsed
from bawaba.vouchers.models import Voucher
from tests.cast import HOUR, MIB, PHONE, TABLET, person, phones


def look(rt, router_id: int) -> None:
    """One poll, and the work that follows from it."""
    routers = rt.parts["routers"]

    async def once() -> None:
        await poll(rt, router_id)
        await routers._deliver_due(router_id)

    routers.loop.submit(once()).result(10)


def the_session(rt) -> GuestSession:
    return rt.read(lambda db: db.scalars(select(GuestSession).order_by(GuestSession.id.desc())).first())


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), max_size=6)),
        max_size=5,
    ),
    st.randoms(),
)
def test_usage_is_counted_once_whatever_order_readings_arrive_in(lives, chance):
    """Reorder, repeat, loss, counter reset: what is booked is what the last seen reading of each life says, at most."""
    readings = []
    for epoch, (_, steps) in enumerate(lives, start=1):
        up = down = 0
        for more_up, more_down in steps:
            up, down = up + more_up, down + more_down
            readings.append(Reading(epoch, up, down))
    in_order = [reading for reading in readings if chance.random() < 0.8]  # loss
    delivered = []
    for reading in in_order:
        delivered += [reading] * chance.randint(1, 2)  # repeat
    if delivered:  # reorder within a life, and stragglers of an earlier one
        delivered.sort(key=lambda reading: (reading.epoch, chance.random()))
        delivered.append(chance.choice(delivered))

    last, total_up, total_down = Reading(0, 0, 0), 0, 0
    for reading in delivered:
        last, up, down = booked(last, reading)
        assert up >= 0 and down >= 0
        total_up, total_down = total_up + up, total_down + down

    by_life: dict[int, tuple[int, int]] = {}
    for reading in in_order:
        before = by_life.get(reading.epoch, (0, 0))
        by_life[reading.epoch] = (max(before[0], reading.up), max(before[1], reading.down))
    assert total_up == sum(up for up, _ in by_life.values())
    assert total_down == sum(down for _, down in by_life.values())


def test_usage_is_booked_on_session_and_card(rt, cast):
    card = cast.make_voucher()
    redeeming.redeem(rt, card.code, cast.guest())
    box = fake.box(cast.router.id)
    box.move_traffic(PHONE, 1000, 5000)
    look(rt, cast.router.id)
    look(rt, cast.router.id)
    box.move_traffic(PHONE, 10, 20)
    look(rt, cast.router.id)

    session, voucher = the_session(rt), cast.row(Voucher, card.id)
    assert (session.bytes_up, session.bytes_down) == (1010, 5020)
    assert (voucher.bytes_up, voucher.bytes_down) == (1010, 5020)


def test_data_used_up_ends_the_session_on_router_and_in_database(rt, cast):
    card = cast.make_voucher(quota_bytes=2 * MIB)
    redeeming.redeem(rt, card.code, cast.guest())
    fake.box(cast.router.id).move_traffic(PHONE, 0, 3 * MIB)
    look(rt, cast.router.id)

    session = the_session(rt)
    assert (session.state, session.terminate_cause, session.bytes_down) == ("ended", "NAS-Request", 2 * MIB)
    assert fake.box(cast.router.id).sessions == {}
    with pytest.raises(VoucherUsed):
        redeeming.redeem(rt, card.code, cast.guest(TABLET))


def test_time_over_ends_the_session_at_its_end(rt, cast, clock):
    card = cast.make_voucher(duration_seconds=HOUR)
    got = redeeming.redeem(rt, card.code, cast.guest())
    clock.advance(HOUR + 20)
    look(rt, cast.router.id)

    session = the_session(rt)
    assert (session.terminate_cause, session.ended_at) == ("Session-Timeout", got.end_time)
    assert fake.box(cast.router.id).sessions == {}


def test_a_used_time_card_stops_while_the_phone_is_silent(rt, cast, clock):
    card = cast.make_voucher(kind="used_time", duration_seconds=HOUR, idle_timeout_seconds=300)
    redeeming.redeem(rt, card.code, cast.guest())
    box = fake.box(cast.router.id)
    for _ in range(20):  # ten minutes online
        clock.advance(30)
        box.move_traffic(PHONE, 100, 100)
        look(rt, cast.router.id)
    for _ in range(11):  # then silence
        clock.advance(30)
        look(rt, cast.router.id)

    session, voucher = the_session(rt), cast.row(Voucher, card.id)
    assert (session.terminate_cause, session.used_seconds) == ("Idle-Timeout", 600)
    assert voucher.used_seconds == 600
    clock.advance(5 * HOUR)
    assert redeeming.resume(rt, cast.guest()).remaining_seconds == HOUR - 600


def test_where_no_bytes_are_counted_who_is_there_is_not_silent_and_who_is_away_is(rt, cast, clock):
    card = cast.make_voucher(kind="used_time", duration_seconds=HOUR, idle_timeout_seconds=300)
    redeeming.redeem(rt, card.code, cast.guest())
    key = key_of(the_session(rt).id)

    def tell(**raw: str) -> None:
        clock.advance(200)
        seen = [RouterSession(key, key, None, Client(PHONE), None, 0, 0, 0, 1, {"uncounted": "true", **raw})]
        rt.transact(accounting.settle, cast.router.id, seen, clock.now(), clock.now())

    for _ in range(4):
        tell()
    clock.advance(600)  # nobody looked for a while
    tell()
    assert the_session(rt).state == "online"
    tell(away="true")
    tell(away="true")
    assert the_session(rt).terminate_cause == "Idle-Timeout"


def test_after_a_router_reboot_guests_are_back_with_what_is_left(rt, cast, clock):
    card = cast.make_voucher(duration_seconds=HOUR, quota_bytes=100 * MIB)
    redeeming.redeem(rt, card.code, cast.guest())
    box = fake.box(cast.router.id)
    box.move_traffic(PHONE, 0, 30 * MIB)
    clock.advance(600)
    look(rt, cast.router.id)
    box.reboot()
    assert box.sessions == {}
    clock.advance(30)
    look(rt, cast.router.id)

    (online,) = box.sessions.values()
    assert online.grant.limits.bytes_total == 70 * MIB
    assert online.grant.limits.uptime_s == HOUR - 630
    box.move_traffic(PHONE, 0, 5 * MIB)
    clock.advance(30)
    look(rt, cast.router.id)
    assert the_session(rt).bytes_down == 35 * MIB


def test_a_router_that_answered_wrongly_was_on_until_then(rt, cast, clock):
    """An hour of refusals is no power cut: its guests were online, and pay for that when it starts anew at last."""
    card = cast.make_voucher(kind="used_time", duration_seconds=3 * HOUR)
    redeeming.redeem(rt, card.code, cast.guest())
    clock.advance(30)
    look(rt, cast.router.id)
    began = the_session(rt).start_time
    box = fake.box(cast.router.id)
    box.break_with("refused", ["health"])
    for _ in range(60):
        clock.advance(60)
        look(rt, cast.router.id)
    box.mend()
    box.reboot()
    clock.advance(60)
    look(rt, cast.router.id)

    start = the_session(rt).start_time
    assert start is not None and began is not None and (start - began).total_seconds() <= 120


def test_a_session_that_the_router_confirmed_before_we_died_is_found_again(rt, cast, clock):
    card = cast.make_voucher(duration_seconds=HOUR)
    box = fake.box(cast.router.id)
    box.break_with("lost_answer", ["admit"])
    got = redeeming.redeem(rt, card.code, cast.guest())
    assert got.status == "opening"
    box.mend()
    clock.advance(3)
    look(rt, cast.router.id)

    session = the_session(rt)
    assert session.state == "online"
    assert len(box.sessions) == 1


def test_a_ghost_is_closed_out(rt, cast, clock):
    """Online on the router by a session that has ended here."""
    card = cast.make_voucher()
    redeeming.redeem(rt, card.code, cast.guest())
    rt.transact(lambda db: db.query(GuestSession).update({"ended_at": clock.now(), "state": "ended"}))
    clock.advance(30)
    look(rt, cast.router.id)

    assert fake.box(cast.router.id).sessions == {}
    assert rt.read(lambda db: db.scalars(select(RouterJob).where(RouterJob.state != "done")).all()) == []


def test_a_missed_poll_degrades_two_take_it_down_and_an_answer_heals(rt, cast):
    from bawaba.routers.models import Router

    box = fake.box(cast.router.id)
    box.break_with("unreachable")
    seen = []
    for _ in range(2):
        look(rt, cast.router.id)
        seen.append(cast.row(Router, cast.router.id).status)
    box.mend()
    look(rt, cast.router.id)

    assert [*seen, cast.row(Router, cast.router.id).status] == ["degraded", "down", "up"]


@pytest.mark.parametrize("kind", ["used_time", "elapsed"])
def test_a_poll_asks_the_database_as_often_for_many_shared_cards_as_for_one(rt, cast, monkeypatch, kind):
    def share_a_card() -> None:
        card = cast.make_voucher(kind=kind, devices_at_once=2)
        for mac in (next(macs), next(macs)):
            redeeming.redeem(rt, card.code, cast.guest(mac))

    def asked_in_a_poll() -> int:
        asked: list[Statement] = []
        execute = Statement._execute

        def counted(statement: Statement, db: Session, values: dict[str, Any]) -> Any:
            asked.append(statement)
            return execute(statement, db, values)

        with monkeypatch.context() as patched:
            patched.setattr(Statement, "_execute", counted)
            seen = [RouterSession(key, key, None, Client(PHONE), None, 60, 5, 5, fake.box(cast.router.id).boot)
                    for key in map(key_of, live_ids(rt))]  # fmt: skip
            rt.transact(accounting.settle, cast.router.id, seen, rt.clock.now(), rt.clock.now())
        return len(asked)

    macs = iter(phones(40))
    share_a_card()
    for_one = asked_in_a_poll()
    for _ in range(12):
        share_a_card()

    assert asked_in_a_poll() == for_one


def test_phones_that_share_used_time_end_together_when_it_is_used_up(rt, cast, clock):
    other = cast.make_router(cast.site.id)
    fake.box(other.id, clock)
    card = cast.make_voucher(kind="used_time", devices_at_once=2, duration_seconds=HOUR, idle_timeout_seconds=2 * HOUR)
    redeeming.redeem(rt, card.code, cast.guest())
    redeeming.redeem(rt, card.code, cast.guest(TABLET, router=other))  # at another router, and the same time
    clock.advance(HOUR / 2 - 60)
    look(rt, cast.router.id)
    assert len(live_ids(rt)) == 2

    clock.advance(60)
    look(rt, cast.router.id)
    look(rt, other.id)
    assert live_ids(rt) == []


def live_ids(rt) -> list[int]:
    return rt.read(lambda db: list(db.scalars(select(GuestSession.id).where(GuestSession.ended_at.is_(None)))))


def test_a_person_who_takes_a_router_out_of_service_during_a_poll_is_heard(rt, cast):
    router_id, read, changed = cast.router.id, threading.Event(), threading.Event()
    rt.transact(service.missed, router_id, RouterUnreachable("silence"), cast.now)

    def poll(db) -> None:
        router = db.get(Router, router_id)
        assert router.status == "degraded"
        read.set()
        changed.wait(0.2 if rt.database.is_sqlite else 10)  # there nobody comes between
        service.saw(db, router.id, cast.now, cast.now)

    with ThreadPoolExecutor() as threads:
        polling = threads.submit(rt.transact, poll)
        read.wait(5)
        service.change_router(rt, person(), router_id, {"status": "maintenance"})
        changed.set()
        polling.result(10)
    assert cast.row(Router, router_id).status == "maintenance"


def test_a_router_that_was_seen_was_not_off_however_long_ago_it_says_it_started(rt, cast, clock):
    """A controller's start is worked out from its seconds; a little off, it looks like a new one."""
    card = cast.make_voucher(kind="used_time", duration_seconds=10 * HOUR)
    redeeming.redeem(rt, card.code, cast.guest())
    router_id, box = cast.router.id, fake.box(cast.router.id)
    for _ in range(4):
        clock.advance(30)
        box.move_traffic(PHONE, 0, MIB)
        look(rt, router_id)
    clock.advance(30)
    health = Health(uptime_s=30 * 86400, boot=cast.row(Router, router_id).boot + 1)
    rt.transact(settle, router_id, health, [], clock.now(), clock.now(), clock.now())

    used_s = (clock.now() - the_session(rt).start_time).total_seconds()
    assert used_s == 120
