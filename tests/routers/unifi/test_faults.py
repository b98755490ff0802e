"""A link that is cut anywhere leaves nothing that asking again does not put right."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bawaba.routers.driver import Client, RouterUnreachable
from bawaba.routers.drivers import unifi
from bawaba.routers.drivers.unifi import Driver
from bawaba.routers.drivers.unifi.notes import marks_in
from bawaba.routers.simulators.unifi.settings import MIB, Behaviour
from tests.cast import PHONE, TABLET
from tests.routers.contract import grant
from tests.routers.unifi.far import PHONE_CLIENT, FarEnd

Work = Callable[[Driver], Awaitable[Any]]
CALLS_MOST = 30
KEY = "a-key-of-our-own"


def prepared(controllers, ways: dict[str, Any], before: Work | None) -> FarEnd:
    """A controller as it is before the call that is cut; the driver has logged in."""
    far_end = FarEnd(controllers, **ways)
    far_end.run(before or (lambda driver: driver.sessions()))
    far_end.controller.calls.clear()
    return far_end


def walk(controllers, ways: dict[str, Any], before: Work | None, work: Work, cut: str) -> list[FarEnd]:
    """Cut the link at each of the calls of some work in turn, then ask again; the far ends are returned."""
    ends: list[FarEnd] = []
    for number in range(CALLS_MOST):
        far_end = prepared(controllers, ways, before)
        fault = far_end.controller.fail(cut, skip=number)
        with contextlib.suppress(RouterUnreachable):
            far_end.run(work)
        if fault.times:  # the work is over before the cut
            assert number >= 2, "nothing was cut"
            return ends
        far_end.run(work)
        ends.append(far_end)
    raise AssertionError("the work has no end")


BY_ACCOUNT: dict[str, Any] = {}
OFFICIAL: dict[str, Any] = {
    "api_key": KEY, "behaviour": Behaviour(classic=False), "options": {"api_key": KEY, "api": "official"},
}  # fmt: skip
WAYS = pytest.mark.parametrize("ways", [BY_ACCOUNT, OFFICIAL], ids=["classic", "official"])
CUTS = pytest.mark.parametrize("cut", ["cut-before", "cut-after"])


def admit(driver: Driver) -> Awaitable[Any]:
    return driver.admit(grant(1, bytes_total=50 * MIB), PHONE_CLIENT)


def change(driver: Driver) -> Awaitable[Any]:
    return driver.admit(grant(1, rev=2, bytes_total=80 * MIB), PHONE_CLIENT)


def online(far_end: FarEnd) -> dict[str | None, str | None]:
    seen = far_end.run(lambda driver: driver.sessions())
    return {session.client.mac: session.key for session in seen if not session.raw.get("ended")}


@WAYS
@CUTS
def test_admit(controllers, ways, cut):
    for far_end in walk(controllers, ways, None, admit, cut):
        assert online(far_end) == {PHONE: "session:1"}
        far_end.move(PHONE, 0, 100 * MIB)
        assert far_end.phones[PHONE].tx <= 50 * MIB  # once, whatever was asked again


@CUTS
def test_a_change_of_limits(controllers, cut):
    for far_end in walk(controllers, BY_ACCOUNT, admit, change, cut):
        assert online(far_end) == {PHONE: "session:1"}
        (mine,) = far_end.run(lambda driver: driver.owned())
        assert (mine.key, mine.rev, mine.enabled) == ("session:1", 2, True)
        far_end.move(PHONE, 0, 200 * MIB)
        assert far_end.phones[PHONE].tx == 80 * MIB


@CUTS
def test_another_card_on_the_same_device(controllers, cut):
    def other(driver: Driver) -> Awaitable[Any]:
        return driver.admit(grant(2), PHONE_CLIENT)

    for far_end in walk(controllers, BY_ACCOUNT, admit, other, cut):
        assert online(far_end) == {PHONE: "session:2"}


@WAYS
@CUTS
@pytest.mark.parametrize("verb", ["kick", "drop"])
def test_putting_out(controllers, ways, cut, verb):
    async def put_out(driver: Driver) -> None:
        if verb == "drop":
            (result,) = await driver.drop(["session:1"])
            assert result.ok
            return
        session = next((one for one in await driver.sessions() if one.key == "session:1"), None)
        if session is not None:
            await driver.kick(session)

    for far_end in walk(controllers, ways, admit, put_out, cut):
        assert online(far_end) == {}
        assert far_end.controller.site.active(PHONE) is None
        assert marks_in(far_end.controller.site.user(PHONE).note) == []


@CUTS
def test_device_lists(controllers, cut):
    def lists(driver: Driver) -> Awaitable[Any]:
        return driver.set_devices([TABLET], [PHONE])

    for far_end in walk(controllers, BY_ACCOUNT, admit, lists, cut):
        site = far_end.controller.site
        assert site.user(PHONE).blocked and site.active(TABLET) is not None
        far_end.run(lambda driver: driver.set_devices([], []))
        assert not site.user(PHONE).blocked and site.active(TABLET) is None
        assert marks_in(site.user(TABLET).note) == []


def test_a_write_whose_answer_is_lost_says_so(controllers):
    far_end = prepared(controllers, BY_ACCOUNT, None)
    far_end.controller.fail("cut-after", "*authorize-guest")
    with pytest.raises(RouterUnreachable) as lost:
        far_end.run(admit)
    assert not lost.value.outcome_known
    assert online(far_end) == {PHONE: "session:1"}


def test_a_slow_controller_lets_a_guest_in_within_the_admit_budget(controllers):
    far_end = FarEnd(controllers, behaviour=Behaviour(delay_s=0.8))
    far_end.run(lambda driver: driver.health())  # the poll has logged in long before
    far_end.run(lambda driver: asyncio.wait_for(admit(driver), 6.0))
    assert online(far_end) == {PHONE: "session:1"}


def test_a_device_that_has_just_joined_is_waited_for(controllers):
    far_end = FarEnd(controllers)
    far_end.phones[PHONE].leave()

    async def joins_late(driver: Driver) -> Any:
        asking = asyncio.create_task(driver.admit(grant(1), Client(PHONE)))
        await asyncio.sleep(1.0)
        far_end.phones[PHONE].come_back()
        return await asking

    assert far_end.run(joins_late).key == "session:1"


@WAYS
def test_a_restart_of_ours_is_no_restart_of_the_controller(controllers, monkeypatch, ways):
    """Its uptime comes in whole seconds, or not at all: what we had noted of its start goes on to hold."""
    far_end = FarEnd(controllers, **ways)

    def boot(known: int) -> int:
        monkeypatch.setattr(unifi, "_memories", {})
        return far_end.run(lambda driver: driver.health(), boot=known).boot

    noted = boot(0)
    for _ in range(3):
        far_end.clock.advance(7.4)
        assert boot(noted) == noted
    if ways is BY_ACCOUNT:
        far_end.reboot()
        assert boot(noted) > noted
