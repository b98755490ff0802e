"""The outbox: no promise keeps the others from being kept."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from sqlalchemy import select

from bawaba.core.config import Config
from bawaba.core.statement import Statement
from bawaba.monitoring import polling
from bawaba.routers.drivers import fake
from bawaba.routers.links import Link
from bawaba.routers.models import Router, RouterJob
from bawaba.routers.part import Routers
from bawaba.routers.promises import Kind, promise
from bawaba.sessions import accounting
from bawaba.vouchers.batch_maker import BatchMaker


async def breaks(ask, work) -> None:
    raise ValueError("a driver with a bug")


def breaks_early(db, job, now) -> None:
    raise ValueError("a row that makes no sense")


BROKEN = {
    "delivery": Kind(lambda db, job, now: "work", breaks, lambda db, job, result, now: []),
    "preparation": Kind(breaks_early, breaks, lambda db, job, result, now: []),
}


END_OF_ITS_PROCESS = Statement("SELECT pg_terminate_backend(pg_backend_pid())", "done")


def deliver(rt, router_id: int) -> None:
    routers = rt.parts["routers"]
    routers.loop.submit(routers._deliver_due(router_id)).result(10)


def job_of(rt, job_id: int) -> RouterJob:
    return rt.read(lambda db: db.scalars(select(RouterJob).where(RouterJob.id == job_id)).one())


@pytest.mark.parametrize("where", list(BROKEN))
def test_work_that_breaks_does_not_hold_up_the_rest(rt, cast, clock, where):
    rt.parts["routers"].kinds["broken"] = BROKEN[where]
    broken = rt.transact(promise, cast.router.id, "broken", None, clock.now())
    after = rt.transact(promise, cast.router.id, "devices", None, clock.now())
    for _ in range(6):
        deliver(rt, cast.router.id)
        clock.advance(120)

    assert job_of(rt, after.id).state == "done"
    job = job_of(rt, broken.id)
    assert (job.state, job.attempts) == ("failed", 5)
    assert "ValueError" in str(job.last_error)
    assert "set_devices" in fake.box(cast.router.id).calls


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
def test_a_database_that_crashes_while_work_is_prepared_is_no_failed_try(rt, cast, clock):
    left = [True]

    def crashes_once(db, job, now) -> None:
        if left:
            left.clear()
            END_OF_ITS_PROCESS.first(db)

    async def nothing(ask, work) -> None:
        """There is no work."""

    rt.parts["routers"].kinds["odd"] = Kind(crashes_once, nothing, lambda db, job, result, now: [])
    jobs = [rt.transact(promise, cast.router.id, "odd", None, clock.now()) for _ in range(2)]
    with structlog.testing.capture_logs() as said:
        deliver(rt, cast.router.id)
    assert [(job_of(rt, job.id).state, job_of(rt, job.id).attempts) for job in jobs] == [("done", 1)] * 2
    assert [line["event"] for line in said if line["log_level"] == "error"] == []


def test_two_machines_that_listen_alike_are_two_owners(rt, monkeypatch):
    """Leases tell processes apart: on two machines, both at 0.0.0.0:5000, only one may poll a router."""
    names = set()
    for machine in ("front", "back"):
        monkeypatch.setattr("socket.gethostname", lambda machine=machine: machine)
        for port in (5000, 5001):
            rt.config = Config(host="2001:db8:85a3:1111:2222:8a2e:370:7334", port=port, data_dir=rt.config.data_dir)
            routers, maker = Routers(rt), BatchMaker(rt)
            names |= {routers.owner, maker._owner}
            routers.stop()
            maker.stop()

    assert len(names) == 4
    assert max(len(name) for name in names) <= 40


def test_a_poll_that_breaks_is_put_off_like_any_other(rt, cast, clock, monkeypatch):
    def breaks_too(*args, **kwargs) -> None:
        raise ValueError("a session that makes no sense")

    monkeypatch.setattr(accounting, "settle", breaks_too)
    routers = rt.parts["routers"]
    routers.loop.submit(polling.poll(rt, cast.router.id)).result(10)

    router = cast.row(Router, cast.router.id)
    assert router.status == "up"  # it did answer
    assert router.next_poll_at > clock.now()


def test_two_questions_at_once_share_one_connection(rt, cast):
    routers = rt.parts["routers"]

    async def both() -> list[Link]:
        return await asyncio.gather(*(routers.links.link(cast.router.id) for _ in range(5)))

    first, *others = routers.loop.submit(both()).result(10)
    assert all(link is first for link in others)
