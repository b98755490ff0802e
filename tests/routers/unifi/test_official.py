"""The official API's own ways: late clients, a filter that fails, pages, and bytes that are told at the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bawaba.routers.driver import Reason, RouterAuthFailed, RouterRejected, Unsupported
from bawaba.routers.drivers.unifi import Driver
from bawaba.routers.simulators.unifi.settings import MIB, Behaviour
from tests.cast import PHONE, TABLET, phones
from tests.routers.contract import grant
from tests.routers.unifi.far import PHONE_CLIENT, TABLET_CLIENT, FarEnd

KEY = "a-key-of-our-own"


def official(controllers, api: str = "official", **behaviour: Any) -> FarEnd:
    quirks = Behaviour(classic=False, **behaviour)
    return FarEnd(controllers, api_key=KEY, behaviour=quirks, options={"api_key": KEY, "api": api})


def let_in(driver: Driver, number: int = 1, rev: int = 1, **limits: Any) -> Any:
    return driver.admit(grant(number, rev, **limits), PHONE_CLIENT)


def seen(far_end: FarEnd) -> dict[str | None, Any]:
    return {session.key: session for session in far_end.run(lambda driver: driver.sessions())}


def test_a_controller_without_the_classic_api_is_found_out(controllers):
    far_end = official(controllers, "auto")
    assert far_end.run(lambda driver: driver.probe()).version == "10.6.106"
    assert far_end.run(let_in).key == "session:1"
    with pytest.raises(Unsupported):
        far_end.run(lambda driver: driver.sessions(), options=far_end.options | {"api": "classic"})


def test_limits_are_the_clients_own_directions(controllers):
    far_end = official(controllers)
    far_end.run(lambda driver: let_in(driver, rate_up_kbps=1000, rate_down_kbps=8000, bytes_total=9 * MIB))
    right: Any = far_end.controller.site.active(PHONE)
    assert (right.up_kbps, right.down_kbps, right.most) == (1000, 8000, 9 * MIB)
    far_end.move(PHONE, 10_000, MIB)
    last: Any = far_end.run(lambda driver: driver.kick(PHONE_CLIENT))
    assert (last.up, last.down) == (10_000, MIB)


def test_a_device_that_joined_just_now_is_waited_for(controllers):
    far_end = official(controllers, official_blind_s=3.0)

    async def all_of_it(driver: Driver) -> Any:
        asking = asyncio.create_task(let_in(driver))
        await asyncio.sleep(1.0)
        far_end.clock.advance(4)
        return await asking

    assert far_end.run(all_of_it).key == "session:1"


def test_one_that_is_not_shown_in_time_is_asked_for_again_later(controllers):
    far_end = official(controllers, official_blind_s=60.0)
    with pytest.raises(RouterRejected) as refused:
        far_end.run(lambda driver: asyncio.wait_for(let_in(driver), 6.0))
    assert refused.value.reason is Reason.UNKNOWN_CLIENT and refused.value.retryable


def test_where_the_filter_finds_nobody_all_pages_are_looked_through(controllers):
    far_end = official(controllers, mac_filter_broken=True)
    far_end.controller.site.phones.clear()
    for mac in phones(401):
        far_end.controller.join(mac)
    far_end.controller.join(PHONE, "10.20.0.21")
    assert far_end.run(let_in).key == "session:1"
    far_end.controller.calls.clear()
    far_end.run(lambda driver: driver.locate(mac=PHONE))
    assert len(far_end.controller.calls) == 3  # three pages: the filter is not tried again


def test_a_changed_limit_goes_on_counting(controllers):
    far_end = official(controllers)
    far_end.run(let_in)
    far_end.move(PHONE, 10, 1000)
    changed = far_end.run(lambda driver: let_in(driver, rev=2))
    far_end.move(PHONE, 5, 500)
    last: Any = far_end.run(lambda driver: driver.kick(changed))
    assert (last.up, last.down, last.epoch) == (15, 1500, changed.epoch)
    assert seen(far_end) == {}


def test_another_card_on_the_device_is_not_charged_for_the_first(controllers):
    far_end = official(controllers)
    older = far_end.run(let_in)
    far_end.move(PHONE, 10, 1000)
    newer = far_end.run(lambda driver: let_in(driver, 2))
    assert (newer.up, newer.down) == (0, 0)
    last: Any = far_end.run(lambda driver: driver.kick(older))
    assert (last.key, last.up, last.down) == ("session:1", 10, 1000)
    assert far_end.controller.site.active(PHONE) is not None


def test_data_that_is_used_up_is_told_as_all_of_it_and_not_given_again(controllers):
    far_end = official(controllers)
    far_end.run(lambda driver: let_in(driver, bytes_total=5 * MIB))
    far_end.move(PHONE, 0, 9 * MIB)
    session = seen(far_end)["session:1"]
    assert session.raw["ended"] == "data" and session.up + session.down == 5 * MIB
    with pytest.raises(RouterRejected):
        far_end.run(lambda driver: let_in(driver, bytes_total=5 * MIB))


def test_time_that_is_over_is_no_data(controllers):
    far_end = official(controllers)
    far_end.run(lambda driver: let_in(driver, bytes_total=5 * MIB, uptime_s=60))
    far_end.clock.advance(61)
    session = seen(far_end)["session:1"]
    assert session.raw["ended"] == "over" and session.down == 0


def test_a_device_that_is_away_is_told_so_and_put_out_once_it_is_back(controllers):
    far_end = official(controllers)
    session = far_end.run(let_in)
    far_end.phones[PHONE].leave()
    assert seen(far_end)["session:1"].raw["away"]
    with pytest.raises(RouterRejected) as refused:
        far_end.run(lambda driver: driver.kick(session))
    assert refused.value.retryable
    far_end.phones[PHONE].come_back()
    far_end.run(lambda driver: driver.kick(session))
    assert far_end.controller.site.active(PHONE) is None


def test_the_same_right_on_another_device_leaves_the_first(controllers):
    far_end = official(controllers)
    far_end.run(let_in)
    far_end.run(lambda driver: driver.admit(grant(1), TABLET_CLIENT))
    assert far_end.controller.site.active(PHONE) is None and far_end.controller.site.active(TABLET) is not None


def test_a_device_outside_of_the_hotspot_is_refused(controllers):
    far_end = official(controllers)
    far_end.controller.join(PHONE, "10.0.0.9", is_guest=False)
    with pytest.raises(RouterRejected, match="hotspot"):
        far_end.run(let_in)


def test_what_it_cannot_do_it_says(controllers):
    far_end = official(controllers)
    far_end.run(lambda driver: driver.set_devices([], []))
    with pytest.raises(Unsupported):
        far_end.run(lambda driver: driver.set_devices([], [PHONE]))
    with pytest.raises(RouterAuthFailed, match="API key"):
        far_end.run(let_in, options={"certificate": far_end.controller.fingerprint, "api": "official"})
    assert far_end.run(lambda driver: driver.health()).sessions == 0
    found: Any = far_end.run(lambda driver: driver.locate(ip=PHONE_CLIENT.ip))
    assert found.mac == PHONE
