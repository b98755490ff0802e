"""The router in memory keeps the promises of every router, and fails on demand."""

from __future__ import annotations

import asyncio
import time

import pytest

from bawaba.core.clock import ManualClock
from bawaba.routers.driver import Client, Connection, Grant, Limits, RouterRejected, RouterUnreachable
from bawaba.routers.drivers import fake
from tests.cast import PHONE, TABLET
from tests.routers.contract import DriverContract, grant


class Memory:
    """The far end of a fake driver."""

    def __init__(self, **options) -> None:
        fake.reset()
        self.clock = ManualClock()
        self.box = fake.box(1, self.clock)
        self.options = options

    def driver(self, install: str = "install8") -> fake.Driver:
        return fake.Driver(Connection(1, "memory", None, None, None, self.options, install))

    def move(self, mac, up, down) -> None:
        self.box.move_traffic(mac, up, down)

    def reboot(self) -> None:
        self.box.reboot()

    def vanish(self) -> None:
        self.box.break_with("unreachable")


class TestFake(DriverContract):
    devices = (Client(PHONE, "10.0.0.1"), Client(TABLET, "10.0.0.2"))

    @pytest.fixture
    def far_end(self):
        yield Memory()
        fake.reset()

    def test_a_card_that_lies_on_it_serves_guests_alone_until_its_time_is_over(self, far_end):
        card = Grant("card:5", 1, "123456789012", "123456789012", Limits(uptime_s=600))
        (result,) = self.run(far_end, lambda driver: driver.put([card]))
        assert result.ok and result.changed
        assert far_end.box.sign_in("123456789012", "123456789012", self.devices[0])
        assert not far_end.box.sign_in("000000000000", "000000000000", self.devices[1])
        far_end.clock.advance(601)
        assert self.online(far_end) == {}

    def test_putting_a_card_again_changes_nothing(self, far_end):
        card = Grant("card:5", 1, "1", "1", Limits(uptime_s=600))
        answers = [self.run(far_end, lambda driver: driver.put([card]))[0].changed for _ in range(2)]
        assert answers == [True, False]


@pytest.mark.parametrize(("fail", "error"), [("unreachable", RouterUnreachable), ("refused", RouterRejected)])
def test_it_fails_as_its_options_say(fail, error):
    driver = Memory(fail=fail).driver()
    with pytest.raises(error):
        asyncio.run(driver.sessions())


def test_it_fails_only_at_the_verbs_that_are_named():
    driver = Memory(fail="unreachable", fail_verbs=["admit"]).driver()
    assert asyncio.run(driver.sessions()) == []
    with pytest.raises(RouterUnreachable):
        asyncio.run(driver.admit(grant(1), Client(PHONE)))


def test_a_write_whose_answer_is_lost_is_done_and_says_that_it_may_be():
    memory = Memory(fail="lost_answer", fail_verbs=["admit"])
    with pytest.raises(RouterUnreachable) as lost:
        asyncio.run(memory.driver().admit(grant(1), Client(PHONE)))
    assert not lost.value.outcome_known
    assert [session.key for session in asyncio.run(memory.driver().sessions())] == ["session:1"]


def test_a_router_that_was_broken_can_be_mended():
    memory = Memory()
    memory.vanish()
    with pytest.raises(RouterUnreachable):
        asyncio.run(memory.driver().health())
    memory.box.mend()
    assert asyncio.run(memory.driver().health()).sessions == 0


def test_slow_answers_late():
    driver = Memory(fail="slow", delay_s=0.2).driver()
    began = time.monotonic()
    asyncio.run(driver.sessions())
    assert time.monotonic() - began >= 0.2
