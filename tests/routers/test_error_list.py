"""The error list: one line a router, however much it owes, and what a person decides about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from bawaba.core.runtime import Runtime
from bawaba.routers.drivers import fake
from bawaba.routers.models import Router, RouterGrant, RouterJob
from bawaba.sessions import redeem as redeeming
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import making
from tests.cast import Cast, person, phones
from tests.staff import Person, error_of, faults_of, signed_in

HANA = person()


@pytest.fixture
def deliver(rt: Runtime) -> Callable[[int], None]:
    routers = rt.parts["routers"]
    return lambda router_id: routers.loop.submit(routers._deliver_due(router_id)).result(30)


@pytest.fixture
def dead(rt: Runtime, cast: Cast, clock: Any, deliver: Callable[[int], None]) -> Router:
    """A router that holds 1,000 cards in theory, and has none of them."""
    site = cast.make_site(mode="router_held")
    router = cast.make_router(site.id, name="Roof")
    fake.box(router.id, clock).break_with("unreachable")
    batch = making.order_batch(rt, HANA, making.BatchOrder(cast.make_plan(site_id=site.id).plan_id, 1000))
    rt.parts["batch_maker"].make(batch.id)
    deliver(router.id)
    return router


def lines(person: Person) -> list[dict[str, Any]]:
    answer: Any = person.get("/api/router-jobs/by-router").json
    return list(answer["items"])


def owe(cast: Cast, kind: str, count: int = 1, **facts: Any) -> list[RouterJob]:
    base = {"router_id": cast.router.id, "kind": kind, "state": "open", "attempts": 1, "last_error": "unreachable: x"}
    now = {"next_try_at": cast.now, "created_at": cast.now}
    return [cast._add(RouterJob(**(base | now | facts))) for _ in range(count)]


def test_a_dead_link_is_one_line_with_its_cards_however_many_wait(hana, dead):
    (line,) = lines(hana)
    assert (line["router_name"], line["waiting"], line["failed"]) == ("Roof", 1, 0)
    assert "unreachable" in line["last_error"]
    assert line["cards"] == {"wanted": 1000, "on_router": 0, "waiting": 1000, "refused": 0}
    jobs: Any = hana.get("/api/router-jobs?state=open").json
    assert [job["cards"]["waiting"] for job in jobs["items"]] == [1000]


def test_three_hundred_failed_kicks_are_one_line_too(hana, cast):
    owe(cast, "kick", 3, state="failed")
    owe(cast, "kick", 5)
    (line,) = lines(hana)
    assert (line["waiting"], line["failed"]) == (5, 3)


def test_what_another_site_owes_is_not_shown(rt, cast, app, dead):
    stranger = signed_in(app, rt, "stranger", "operator", [cast.site.id])
    assert lines(stranger) == []


def test_try_now_does_not_wait_for_the_router_to_have_rested(rt, cast, clock, hana, dead, deliver):
    for _ in range(3):
        clock.advance(20)
        deliver(dead.id)
    assert cast.row(Router, dead.id).breaker == "open"
    fake.box(dead.id).mend()
    deliver(dead.id)
    assert fake.box(dead.id).cards == {}

    assert hana.post("/api/router-jobs/retry", {"router_id": dead.id}).json == {"decided": 1}
    rt.parts["routers"].loop.submit(_quiet()).result(5)
    deliver(dead.id)
    assert len(fake.box(dead.id).cards) == 1000
    assert lines(hana) == []


async def _quiet() -> None:
    """What was to be done on the router loop is done after this."""


def test_cards_move_to_the_other_router_and_nothing_is_left_behind(rt, clock, cast, hana, dead, deliver):
    other = cast.make_router(dead.site_id, name="Tower")
    fake.box(other.id, clock)
    decided = hana.post("/api/router-jobs/move", {"router_id": dead.id, "to_router_id": other.id})
    assert decided.json == {"decided": 1}
    for router in (other, dead):
        deliver(router.id)

    assert len(fake.box(other.id).cards) == 1000
    assert rt.read(lambda db: db.scalar(select(func.count()).where(RouterGrant.router_id == dead.id))) == 0
    assert lines(hana) == []


def test_a_guest_who_waits_is_let_in_by_the_router_that_the_work_was_moved_to(
    rt,
    cast,
    clock,
    hana,
    deliver,
):
    fake.box(cast.router.id).break_with("unreachable")
    redeeming.redeem(rt, cast.make_voucher().code, cast.guest())
    other = cast.make_router(cast.site.id)
    fake.box(other.id, clock)
    (job,) = hana.get("/api/router-jobs").json["items"]
    moved = hana.post(f"/api/router-jobs/{job['id']}/move", {"router_id": other.id})
    assert moved.json["router_id"] == other.id
    deliver(other.id)

    session = rt.read(lambda db: db.scalars(select(GuestSession)).one())
    assert (session.state, session.router_id) == ("online", other.id)


def test_cutting_a_device_off_stays_with_its_router(cast, hana):
    other = cast.make_router(cast.site.id)
    (job,) = owe(cast, "kick")
    answer = hana.post(f"/api/router-jobs/{job.id}/move", {"router_id": other.id})
    assert (answer.status_code, error_of(answer)) == (409, "job_stays")


def test_work_moves_only_within_its_site_and_to_another_router(cast, hana, dead):
    (job,) = owe(cast, "admit")
    for target in (dead.id, cast.router.id):
        answer = hana.post(f"/api/router-jobs/{job.id}/move", {"router_id": target})
        assert "router_id" in faults_of(answer)


def test_given_up_work_rests_and_can_be_tried_again(rt, hana, cast, clock, dead, deliver):
    assert hana.post("/api/router-jobs/give-up", {"router_id": dead.id}).json == {"decided": 1}
    (job,) = hana.get("/api/router-jobs?state=failed").json["items"]
    assert job["given_up_by"] == "hana" and lines(hana) == []
    batch: Any = hana.get("/api/batches").json["items"][0]
    assert batch["router_sync"] == "failed"
    fake.box(dead.id).mend()
    clock.advance(600)
    deliver(dead.id)
    assert fake.box(dead.id).cards == {}

    hana.post(f"/api/router-jobs/{job['id']}/retry")
    deliver(dead.id)
    assert len(fake.box(dead.id).cards) == 1000
    assert hana.get("/api/batches").json["items"][0]["router_sync"] == "synced"


def test_chosen_jobs_are_decided_together(hana, cast):
    jobs = owe(cast, "kick", 4)
    answer = hana.post("/api/router-jobs/give-up", {"ids": [job.id for job in jobs[:3]]})
    assert answer.json == {"decided": 3}
    assert [cast.row(RouterJob, job.id).state for job in jobs] == ["failed"] * 3 + ["open"]


def test_a_choice_says_what_it_is_about(hana, cast):
    for body in ({}, {"ids": [1], "router_id": cast.router.id}):
        assert hana.post("/api/router-jobs/retry", body).status_code == 422


def test_an_operator_sees_and_does_not_decide(app, rt, cast):
    omar = signed_in(app, rt, "omar", "operator", [cast.site.id])
    owe(cast, "kick")
    assert len(lines(omar)) == 1
    for verb in ("retry", "move", "give-up"):
        assert omar.post(f"/api/router-jobs/{verb}", {"router_id": cast.router.id}).status_code == 403


def test_many_guests_of_a_dead_router_are_one_line_and_go_to_the_spare_in_one_decision(
    rt,
    cast,
    clock,
    hana,
    deliver,
):
    fake.box(cast.router.id).break_with("refused")
    for mac in phones(12):
        redeeming.redeem(rt, cast.make_voucher().code, cast.guest(mac))
    assert [line["waiting"] for line in lines(hana)] == [12]
    other = cast.make_router(cast.site.id)
    fake.box(other.id, clock)
    decided = hana.post("/api/router-jobs/move", {"router_id": cast.router.id, "to_router_id": other.id})
    assert decided.json == {"decided": 12}
    deliver(other.id)
    assert len(fake.box(other.id).sessions) == 12


def test_moving_without_saying_where_is_a_fault_of_what_was_sent(cast, hana):
    (job,) = owe(cast, "admit")
    assert "router_id" in faults_of(hana.post(f"/api/router-jobs/{job.id}/move", {}))
    assert "to_router_id" in faults_of(hana.post("/api/router-jobs/move", {"ids": [job.id]}))
    assert hana.post("/api/router-jobs/999/move", {}).status_code == 404
