"""What all routers of a person moved in the last day."""

from __future__ import annotations

from datetime import timedelta

from bawaba.core.clock import ManualClock
from bawaba.core.runtime import Runtime
from bawaba.monitoring.samples import Sample, write
from bawaba.monitoring.traffic import traffic
from bawaba.routers.driver import Health
from tests.cast import Cast, person


def test_the_traffic_of_all_routers_is_added_up_and_a_gap_stays_a_gap(rt: Runtime, cast: Cast, clock: ManualClock):
    now = clock.now().replace(minute=35, second=0, microsecond=0)
    other = cast.make_router(cast.site.id, name="Roof")
    looks = [Sample(router.id, now - timedelta(minutes=25), Health(), 1, 600, 6000) for router in (cast.router, other)]
    looks.append(Sample(other.id, now - timedelta(minutes=14)))  # it was asked, and did not answer
    rt.transact(write, looks)

    found = rt.read(traffic, person("admin"), now)

    assert len(found.points) == 144 and found.points[-2] is None
    assert found.points[-3] is not None
    assert (found.points[-3].down_rate, found.points[-3].up_rate) == (20.0, 2.0)


def test_a_stretch_that_goes_on_is_over_what_is_gone_of_it(rt: Runtime, cast: Cast, clock: ManualClock):
    now = clock.now().replace(minute=31, second=0, microsecond=0)
    rt.transact(write, [Sample(cast.router.id, now, Health(), 1, 0, 1200)])

    last = rt.read(traffic, person("admin"), now).points[-1]

    assert last is not None and last.down_rate == 10.0


def test_nobody_sees_another_sites_traffic(rt: Runtime, cast: Cast, clock: ManualClock):
    rt.transact(write, [Sample(cast.router.id, clock.now(), Health(), 1, 600, 6000)])
    stranger = person("operator", frozenset({cast.make_site().id}))

    assert not any(rt.read(traffic, stranger, clock.now()).points)
