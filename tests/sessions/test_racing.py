"""What happens in the same moment as a poll is counted once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bawaba.core.actor import SYSTEM
from bawaba.routers import promises
from bawaba.routers.driver import Client, RouterSession
from bawaba.routers.drivers import fake
from bawaba.routers.promises import due, promise
from bawaba.sessions import accounting, admission, rules, service
from bawaba.sessions import redeem as redeeming
from bawaba.vouchers import claiming
from bawaba.vouchers.models import Voucher
from tests.cast import PHONE, phones
from tests.sessions.test_accounting import the_session


@pytest.fixture
def middle_of_a_poll(monkeypatch):
    """Stops the first that books a reading, until `go_on` or a second has passed."""
    reached, go_on, booked = threading.Event(), threading.Event(), rules.booked

    def slow(last, reading):
        first = not reached.is_set()
        reached.set()
        if first:
            go_on.wait(1)
        return booked(last, reading)

    monkeypatch.setattr(rules, "booked", slow)
    return reached, go_on


def told(rt, cast, session_id: int, up: int) -> RouterSession:
    """What the router says of a session."""
    epoch = fake.box(cast.router.id).boot
    return RouterSession("1", admission.key_of(session_id), None, Client(PHONE), None, 60, up, 0, epoch)


def test_what_a_kick_has_booked_a_poll_does_not_book_again(rt, cast, middle_of_a_poll):
    reached, go_on = middle_of_a_poll
    card = cast.make_voucher()
    session_id = redeeming.redeem(rt, card.code, cast.guest()).session_id
    reading, now = told(rt, cast, session_id, 1000), rt.clock.now()

    def kicked() -> None:
        assert reached.wait(5)
        job = rt.transact(promise, cast.router.id, admission.KICK, session_id, now)
        rt.transact(admission.kicked, job, reading, now)
        go_on.set()

    with ThreadPoolExecutor(2) as pool:
        kick = pool.submit(kicked)
        rt.transact(accounting.settle, cast.router.id, [reading], now, now)
        kick.result(10)

    assert the_session(rt).bytes_up == 1000
    assert cast.row(Voucher, card.id).bytes_up == 1000


def test_a_phone_that_moves_in_the_middle_of_a_poll_is_counted_at_its_new_router(rt, cast, clock, middle_of_a_poll):
    reached, go_on = middle_of_a_poll
    other = cast.make_router(cast.site.id)
    fake.box(other.id, clock)  # its counters began before those of the first, so that an old reading is the higher
    card = cast.make_voucher()
    session_id = redeeming.redeem(rt, card.code, cast.guest()).session_id
    fake.box(cast.router.id).reboot()
    reading, now = told(rt, cast, session_id, 1000), rt.clock.now()

    def moves() -> None:
        assert reached.wait(5)
        redeeming.redeem(rt, card.code, cast.guest(router=other))
        go_on.set()

    with ThreadPoolExecutor(2) as pool:
        move = pool.submit(moves)
        rt.transact(accounting.settle, cast.router.id, [reading], now, now)
        move.result(10)

    session = the_session(rt)
    assert (session.router_id, session.seen_epoch) == (other.id, fake.box(other.id).boot)


def test_work_that_somebody_waits_for_is_not_due_for_the_outbox_too(rt, cast):
    """Of two kicks one finds nobody there any more; if it were first to say so, the last counters would be lost."""
    card = cast.make_voucher()
    session_id = redeeming.redeem(rt, card.code, cast.guest()).session_id
    now = rt.clock.now()
    rt.transact(service._terminate, SYSTEM, session_id, rules.ADMIN_RESET, now)
    redeeming.redeem(rt, card.code, cast.guest())
    rt.transact(service._set_disabled, SYSTEM, card.id, True, now)

    assert rt.read(due, cast.router.id, ["kick"], now) == []


def test_switching_a_card_off_waits_for_a_silent_router_once(rt, cast):
    card = cast.make_voucher(devices_at_once=4)
    for mac in phones(4):
        redeeming.redeem(rt, card.code, cast.guest(mac))
    waits: list[float] = []
    routers = rt.parts["routers"]
    deliver = routers.deliver

    def silent(job, work, wait_s):
        waits.append(wait_s)
        time.sleep(wait_s)
        return deliver(job, work, 0.0)

    routers.deliver = silent
    service.set_disabled(rt, SYSTEM, card.id, True)

    assert len(waits) == 4
    assert sum(waits) <= redeeming.GUEST_WAIT_S


def test_a_guest_who_asks_again_and_the_answer_of_his_router_do_not_wait_for_each_other(rt, cast):
    """One has the card and wants the promise, the other has the answer to the promise and wants the card."""
    fake.box(cast.router.id).break_with("unreachable")
    got = redeeming.redeem(rt, cast.make_voucher().code, cast.guest())
    promised = rt.read(admission.open_admit, got.session_id)
    there = RouterSession(admission.key_of(got.session_id), None, None, cast.guest().client, None, 0, 0, 0)
    kind, has_card, runs = rt.parts["routers"].kinds["admit"], threading.Event(), list[str]()

    def asks(db):
        runs.append("guest")
        claiming.BY_ID.first(db, id=got.voucher_id)
        has_card.set()
        time.sleep(0.5)  # the answer comes now
        admission.ask_again(db, promised.job.id, cast.guest().client, cast.now)

    def answers(db):
        runs.append("router")
        return promises.followed(db, kind, promised.job, there, cast.now)

    guest = threading.Thread(target=rt.transact, args=(asks,))
    guest.start()
    assert has_card.wait(5)
    rt.transact(answers)
    guest.join(10)
    assert sorted(runs) == ["guest", "router"]
