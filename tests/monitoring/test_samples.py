"""What is seen of routers is kept: by the minute, the hour and the day, in one write a second."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from bawaba.core.actor import SYSTEM
from bawaba.core.database import DatabaseAway
from bawaba.core.errors import Invalid
from bawaba.monitoring import samples
from bawaba.monitoring.history import SPANS, history
from bawaba.monitoring.models import RouterSample
from bawaba.monitoring.polling import poll
from bawaba.monitoring.samples import DAY, HOUR, KEEP, MINUTE, Sample, Samples
from bawaba.routers import removing
from bawaba.routers.driver import Health
from bawaba.routers.drivers import fake
from bawaba.sessions import redeem as redeeming
from bawaba.web.charts import HEIGHT, chart, round_up
from tests.cast import MIB, PHONE, TABLET

WELL = Health(uptime_s=100, cpu_percent=20.0, memory_percent=40.0)


def rows(rt, width_s: int) -> list[RouterSample]:
    wanted = select(RouterSample).where(RouterSample.width_s == width_s).order_by(RouterSample.start)
    return list(rt.read(lambda db: db.scalars(wanted).all()))


def write(rt, *looks: Sample) -> None:
    rt.transact(samples.write, looks)


def look(rt, router_id: int) -> None:
    """A poll, and the write that follows within a second."""
    loop = rt.parts["routers"].loop
    loop.submit(poll(rt, router_id)).result(10)
    loop.submit(rt.parts["samples"].write()).result(10)


def test_looks_are_summed_up_by_the_minute_the_hour_and_the_day(rt, cast):
    at = samples.stretch(cast.now, DAY)
    router_id = cast.router.id
    write(rt, Sample(router_id, at, WELL, 4, 10, 100), Sample(router_id, at + timedelta(seconds=30), WELL, 6, 10, 100))
    write(rt, Sample(router_id, at + timedelta(seconds=70), None))

    assert [(row.looks, row.missed, row.sessions_most) for row in rows(rt, MINUTE)] == [(2, 0, 6), (1, 1, 0)]
    for width_s in (HOUR, DAY):
        (row,) = rows(rt, width_s)
        assert (row.looks, row.missed, row.sessions, row.sessions_most) == (3, 1, 10, 6)
        assert (row.up, row.down, row.cpu, row.cpu_looks) == (20, 200, 40.0, 2)


def test_a_poll_leaves_a_look_and_so_does_one_that_failed(rt, cast, clock):
    for phone in (PHONE, TABLET):
        redeeming.redeem(rt, cast.make_voucher().code, cast.guest(phone))
    fake.box(cast.router.id).move_traffic(PHONE, 1000, 2 * MIB)
    clock.advance(30)
    look(rt, cast.router.id)
    fake.box(cast.router.id).break_with("unreachable")
    look(rt, cast.router.id)

    (row,) = rows(rt, DAY)
    assert (row.looks, row.missed, row.sessions, row.up, row.down) == (2, 1, 2, 1000, 2 * MIB)


def test_looks_wait_while_the_database_is_away(rt, cast, monkeypatch):
    waiting = Samples(rt)
    waiting.add(Sample(cast.router.id, cast.now, WELL))

    async def away(*args, **kwargs):
        raise DatabaseAway()

    with monkeypatch.context() as patch:
        patch.setattr(type(rt), "transact_async", away)
        asyncio.run(waiting.write())
    assert rows(rt, DAY) == []
    rt.parts["routers"].loop.submit(waiting.write()).result(10)
    assert len(rows(rt, DAY)) == 1


def test_a_look_at_a_router_that_is_gone_spoils_nothing(rt, cast):
    write(rt, Sample(cast.router.id, cast.now, WELL), Sample(999_999, cast.now, WELL))
    assert len(rows(rt, DAY)) == 1


def test_a_look_at_a_removed_router_is_not_noted(rt, cast):
    other = cast.make_router(cast.site.id, name="Other")
    removing.remove_router(rt, SYSTEM, other.id)
    write(rt, Sample(other.id, cast.now, WELL))
    assert rt.read(lambda db: db.execute(text("SELECT count(*) FROM router_sample")).scalar()) == 0


def test_what_is_old_is_forgotten_each_kind_in_its_time(rt, cast):
    for age in (timedelta(hours=1), timedelta(days=3), timedelta(days=90)):
        write(rt, Sample(cast.router.id, cast.now - age, WELL))
    rt.transact(samples.prune, cast.now)
    kept = {width_s: len(rows(rt, width_s)) for width_s in KEEP}
    assert kept == {MINUTE: 1, HOUR: 2, DAY: 3}


@pytest.mark.parametrize("name", SPANS)
def test_a_past_has_a_place_for_every_step_and_gaps_where_nobody_looked(rt, cast, name):
    write(rt, Sample(cast.router.id, cast.now, WELL, 7, 60, 600))
    found = rt.read(history, SYSTEM, cast.router.id, name, cast.now)
    assert 100 <= len(found.points) <= 400
    assert [point is None for point in found.points].count(False) == 1
    last = found.points[-1]
    assert last is not None and last.sessions == 7 and last.cpu_percent == 20.0


def test_a_span_that_there_is_not_is_refused(rt, cast):
    with pytest.raises(Invalid):
        rt.read(history, SYSTEM, cast.router.id, "century", cast.now)


@pytest.mark.parametrize(
    ("value", "binary", "top"),
    [(7, False, 10), (10, False, 10), (11, False, 20), (0.3, False, 0.5), (1500, True, 2048)],
)
def test_a_scale_ends_at_a_round_number(value, binary, top):
    assert round_up(value, binary=binary) == pytest.approx(top)


def test_a_chart_has_a_gap_where_nothing_is_known():
    (area,) = chart([1, 2, None, 4, 4]).areas
    assert area.count("M") == 2 and area.count("Z") == 2
    assert f"{HEIGHT - HEIGHT * 4 / 5:.1f}" in area
    assert chart([None, None]).empty


def test_whatever_the_database_says_looks_are_kept_for_the_next_time(rt, cast, monkeypatch):
    def full(*_args) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    waiting = Samples(rt)
    waiting.add(Sample(cast.router.id, cast.now, WELL))
    with monkeypatch.context() as outage:
        outage.setattr(samples, "write", full)
        asyncio.run(waiting.write())
    asyncio.run(waiting.write())
    assert [row.looks for row in rows(rt, MINUTE)] == [1]
