"""A session that its router has not confirmed: it opens, or it ends; it never hangs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from bawaba.core.actor import SYSTEM
from bawaba.routers import error_list, removing
from bawaba.routers import service as routers_service
from bawaba.routers.drivers import fake
from bawaba.routers.errors import RouterUnreachableNow
from bawaba.routers.models import RouterJob
from bawaba.sessions import redeem as redeeming
from bawaba.sessions import service
from bawaba.sessions.errors import UnknownPlace
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import making
from bawaba.vouchers.models import Voucher
from tests.cast import HOUR, MIB, PHONE, TABLET
from tests.sessions.test_accounting import look, the_session


def jobs(rt, kind: str = "admit") -> list[RouterJob]:
    return list(rt.read(lambda db: db.scalars(select(RouterJob).where(RouterJob.kind == kind)).all()))


def test_a_guest_whose_admit_was_given_up_gets_in_by_asking_again(rt, cast):
    card = cast.make_voucher()
    box = fake.box(cast.router.id)
    box.break_with("refused")
    assert redeeming.redeem(rt, card.code, cast.guest()).status == "opening"
    error_list.decide_job(rt, SYSTEM, jobs(rt)[0].id, "give_up")
    box.mend()
    again = redeeming.redeem(rt, card.code, cast.guest())

    assert (again.status, again.resumed) == ("online", True)
    assert len(box.sessions) == 1


def test_asking_again_while_the_admit_is_under_way_promises_no_second_one(rt, cast):
    card = cast.make_voucher()
    fake.box(cast.router.id).break_with("unreachable")
    for _ in range(3):
        assert redeeming.redeem(rt, card.code, cast.guest()).status == "opening"

    assert len(jobs(rt)) == 1


def test_a_session_that_never_opened_ends_with_its_card(rt, cast, clock):
    card = cast.make_voucher(duration_seconds=10 * HOUR, card={"ends_at": clock.now() + timedelta(hours=1)})
    box = fake.box(cast.router.id)
    box.break_with("unreachable")
    redeeming.redeem(rt, card.code, cast.guest())
    clock.advance(2 * HOUR)
    box.mend()
    look(rt, cast.router.id)

    session = the_session(rt)
    assert (session.state, session.terminate_cause, session.used_seconds) == ("ended", "Session-Timeout", 0)
    assert box.sessions == {}


def test_a_phone_that_moves_to_a_silent_router_waits_there(rt, cast, clock):
    other = cast.make_router(cast.site.id)
    fake.box(other.id, clock).break_with("unreachable")
    card = cast.make_voucher()
    redeeming.redeem(rt, card.code, cast.guest())
    moved = redeeming.redeem(rt, card.code, cast.guest(router=other))

    assert (moved.status, moved.start_time, moved.end_time, moved.resumed) == ("opening", None, None, True)


def test_a_new_card_stays_the_one_in_use_when_the_manager_dies_before_noting_its_start(rt, cast, clock):
    first, second = cast.make_voucher(), cast.make_voucher()
    redeeming.redeem(rt, first.code, cast.guest())
    box = fake.box(cast.router.id)
    box.break_with("lost_answer", ["admit"])
    assert redeeming.redeem(rt, second.code, cast.guest()).status == "opening"
    box.mend()
    for seconds in (1, 30):
        clock.advance(seconds)
        look(rt, cast.router.id)

    live = rt.read(lambda db: db.scalars(select(GuestSession).where(GuestSession.ended_at.is_(None))).all())
    assert [(session.voucher_id, session.state) for session in live] == [(second.id, "online")]
    assert [online.grant.key for online in box.sessions.values() if not online.ended] == [f"session:{live[0].id}"]


def test_a_late_kick_leaves_alone_who_has_come_back(rt, cast, clock):
    """The phone roams away while its first router cannot be told, and is back before that router is."""
    other = cast.make_router(cast.site.id)
    fake.box(other.id, clock)
    card = cast.make_voucher()
    redeeming.redeem(rt, card.code, cast.guest())
    home = fake.box(cast.router.id)
    home.break_with("unreachable", ["kick"])
    redeeming.redeem(rt, card.code, cast.guest(router=other))
    assert redeeming.redeem(rt, card.code, cast.guest()).status == "online"
    home.mend()
    clock.advance(120)
    look(rt, cast.router.id)

    assert [online.ended for online in home.sessions.values()] == [""]
    assert cast.row(Voucher, card.id).used_seconds == 0
    assert {job.state for job in jobs(rt, "kick") if job.router_id == cast.router.id} == {"done"}
    assert the_session(rt).client_mac == PHONE != TABLET


def test_work_for_a_router_that_the_phone_has_left_is_not_done_late(rt, cast, clock):
    other = cast.make_router(cast.site.id)
    fake.box(other.id, clock)
    card = cast.make_voucher()
    home = fake.box(cast.router.id)
    home.break_with("unreachable")
    assert redeeming.redeem(rt, card.code, cast.guest()).status == "opening"
    assert redeeming.redeem(rt, card.code, cast.guest(router=other)).status == "online"
    home.mend()
    clock.advance(60)
    look(rt, cast.router.id)
    look(rt, other.id)

    session = the_session(rt)
    assert (session.router_id, session.state) == (other.id, "online")
    assert (len(home.sessions), len(fake.box(other.id).sessions)) == (0, 1)


def test_a_router_that_was_removed_in_this_very_moment_is_an_unknown_place(rt, cast):
    card = cast.make_voucher()
    guest = cast.guest()
    removing.remove_router(rt, SYSTEM, cast.router.id)

    for ask in (lambda: redeeming.redeem(rt, card.code, guest), lambda: redeeming.resume(rt, guest)):
        with pytest.raises(UnknownPlace):
            ask()


def test_what_was_moved_before_a_phone_left_and_came_back_counts_once(rt, cast, clock):
    """Its first router could not be told that it had left: there its counters have gone on from where they were."""
    other = cast.make_router(cast.site.id)
    first = fake.box(cast.router.id)
    fake.box(other.id, clock)
    card = cast.make_voucher(quota_bytes=500 * MIB)
    redeeming.redeem(rt, card.code, cast.guest())
    first.move_traffic(PHONE, 0, 20 * MIB)
    clock.advance(30)
    look(rt, cast.router.id)
    first.break_with("unreachable", ["kick"])
    redeeming.redeem(rt, card.code, cast.guest(router=other))
    first.mend()
    redeeming.redeem(rt, card.code, cast.guest())
    first.move_traffic(PHONE, 0, MIB)
    clock.advance(30)
    look(rt, cast.router.id)

    assert cast.row(Voucher, card.id).bytes_down == the_session(rt).bytes_down == 21 * MIB


def test_a_router_in_maintenance_hears_of_no_kick_no_card_and_no_guest_whom_a_spare_takes(rt, cast, clock):
    site = cast.make_site(mode="router_held")
    first, spare = (cast.make_router(site.id, failover_group="a") for _ in range(2))
    box = fake.box(first.id, clock)
    online = redeeming.redeem(rt, cast.make_voucher(site_id=site.id).code, cast.guest(router=first))
    routers_service.change_router(rt, SYSTEM, first.id, {"status": "maintenance"})
    box.calls.clear()

    service.terminate(rt, SYSTEM, online.session_id)
    making.make_card(rt, SYSTEM, making.CardOrder(cast.make_plan(site_id=site.id).plan_id))
    guest = cast.guest(TABLET, first)
    assert redeeming.redeem(rt, cast.make_voucher(site_id=site.id).code, guest).status == "online"

    assert box.calls == [] and len(fake.box(spare.id).sessions) == 1
    info, error = routers_service.test_router(rt, SYSTEM, first.id)  # what its owner asks by hand is asked
    assert info is not None and error is None

    routers_service.change_router(rt, SYSTEM, first.id, {"status": "up"})
    clock.advance(30)
    routers = rt.parts["routers"]
    routers.loop.submit(routers._deliver_due(first.id)).result(10)
    assert box.sessions == {} and len(box.cards) == 1


def test_a_router_in_maintenance_is_left_alone_and_no_card_is_spent_on_it(rt, cast):
    routers_service.change_router(rt, SYSTEM, cast.router.id, {"status": "maintenance"})
    card = cast.make_voucher()
    with pytest.raises(RouterUnreachableNow):
        redeeming.redeem(rt, card.code, cast.guest())
    assert cast.row(Voucher, card.id).status == "unused" and fake.box(cast.router.id).calls == []

    routers_service.change_router(rt, SYSTEM, cast.router.id, {"status": "up"})
    assert redeeming.redeem(rt, card.code, cast.guest()).status == "online"
