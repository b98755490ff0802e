"""The promises that every router keeps, whoever made it. A driver's test inherits them all.

A subclass gives `far_end`: an object with `driver(install)` (a new driver to it, of this installation or another),
`move(mac, up, down)` (so many bytes by that device, as far as they get through), `reboot()` and `vanish()` (nobody is
there any more). Of a gateway that cannot list sessions it also says who is `online()`, by key. A promise is kept by
those whose flags say so (`NEEDS`); that the others say at once what they cannot do is a promise of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from bawaba.routers.driver import (
    Cap,
    Client,
    Grant,
    Limits,
    RouterDriver,
    RouterRejected,
    RouterSession,
    RouterUnreachable,
    Unsupported,
)

HOUR = 3600
KIB = 1024


def grant(number: int = 1, rev: int = 1, **limits: Any) -> Grant:
    """A right of access of an hour, unless told otherwise."""
    return Grant(
        f"session:{number}", rev, login=f"S{number}", limits=Limits(**({"uptime_s": HOUR} | limits)), plan="test"
    )


NEEDS: dict[str, Cap] = {
    "test_admitting_twice_is_admitting_once_and_the_newer_limits_hold": Cap.SESSIONS,
    "test_up_and_down_are_the_guests": Cap.SESSIONS | Cap.COUNTERS,
    "test_who_is_kicked_is_out_and_his_last_bytes_are_told": Cap.KICK | Cap.COUNTERS,
    "test_kicking_one_leaves_the_other": Cap.KICK,
    "test_kicking_an_older_session_leaves_the_one_that_the_device_has_now": Cap.KICK | Cap.SESSIONS,
    "test_another_installation_sees_a_stranger_and_owns_nothing": Cap.SESSIONS,
    "test_dropping_what_is_not_there_is_no_error": Cap.OWNED_LIST,
    "test_after_a_reboot_its_boot_has_grown_and_who_is_online_is_known": Cap.HEALTH | Cap.SESSIONS,
    "test_health_counts_who_is_online": Cap.HEALTH,
    "test_device_lists_are_taken_whole_and_twice_is_once": Cap.DEVICES,
    "test_a_device_that_is_blocked_is_not_online_any_more_and_is_not_let_in": Cap.DEVICES,
}
REFUSED: dict[Cap, tuple[str, tuple[Any, ...]]] = {
    Cap.PRELOAD: ("put", ([],)),
    Cap.KICK: ("kick", (Client("02:00:5e:10:00:01"),)),
    Cap.SESSIONS: ("sessions", ()),
    Cap.OWNED_LIST: ("owned", ()),
    Cap.HEALTH: ("health", ()),
    Cap.LOCATE: ("locate", ()),
    Cap.STRANGERS: ("strangers", ()),
    Cap.DEVICES: ("set_devices", ([], [])),
}


async def _admit(driver: RouterDriver, number: int, rev: int, device: Client) -> object:
    return await driver.admit(grant(number, rev), device)


async def _ask(make: Callable[[], RouterDriver], verb: str, *args: Any) -> Any:
    driver = make()
    try:
        return await getattr(driver, verb)(*args)
    finally:
        await driver.close()


def needs_cap(far_end: Any, caps: Cap) -> None:
    """A promise of routers that say that they can: where the flags are missing, there is nothing to keep."""
    if caps not in far_end.driver().caps:
        pytest.skip(f"it does not say that it can: {caps}")


class DriverContract:
    """Inherit, and give a `far_end` fixture."""

    devices: tuple[Client, Client]
    unit = KIB  # the least by which this gateway can tell one data limit from another
    keeps_rights = False  # whether who was online may go on after a restart

    @pytest.fixture(autouse=True)
    def as_far_as_its_flags_go(self, request: pytest.FixtureRequest, far_end: Any) -> None:
        """Leave out what this gateway does not say that it can."""
        needs_cap(far_end, NEEDS.get(request.function.__name__, Cap.NONE))

    def run(self, far_end: Any, work: Callable[[Any], Any]) -> Any:
        """Work with a new driver on a loop of its own, and let go of it."""

        async def all_of_it() -> Any:
            driver = far_end.driver()
            try:
                return await work(driver)
            finally:
                await driver.close()

        return asyncio.run(all_of_it())

    def online(self, far_end: Any) -> dict[str, RouterSession]:
        """Our sessions that are on, by key."""
        if Cap.SESSIONS not in far_end.driver().caps:
            found: dict[str, RouterSession] = far_end.online()
            return found
        seen = self.run(far_end, lambda driver: driver.sessions())
        return {session.key: session for session in seen if session.key and not session.raw.get("ended")}

    def test_it_says_what_it_is(self, far_end):
        info = self.run(far_end, lambda driver: driver.probe())
        assert info.version and info.board

    def test_a_device_that_is_admitted_is_online_under_our_key(self, far_end):
        told = self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
        assert (told.key, told.client.mac) == ("session:1", self.devices[0].mac)
        assert self.online(far_end)["session:1"].client.mac == self.devices[0].mac

    def test_admitting_twice_is_admitting_once_and_the_newer_limits_hold(self, far_end):
        for rev in (1, 2):
            self.run(far_end, partial(_admit, number=1, rev=rev, device=self.devices[0]))
        seen = self.run(far_end, lambda driver: driver.sessions())
        assert [session.key for session in seen if not session.raw.get("ended")] == ["session:1"]
        if Cap.OWNED_LIST in far_end.driver().caps:
            owned = self.run(far_end, lambda driver: driver.owned())
            assert [(mine.key, mine.rev) for mine in owned if mine.enabled] == [("session:1", 2)]

    @pytest.mark.parametrize("empty", [{"uptime_s": 0}, {"bytes_total": 0}, {"bytes_down": -1}])
    def test_a_right_with_nothing_left_lets_nobody_in(self, far_end, empty):
        with pytest.raises(RouterRejected):
            self.run(far_end, lambda driver: driver.admit(grant(1, **empty), self.devices[0]))
        assert self.online(far_end) == {}

    def test_up_and_down_are_the_guests(self, far_end):
        self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
        far_end.move(self.devices[0].mac, 10 * KIB, 1000 * KIB)
        session = self.online(far_end)["session:1"]
        assert session.down >= 1000 * KIB
        assert session.down > 10 * session.up > 0

    def test_data_is_cut_at_its_limit(self, far_end):
        needs_cap(far_end, Cap.BYTES_TOTAL)
        self.run(far_end, lambda driver: driver.admit(grant(41, bytes_total=200 * self.unit), self.devices[0]))
        far_end.move(self.devices[0].mac, 0, 1000 * self.unit)
        seen = self.run(far_end, lambda driver: driver.sessions())
        (mine,) = [session for session in seen if session.key == "session:41"]
        assert 100 * self.unit < mine.up + mine.down <= 200 * self.unit

    def test_the_same_right_again_lets_no_more_data_through(self, far_end):
        needs_cap(far_end, Cap.BYTES_TOTAL)
        for _ in range(3):
            self.run(far_end, lambda driver: driver.admit(grant(42, bytes_total=300 * self.unit), self.devices[0]))
            far_end.move(self.devices[0].mac, 0, 50 * self.unit)
        far_end.move(self.devices[0].mac, 0, 1000 * self.unit)
        seen = self.run(far_end, lambda driver: driver.sessions())
        (mine,) = [session for session in seen if session.key == "session:42"]
        assert 250 * self.unit < mine.up + mine.down <= 300 * self.unit

    def test_what_is_left_counts_on_from_the_counters_that_were_told(self, far_end):
        needs_cap(far_end, Cap.BYTES_TOTAL)
        self.run(far_end, lambda driver: driver.admit(grant(43, bytes_total=200 * self.unit), self.devices[0]))
        far_end.move(self.devices[0].mac, 0, 1000 * self.unit)
        (told,) = [s for s in self.run(far_end, lambda driver: driver.sessions()) if s.key == "session:43"]
        self.run(far_end, lambda driver: driver.admit(grant(43, 2, bytes_total=150 * self.unit), self.devices[0]))
        far_end.move(self.devices[0].mac, 0, 1000 * self.unit)
        (mine,) = [s for s in self.run(far_end, lambda driver: driver.sessions()) if s.key == "session:43"]
        assert mine.epoch == told.epoch
        assert 100 * self.unit < mine.up + mine.down - told.up - told.down <= 150 * self.unit

    def test_who_is_kicked_is_out_and_his_last_bytes_are_told(self, far_end):
        self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
        far_end.move(self.devices[0].mac, 0, 100 * KIB)
        session = self.online(far_end)["session:1"]
        last = self.run(far_end, lambda driver: driver.kick(session))
        assert last is not None and last.down >= 100 * KIB and last.epoch == session.epoch
        assert self.online(far_end) == {}
        again = self.run(far_end, lambda driver: driver.kick(session))  # an answer that was lost may be asked for again
        assert again is None or (again.up, again.down, again.epoch) == (last.up, last.down, last.epoch)

    def test_kicking_one_leaves_the_other(self, far_end):
        for number, device in enumerate(self.devices, start=1):
            self.run(far_end, partial(_admit, number=number, rev=1, device=device))
        self.run(far_end, lambda driver: driver.kick(self.devices[0]))
        assert list(self.online(far_end)) == ["session:2"]

    def test_kicking_an_older_session_leaves_the_one_that_the_device_has_now(self, far_end):
        older = self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
        self.run(far_end, lambda driver: driver.admit(grant(2), self.devices[0]))
        self.run(far_end, lambda driver: driver.kick(older))
        assert list(self.online(far_end)) == ["session:2"]

    def test_another_installation_sees_a_stranger_and_owns_nothing(self, far_end):
        self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
        other = partial(far_end.driver, "another8")
        assert [session.key for session in asyncio.run(_ask(other, "sessions"))] == [None]
        if Cap.OWNED_LIST in far_end.driver().caps:
            assert asyncio.run(_ask(other, "owned")) == []

    def test_it_says_which_device_has_an_address(self, far_end):
        if Cap.LOCATE in far_end.driver().caps:
            self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
            far_end.move(self.devices[0].mac, 0, KIB)
            found = self.run(far_end, lambda driver: driver.locate(ip=self.devices[0].ip))
            assert found.mac == self.devices[0].mac

    def test_dropping_what_is_not_there_is_no_error(self, far_end):
        self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
        for _ in range(2):
            results = self.run(far_end, lambda driver: driver.drop(["session:1", "session:77"]))
            assert [result.ok for result in results] == [True, True]
        assert self.online(far_end) == {}

    def test_after_a_reboot_its_boot_has_grown_and_who_is_online_is_known(self, far_end):
        self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
        before = self.run(far_end, lambda driver: driver.health())
        far_end.reboot()
        after = self.run(far_end, lambda driver: driver.health())
        assert after.boot > before.boot
        assert list(self.online(far_end)) == (["session:1"] if self.keeps_rights else [])
        self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
        assert self.online(far_end)["session:1"].epoch > 0

    def test_health_counts_who_is_online(self, far_end):
        self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
        assert self.run(far_end, lambda driver: driver.health()).sessions == 1

    def test_device_lists_are_taken_whole_and_twice_is_once(self, far_end):
        for _ in range(2):
            self.run(far_end, lambda driver: driver.set_devices([str(self.devices[0].mac)], [str(self.devices[1].mac)]))
        self.run(far_end, lambda driver: driver.set_devices([], []))
        self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[1]))
        assert "session:1" in self.online(far_end)

    def test_a_device_that_is_blocked_is_not_online_any_more_and_is_not_let_in(self, far_end):
        self.run(far_end, lambda driver: driver.admit(grant(1), self.devices[0]))
        self.run(far_end, lambda driver: driver.set_devices([], [self.devices[0].mac]))
        assert self.online(far_end) == {}
        with pytest.raises(RouterRejected):
            self.run(far_end, lambda driver: driver.admit(grant(2), self.devices[0]))

    def test_what_it_cannot_do_it_says_at_once(self, far_end):
        missing = [asked for cap, asked in REFUSED.items() if cap not in far_end.driver().caps]
        if missing:
            far_end.vanish()
        for verb, args in missing:
            with pytest.raises(Unsupported):
                asyncio.run(_ask(far_end.driver, verb, *args))

    def test_when_nobody_is_there_that_is_said_in_time(self, far_end):
        caps = far_end.driver().caps
        needs_cap(far_end, Cap.SESSIONS if Cap.SESSIONS in caps else Cap.KICK)
        far_end.vanish()
        with pytest.raises(RouterUnreachable):
            self.run(far_end, lambda driver: asyncio.wait_for(self._ask_who_is_there(driver), 6))

    async def _ask_who_is_there(self, driver: RouterDriver) -> Any:
        return await (driver.sessions() if Cap.SESSIONS in driver.caps else driver.kick(self.devices[0]))
