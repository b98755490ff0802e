"""Making cards: exactly as many as ordered, or none; and a silent router is no reason to fail."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from sqlalchemy import func, select

from bawaba.core.errors import Forbidden, Problem
from bawaba.routers.drivers import fake
from bawaba.routers.models import RouterGrant, RouterJob
from bawaba.vouchers import codes, making, queries
from bawaba.vouchers.batch_maker import BatchMaker
from bawaba.vouchers.events import BatchProgress, VoucherCreated
from bawaba.vouchers.models import Batch, Voucher
from bawaba.web.paging import PageRequest
from tests.cast import HOUR, Cast, person

HANA = person()


def order(rt, cast: Cast, quantity: int, **more) -> Batch:
    version = cast.make_plan()
    batch = making.order_batch(rt, HANA, making.BatchOrder(version.plan_id, quantity, **more))
    rt.parts["batch_maker"].make(batch.id)
    return cast.row(Batch, batch.id)


def test_a_card_made_on_a_router_held_site_lies_on_its_router(rt, cast, clock):
    site = cast.make_site(mode="router_held")
    router = cast.make_router(site.id)
    box = fake.box(router.id, clock)
    voucher, _ = making.make_card(rt, HANA, making.CardOrder(cast.make_plan(site_id=site.id).plan_id))

    assert making.sync_of(rt, [voucher.id]) == {voucher.id: "synced"}
    assert [card.grant.login for card in box.cards.values()] == [codes.grouped(making.open_code(rt.keyring, voucher))]


def test_a_card_made_while_the_router_is_silent_exists_and_goes_there_later(rt, cast, clock):
    site = cast.make_site(mode="router_held")
    router = cast.make_router(site.id)
    box = fake.box(router.id, clock)
    box.break_with("unreachable")
    voucher, _ = making.make_card(rt, HANA, making.CardOrder(cast.make_plan(site_id=site.id).plan_id))
    job = rt.read(lambda db: db.scalars(select(RouterJob).where(RouterJob.kind == "cards")).one())

    assert making.sync_of(rt, [voucher.id]) == {voucher.id: "pending"}
    assert "unreachable" in job.last_error
    box.mend()
    clock.advance(60)
    routers = rt.parts["routers"]
    routers.loop.submit(routers._deliver_due(router.id)).result(10)
    assert making.sync_of(rt, [voucher.id]) == {voucher.id: "synced"}
    assert len(box.cards) == 1


def test_a_new_card_is_announced_without_its_code(rt, cast):
    heard: list[Any] = []
    rt.events.subscribe(VoucherCreated, heard.append)
    voucher, _ = making.make_card(rt, HANA, making.CardOrder(cast.make_plan().plan_id))
    code = making.open_code(rt.keyring, voucher)

    assert heard[0].message()["voucher"]["serial"] == voucher.serial
    assert code not in str(heard[0].message())


def test_each_card_has_its_qr_image_stored(rt, cast):
    voucher, _ = making.make_card(rt, HANA, making.CardOrder(cast.make_plan().plan_id))
    assert making.store(rt).get_single(voucher.id).size > 20


def test_a_batch_is_exactly_as_large_as_ordered_with_serials_in_order(rt, cast):
    heard: list[Any] = []
    rt.events.subscribe(BatchProgress, heard.append)
    batch = order(rt, cast, 1234)

    rows = rt.read(lambda db: db.scalars(select(Voucher).where(Voucher.batch_id == batch.id)).all())
    assert (batch.state, batch.created, len(rows)) == ("ready", 1234, 1234)
    assert len({row.code_digest for row in rows}) == 1234
    assert sorted(row.serial for row in rows)[0] == "B001-0001"
    assert heard[-1].message()["state"] == "ready"
    assert making.store(rt).get(batch.id, 1233).size > 20


def test_cards_of_a_batch_in_the_making_do_not_exist_yet(rt, cast, monkeypatch):
    version = cast.make_plan()
    batch = making.order_batch(rt, HANA, making.BatchOrder(version.plan_id, 600))
    maker = BatchMaker(rt)
    row, plan_version = rt.read(lambda db: (db.get_one(Batch, batch.id), version))
    maker._next_group(row, plan_version)
    made = rt.read(lambda db: db.scalars(select(Voucher)).all())
    code = making.open_code(rt.keyring, made[0])
    from bawaba.sessions import redeem

    assert len(made) == 500
    with pytest.raises(Problem) as refused:
        redeem.redeem(rt, code, cast.guest())
    assert refused.value.code == "voucher_unknown"
    listed = rt.read(queries.list_cards, HANA, PageRequest(10, None), cast.now, keyring=rt.keyring)
    assert listed == []
    with pytest.raises(Problem) as refused:
        rt.read(queries.get_ready_batch, HANA, batch.id)
    assert refused.value.code == "batch_not_ready"


def test_a_maker_that_died_is_followed_by_one_that_goes_on(rt, cast):
    version = cast.make_plan()
    batch = making.order_batch(rt, HANA, making.BatchOrder(version.plan_id, 1200))
    dying = BatchMaker(rt)
    row = cast.row(Batch, batch.id)
    rt.transact(lambda db: None)
    taken = making.new_codes(rt, "digits", 508, "")
    rt.transact(making.add_group, row, version, taken, 500, cast.now)  # and then the power went, before any QR image
    del dying
    BatchMaker(rt).make(batch.id)

    done = cast.row(Batch, batch.id)
    assert (done.state, done.created) == ("ready", 1200)
    assert rt.read(lambda db: db.scalar(select(func.count()).select_from(Voucher))) == 1200
    assert making.store(rt).get(batch.id, 0).size > 20


def test_two_makers_at_one_batch_make_it_once(rt, cast):
    version = cast.make_plan()
    batch = making.order_batch(rt, HANA, making.BatchOrder(version.plan_id, 3000))
    both = [threading.Thread(target=BatchMaker(rt).make, args=[batch.id]) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()

    assert cast.row(Batch, batch.id).state == "ready"
    assert rt.read(lambda db: db.scalar(select(func.count()).select_from(Voucher))) == 3000


def test_a_batch_that_cannot_be_made_leaves_nothing(rt, cast, monkeypatch):
    version = cast.make_plan()
    batch = making.order_batch(rt, HANA, making.BatchOrder(version.plan_id, 1200))
    maker = BatchMaker(rt)
    real, calls = making.new_codes, []

    def breaks_at_the_second_group(*args):
        calls.append(1)
        if len(calls) == 2:
            raise OSError("no chance left")
        return real(*args)

    monkeypatch.setattr(making, "new_codes", breaks_at_the_second_group)
    maker.make(batch.id)

    failed = cast.row(Batch, batch.id)
    assert (failed.state, failed.created) == ("failed", 0)
    assert "no chance left" in failed.error
    assert rt.read(lambda db: db.scalar(select(func.count()).select_from(Voucher))) == 0


def test_a_batch_on_a_router_held_site_is_pushed_together(rt, cast, clock):
    site = cast.make_site(mode="router_held")
    router = cast.make_router(site.id)
    box = fake.box(router.id, clock)
    version = cast.make_plan(site_id=site.id)
    batch = making.order_batch(rt, HANA, making.BatchOrder(version.plan_id, 700))
    rt.parts["batch_maker"].make(batch.id)
    routers = rt.parts["routers"]
    routers.loop.submit(routers._deliver_due(router.id)).result(20)

    assert rt.read(lambda db: db.scalar(select(func.count()).select_from(RouterGrant))) == 700
    assert len(box.cards) == 700
    assert box.calls.count("put") == 7  # a hundred in each: guests are let in between


def test_cards_that_would_pay_to_guess_are_refused(rt, cast, monkeypatch):
    monkeypatch.setattr(making, "live_cards", lambda db, site_id: 50_000_000)
    with pytest.raises(Problem) as refused:
        making.order_batch(rt, HANA, making.BatchOrder(cast.make_plan().plan_id, 100_000, "digits"))
    assert refused.value.code == "too_easy_to_guess"
    left_to_us = making.order_batch(rt, HANA, making.BatchOrder(cast.make_plan().plan_id, 100_000))
    assert left_to_us.code_style == "letters"


def test_lists_find_cards_by_state_serial_and_code_page_by_page(rt, cast, clock):
    batch = order(rt, cast, 25)
    used = rt.read(lambda db: db.scalars(select(Voucher).where(Voucher.number == 7)).one())
    code = making.open_code(rt.keyring, used)
    from bawaba.sessions import redeem

    redeem.redeem(rt, code, cast.guest())

    def page(after=None, limit=10, **wanted):
        rows = rt.read(queries.list_cards, HANA, PageRequest(limit, after), clock.now(), keyring=rt.keyring, **wanted)
        return [voucher.number for voucher, _ in rows]

    assert page() == list(range(25, 14, -1))
    last = rt.read(lambda db: db.scalars(select(Voucher.id).where(Voucher.number == 16)).one())
    assert page(last) == list(range(15, 4, -1))
    assert page(status="used") == [7]
    assert 7 not in page(status="unused", limit=30)
    assert page(q=code) == [7]
    assert page(q="b001-001", limit=30) == list(range(10, 20))
    clock.advance(3 * HOUR)
    assert page(status="expired") == [7]
    assert page(batch_id=batch.id, status="used") == []


def test_people_of_another_site_see_none_of_it(rt, cast):
    batch = order(rt, cast, 3)
    stranger = person("operator", frozenset({cast.site.id + 999}))
    with pytest.raises(Problem) as refused:
        rt.read(queries.get_batch, stranger, batch.id)
    assert refused.value.code == "batch_not_found"
    assert rt.read(queries.list_cards, stranger, PageRequest(10, None), cast.now, keyring=rt.keyring) == []
    assert issubclass(Forbidden, Problem)


def test_a_card_is_made_though_its_picture_cannot_be_stored(rt, cast, monkeypatch):
    """It is sold by its code; the picture is made again when somebody asks for it."""

    def disk_is_full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(making.store(rt), "put_single", disk_is_full)
    voucher, _ = making.make_card(rt, HANA, making.CardOrder(cast.make_plan().plan_id))

    assert cast.row(Voucher, voucher.id).status == "unused"


def test_a_card_waits_for_its_silent_routers_together(rt, cast, clock):
    site = cast.make_site(mode="router_held")
    for _ in range(4):
        cast.make_router(site.id)
    waits: list[float] = []
    routers = rt.parts["routers"]
    deliver = routers.deliver

    def silent(job, work, wait_s):
        waits.append(wait_s)
        time.sleep(wait_s)
        return deliver(job, work, 0.0)

    routers.deliver = silent
    making.make_card(rt, HANA, making.CardOrder(cast.make_plan(site_id=site.id).plan_id))

    assert len(waits) == 4
    assert sum(waits) <= making.ROUTER_WAIT_S
