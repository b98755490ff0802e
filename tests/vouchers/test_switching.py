"""Switching a whole batch off and on again: which cards, how often, what their routers hear."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from bawaba.accounts.models import AuditEntry
from bawaba.core.errors import Problem
from bawaba.routers.drivers import fake
from bawaba.sessions import redeem, service
from bawaba.vouchers import making, switching
from bawaba.vouchers.models import Batch, Voucher
from tests.cast import PHONE, Cast, person
from tests.staff import app, hana, omar, vera  # noqa: F401

HANA = person()


def a_batch(rt, cast: Cast, quantity: int = 30, **site) -> Batch:
    version = cast.make_plan(**({"site_id": site["site_id"]} if site else {}))
    ordered = making.order_batch(rt, HANA, making.BatchOrder(version.plan_id, quantity))
    rt.parts["batch_maker"].make(ordered.id)
    return cast.row(Batch, ordered.id)


def off(rt, batch: Batch) -> set[int]:
    """The places of its cards that are switched off."""
    wanted = select(Voucher.number).where(Voucher.batch_id == batch.id, Voucher.disabled_at.is_not(None))
    return set(rt.read(lambda db: db.scalars(wanted).all()))


def card(rt, batch: Batch, number: int) -> Voucher:
    return rt.read(
        lambda db: db.scalars(select(Voucher).where(Voucher.batch_id == batch.id, Voucher.number == number)).one()
    )


def switch(rt, batch: Batch, disabled: bool) -> int:
    return switching.set_batch_disabled(rt, HANA, batch.id, disabled)


def test_its_unused_cards_are_off_and_what_is_in_use_goes_on(rt, cast, clock, monkeypatch):
    monkeypatch.setattr(switching, "GROUP", 7)
    batch, other = a_batch(rt, cast), a_batch(rt, cast)
    redeem.redeem(rt, making.open_code(rt.keyring, card(rt, batch, 5)), cast.guest())

    assert switch(rt, batch, True) == 29
    assert off(rt, batch) == set(range(1, 31)) - {5} and off(rt, other) == set()
    with pytest.raises(Problem) as refused:
        redeem.redeem(rt, making.open_code(rt.keyring, card(rt, batch, 6)), cast.guest("02:00:5e:10:00:09"))
    assert refused.value.code == "voucher_disabled"
    assert redeem.redeem(rt, making.open_code(rt.keyring, card(rt, batch, 5)), cast.guest(PHONE)).resumed


def test_switching_on_brings_back_the_old_state_of_each_card(rt, cast, clock):
    batch = a_batch(rt, cast)
    service.set_disabled(rt, HANA, card(rt, batch, 9).id, True)  # lost
    clock.advance(60)
    assert switch(rt, batch, True) == 29
    clock.advance(60)
    service.set_disabled(rt, HANA, card(rt, batch, 3).id, False)  # this one was found

    assert switch(rt, batch, False) == 28
    assert off(rt, batch) == {9}
    assert cast.row(Batch, batch.id).disabled_at is None


def test_twice_is_once_and_each_deed_is_audited_with_its_cards(rt, cast, clock):
    batch = a_batch(rt, cast)

    assert [switch(rt, batch, True), switch(rt, batch, True)] == [30, 0]
    assert [switch(rt, batch, False), switch(rt, batch, False)] == [30, 0]
    wanted = select(AuditEntry.action, AuditEntry.facts).where(AuditEntry.action.like("batch.%abled"))
    entries = [tuple(row) for row in rt.read(lambda db: db.execute(wanted.order_by(AuditEntry.id)).all())]
    assert entries == [("batch.disabled", {"cards": 30}), ("batch.enabled", {"cards": 30})]


def test_who_was_killed_midway_goes_on_where_it_stopped(rt, cast, clock, monkeypatch):
    monkeypatch.setattr(switching, "GROUP", 10)
    batch = a_batch(rt, cast)
    real, calls = switching._switch_group, []

    def killed_at_the_second(*args):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError
        return real(*args)

    monkeypatch.setattr(switching, "_switch_group", killed_at_the_second)
    with pytest.raises(RuntimeError):
        switch(rt, batch, True)
    assert off(rt, batch) == set(range(1, 11))
    monkeypatch.setattr(switching, "_switch_group", real)
    clock.advance(60)

    assert switch(rt, batch, True) == 20
    assert switch(rt, batch, False) == 30 and off(rt, batch) == set()


def test_routers_that_hold_the_cards_are_told(rt, cast, clock):
    site = cast.make_site(mode="router_held")
    router = cast.make_router(site.id)
    box = fake.box(router.id, clock)
    batch = a_batch(rt, cast, 40, site_id=site.id)
    routers = rt.parts["routers"]

    def deliver() -> int:
        clock.advance(60)
        routers.loop.submit(routers._deliver_due(router.id)).result(20)
        return len(box.cards)

    assert deliver() == 40
    switch(rt, batch, True)
    assert deliver() == 0
    switch(rt, batch, False)
    assert deliver() == 40


def test_cards_in_the_making_are_not_switched(rt, cast):
    ordered = making.order_batch(rt, HANA, making.BatchOrder(cast.make_plan().plan_id, 600))
    with pytest.raises(Problem) as refused:
        switch(rt, ordered, True)
    assert (refused.value.code, refused.value.status) == ("batch_not_ready", 409)


def test_the_api_says_how_many_and_who_may(rt, cast, hana, omar, vera):  # noqa: F811
    batch = a_batch(rt, cast)
    path = f"/api/batches/{batch.id}"

    assert vera.post(f"{path}/disable").status_code == 403
    answer = omar.post(f"{path}/disable") if omar.get(path).status_code == 200 else hana.post(f"{path}/disable")
    assert answer.status_code == 200 and answer.json["cards_switched"] == 30 and answer.json["disabled_at"]
    answer = hana.post(f"{path}/enable")
    assert answer.json["cards_switched"] == 30 and answer.json["disabled_at"] is None
    assert hana.post("/api/batches/4711/disable").status_code == 404


def test_two_who_switch_a_batch_off_at_once_mark_its_cards_by_one_time(rt, cast, clock):
    batch, begun, second_waits = a_batch(rt, cast), threading.Event(), threading.Event()

    def first(db):
        since = switching._begin(db, HANA, batch.id, True, 30, clock.now())
        db.flush()
        begun.set()
        second_waits.wait(1)  # for this one to end: nobody sets it
        return since

    with ThreadPoolExecutor() as threads:
        earlier = threads.submit(rt.transact, first)
        begun.wait(5)
        later = rt.transact(switching._begin, HANA, batch.id, True, 30, clock.now() + timedelta(seconds=1))
    assert later == earlier.result() == cast.row(Batch, batch.id).disabled_at
