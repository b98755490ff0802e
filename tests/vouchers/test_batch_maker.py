"""What is ready stays ready, whatever happens to whoever made it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from bawaba.core.database import DatabaseAway
from bawaba.routers.models import RouterGrant, RouterJob
from bawaba.vouchers import batch_maker, making
from bawaba.vouchers.batch_maker import BatchMaker
from bawaba.vouchers.models import Batch, Voucher
from tests.cast import person

HANA = person()


def ordered(rt, cast, quantity: int = 30) -> Batch:
    site = cast.make_site(mode="router_held")
    cast.make_router(site.id)
    version = cast.make_plan(site_id=site.id)
    return making.order_batch(rt, HANA, making.BatchOrder(version.plan_id, quantity))


def count(rt, model: Any, *conditions: Any) -> int:
    return rt.read(lambda db: db.scalar(select(func.count()).select_from(model).where(*conditions)) or 0)


def test_two_that_finish_a_batch_at_once_finish_it_once(rt, cast, monkeypatch):
    """A process that hung for longer than its lease finishes what another one has finished."""
    batch = ordered(rt, cast)
    make_ready = batch_maker._make_ready
    monkeypatch.setattr(batch_maker, "_make_ready", lambda db, *args: (make_ready(db, *args), make_ready(db, *args))[1])
    rt.parts["batch_maker"].make(batch.id)

    assert cast.row(Batch, batch.id).state == "ready"
    assert count(rt, Voucher, Voucher.batch_id == batch.id) == 30
    assert (count(rt, RouterGrant), count(rt, RouterJob)) == (30, 1)


def test_a_batch_that_is_ready_is_never_taken_away(rt, cast):
    batch = ordered(rt, cast)
    maker = rt.parts["batch_maker"]
    maker.make(batch.id)
    maker._give_up(batch.id, "somebody was late")

    assert cast.row(Batch, batch.id).state == "ready"
    assert count(rt, Voucher, Voucher.batch_id == batch.id) == 30
    assert making.store(rt).has_group(batch.id, 0)


def test_what_a_killed_removal_left_of_a_failed_batch_is_cleared_away(rt, cast, monkeypatch):
    batch = ordered(rt, cast, 3000)
    monkeypatch.setattr(batch_maker, "_make_ready", lambda *_: 1 / 0)
    dying = BatchMaker(rt)
    monkeypatch.setattr(dying, "_give_up", lambda *_: None)
    dying.make(batch.id)
    rt.transact(batch_maker._remove_some, batch.id, "it broke")  # one group of them, and then the power went
    assert count(rt, Voucher) == 1000 and making.store(rt).has_group(batch.id, 0)
    monkeypatch.undo()

    BatchMaker(rt)._clear_away_failed()

    assert count(rt, Voucher) == 0 and not making.store(rt).has_group(batch.id, 0)
    assert (cast.row(Batch, batch.id).state, cast.row(Batch, batch.id).error) == ("failed", "it broke")


def test_a_batch_whose_maker_is_stopped_goes_on_in_the_next_process(rt, cast):
    batch = ordered(rt, cast)
    stopped = BatchMaker(rt)
    stopped.stop()
    stopped._stopping.clear()  # it is in the middle of a group when the rest of the process ends
    stopping = stopped._next_group

    def last_group(*args: Any, **more: Any) -> None:
        stopped._stopping.set()
        stopping(*args, **more)

    stopped._next_group = last_group  # type: ignore[method-assign]
    stopped.make(batch.id)
    assert cast.row(Batch, batch.id).state == "making"
    rt.parts["batch_maker"].make(batch.id)

    assert cast.row(Batch, batch.id).state == "ready"
    assert count(rt, Voucher, Voucher.batch_id == batch.id) == 30


def test_a_database_that_was_away_does_not_end_the_making_of_batches(rt, cast, monkeypatch):
    def away(*_args: Any) -> None:
        raise DatabaseAway()

    batch = ordered(rt, cast)
    maker = BatchMaker(rt)
    with monkeypatch.context() as outage:
        outage.setattr(rt, "transact", away)
        outage.setattr(rt, "read", away)
        maker.start()
        maker._thread.join(1)
    assert maker._thread.is_alive()
    maker.stop()
    assert cast.row(Batch, batch.id).state == "making"
