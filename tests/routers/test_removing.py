"""Taking a router away that guests have used: it is hidden everywhere, and the past still names it."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from bawaba.core.actor import SYSTEM
from bawaba.radius.gateways import gateways
from bawaba.routers import leases, promises, queries, removing
from bawaba.routers.directory import directory
from bawaba.routers.drivers import fake
from bawaba.routers.errors import RouterInUse, RouterNotFound
from bawaba.routers.models import Router, RouterGrant, RouterJob
from bawaba.routers.part import _due_routers
from bawaba.sessions import redeem as redeeming
from bawaba.sessions import service as sessions
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import making
from tests.cast import person
from tests.staff import error_of


def online_at(rt, cast, router, **terms):
    return redeeming.redeem(rt, cast.make_voucher(**terms).code, cast.guest(router=router))


def test_a_router_that_had_a_guest_is_removed_and_its_sessions_still_name_it(rt, cast, clock, hana):
    spare = cast.make_router(cast.site.id, name="Roof")
    fake.box(spare.id, clock)
    redemption = online_at(rt, cast, spare)
    sessions.terminate(rt, SYSTEM, redemption.session_id)

    assert hana.delete(f"/api/routers/{spare.id}").status_code == 204

    assert hana.get(f"/api/routers/{spare.id}").status_code == 404
    assert [row["id"] for row in hana.get("/api/routers").json["items"]] == [cast.router.id]
    listed = hana.get(f"/api/sessions?router_id={spare.id}").json["items"]
    assert [row["id"] for row in listed] == [redemption.session_id]
    assert rt.read(queries.names, {spare.id}) == {spare.id: "Roof"}


def test_guests_online_are_said_and_sent_off_only_when_that_is_confirmed(rt, cast, clock, hana):
    redemption = online_at(rt, cast, cast.router, kind="used_time")
    box = fake.box(cast.router.id, clock)
    clock.advance(60)

    refused = hana.delete(f"/api/routers/{cast.router.id}")
    assert (refused.status_code, error_of(refused)) == (409, "router_in_use")
    assert refused.json["details"] == {"online": 1} and "(1)" in refused.json["message"]
    assert len(box.sessions) == 1

    assert hana.delete(f"/api/routers/{cast.router.id}?confirm=true").status_code == 204
    session = cast.row(GuestSession, redemption.session_id)
    assert (session.state, session.terminate_cause, session.used_seconds) == ("ended", "Admin-Reset", 60)
    assert len(box.sessions) == 0


def test_a_dead_router_is_removed_all_the_same_and_its_open_work_is_given_up(rt, cast, clock, hana):
    redemption = online_at(rt, cast, cast.router)
    fake.box(cast.router.id, clock).break_with("unreachable")

    assert hana.delete(f"/api/routers/{cast.router.id}?confirm=true").status_code == 204

    assert cast.row(GuestSession, redemption.session_id).state == "ended"
    unfinished = select(func.count()).select_from(RouterJob).where(RouterJob.state == "open")
    assert rt.read(lambda db: db.scalar(unfinished)) == 0
    assert hana.get("/api/router-jobs").json["items"] == []
    assert hana.get("/api/router-jobs/by-router").json["items"] == []


def test_a_removed_router_is_nowhere(rt, cast, clock):
    gone = cast.make_router(cast.site.id, name="Roof", failover_group="a", driver="radius", password_sealed=b"x")
    stays = cast.make_router(cast.site.id, name="Yard", failover_group="a")
    removing.remove_router(rt, SYSTEM, cast.router.id)
    removing.remove_router(rt, SYSTEM, gone.id)

    assert [entry.id for entry in directory(rt).entries()] == [stays.id]
    only, unplaced = directory(rt).only(), directory(rt).unplaced()
    assert only is not None and unplaced is not None and only.id == unplaced.id == stays.id
    assert rt.read(promises.spares, stays.id, cast.now) == []
    with pytest.raises(RouterNotFound):
        gateways(rt).get(gone.id)
    rt.transact(leases.take, "me", cast.now, False)
    _work, polls = rt.read(_due_routers, "me", cast.now)
    assert polls == [stays.id]
    assert cast.row(Router, gone.id).password_sealed is None


def test_its_name_is_free_again(rt, cast, hana):
    named = {"name": "Roof", "driver": "fake", "site_id": cast.site.id}
    first = hana.post("/api/routers", named).json
    assert hana.post("/api/routers", named).status_code == 422
    assert hana.delete(f"/api/routers/{first['id']}").status_code == 204
    assert hana.post("/api/routers", named).status_code == 201


def test_the_cards_of_a_removed_router_wait_for_it_no_more(rt, cast, clock):
    site = cast.make_site(mode="router_held")
    gone, stays = (cast.make_router(site.id, name=name) for name in ("Roof", "Yard"))
    for router in (gone, stays):
        fake.box(router.id, clock)
    batch = making.order_batch(rt, person(), making.BatchOrder(cast.make_plan(site_id=site.id).plan_id, 600))
    rt.parts["batch_maker"].make(batch.id)

    removing.remove_router(rt, SYSTEM, gone.id)

    rows = rt.read(lambda db: db.execute(select(RouterGrant.router_id, func.count()).group_by(RouterGrant.router_id)))
    assert [tuple(row) for row in rows.all()] == [(stays.id, 600)]


def test_a_session_that_slips_in_while_its_router_goes_does_not_stay(rt, cast, clock):
    redemption = online_at(rt, cast, cast.router)
    rt.transact(lambda db: db.get_one(Router, cast.router.id).__setattr__("removed_at", clock.now()))

    rt.transact(removing.clear_up, rt.parts["routers"].send_home, clock.now())

    assert cast.row(GuestSession, redemption.session_id).state == "ended"


def test_who_has_not_confirmed_is_refused_though_the_guest_came_after_the_question(rt, cast):
    online_at(rt, cast, cast.router)
    with pytest.raises(RouterInUse):
        removing.remove_router(rt, SYSTEM, cast.router.id)
