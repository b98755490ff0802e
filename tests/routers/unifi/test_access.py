"""Whose a session is and what it has used, whatever the controller and its owner do meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from bawaba.core.clock import ManualClock
from bawaba.routers.driver import Client, Limits, Reason, RouterRejected
from bawaba.routers.drivers import unifi
from bawaba.routers.drivers.unifi import Driver, notes, units
from bawaba.routers.drivers.unifi.notes import Mark
from bawaba.routers.simulators.unifi.settings import MIB, Behaviour
from tests.cast import PHONE, TABLET
from tests.routers.contract import grant
from tests.routers.unifi.far import PHONE_CLIENT, TABLET_CLIENT, FarEnd

GIB = 1024 * MIB
KEY = "a-key-of-our-own"


@pytest.fixture
def far_end(controllers):
    return FarEnd(controllers)


def let_in(driver: Driver, **limits: Any) -> Any:
    return driver.admit(grant(1, **limits), PHONE_CLIENT)


async def kick(driver: Driver, session: Any) -> Any:
    return await driver.kick(session)


def by_key(far_end: FarEnd) -> dict[str | None, Any]:
    return {session.key: session for session in far_end.run(lambda driver: driver.sessions())}


class TestUnits:
    now = ManualClock().now()

    def test_the_cheat_sheet(self):
        limits = Limits(uptime_s=5400, bytes_total=10 * GIB, rate_up_kbps=2000, rate_down_kbps=10_000)
        native = units.native(limits, self.now)
        assert (native.minutes, native.up_kbps, native.down_kbps, native.megabytes) == (90, 2000, 10_000, 10_240)

    @pytest.mark.parametrize(
        ("limits", "minutes", "megabytes"),
        [
            ({"uptime_s": 1}, 1, None),
            ({"uptime_s": 119}, 1, None),
            ({"uptime_s": 120, "bytes_total": 1}, 2, 1),
            ({"bytes_total": 2 * MIB - 1}, units.LONGEST_MINUTES, 1),
            ({"bytes_up": 3 * MIB, "bytes_down": 4 * MIB}, units.LONGEST_MINUTES, 7),
            ({"bytes_down": 4 * MIB}, units.LONGEST_MINUTES, None),
            ({"until": now + timedelta(seconds=179), "uptime_s": 3600}, 2, None),
        ],
    )
    def test_down_and_never_to_nothing(self, limits, minutes, megabytes):
        native = units.native(Limits(**limits), self.now)
        assert (native.minutes, native.megabytes) == (minutes, megabytes)

    def test_what_was_used_since_is_taken_off(self):
        assert units.native(Limits(bytes_total=5 * MIB), self.now, 2 * MIB).megabytes == 3
        with pytest.raises(RouterRejected):
            units.native(Limits(bytes_total=5 * MIB), self.now, 5 * MIB)


class TestNotes:
    mark = Mark("install8", "session:1", 2, 3, 4, 5, 6, 7, 8, "9.10")

    def test_what_the_owner_wrote_stays(self):
        note = notes.with_mark("Ali's phone [old]", self.mark)
        assert note.startswith("Ali's phone [old] [bw1|")
        assert notes.session_mark(note, "install8") == self.mark
        assert notes.without_mark(note, "install8", device=False) == "Ali's phone [old]"

    def test_each_installation_and_kind_has_its_own(self):
        device, other = Mark("install8", notes.BLOCKED), replace(self.mark, install="another8")
        note = notes.with_mark(notes.with_mark(notes.with_mark("x", other), device), self.mark)
        note = notes.with_mark(note, replace(self.mark, rev=9))
        assert len(notes.marks_in(note)) == 3
        assert notes.device_mark(note, "install8") == device and notes.session_mark(note, "another8") == other

    @pytest.mark.parametrize("note", ["[bw1|a]", "[bw1|i|session:1|x|3|4|5|6|7|8|9]", None, 7, "[bw1||||||||||]"])
    def test_what_is_no_mark_is_none(self, note):
        assert notes.session_mark(note, "i") is None


class TestCounting:
    def test_what_was_used_by_the_card_before_is_not_the_next_ones(self, far_end):
        far_end.run(let_in)
        far_end.move(PHONE, 1000, 5000)
        far_end.run(lambda driver: driver.admit(grant(2), PHONE_CLIENT))
        far_end.move(PHONE, 10, 20)
        session = by_key(far_end)["session:2"]
        assert (session.up, session.down) == (10, 20)

    def test_the_last_bytes_of_a_card_that_another_replaced_are_told_when_asked(self, far_end):
        older = far_end.run(let_in)
        far_end.move(PHONE, 1000, 5000)
        far_end.run(lambda driver: driver.admit(grant(2), PHONE_CLIENT))
        last = far_end.run(lambda driver: driver.kick(older))
        assert (last.key, last.up, last.down, last.epoch) == ("session:1", 1000, 5000, older.epoch)
        assert by_key(far_end).keys() == {"session:2"}

    def test_a_new_association_is_a_later_life(self, far_end):
        far_end.run(let_in)
        far_end.move(PHONE, 10, 1000)
        before = by_key(far_end)["session:1"]
        far_end.clock.advance(5)
        far_end.phones[PHONE].come_back()
        far_end.move(PHONE, 1, 2)
        after = by_key(far_end)["session:1"]
        assert (after.up, after.down) == (1, 2) and after.epoch > before.epoch
        assert by_key(far_end)["session:1"].epoch == after.epoch

    def test_also_after_a_restart_of_ours(self, far_end, monkeypatch):
        far_end.run(lambda driver: let_in(driver, bytes_total=50 * MIB))
        far_end.move(PHONE, 10, 1000)
        before = by_key(far_end)["session:1"]
        monkeypatch.setattr(unifi, "_memories", {})
        same = by_key(far_end)["session:1"]
        assert (same.up, same.down, same.epoch) == (before.up, before.down, before.epoch)
        far_end.clock.advance(5)
        far_end.phones[PHONE].come_back()
        far_end.move(PHONE, 20, 2000)
        monkeypatch.setattr(unifi, "_memories", {})
        after = by_key(far_end)["session:1"]
        assert (after.up, after.down) == (20, 2000) and after.epoch > before.epoch

    @pytest.mark.parametrize("back_s", [0, 5000])
    def test_also_within_the_second_and_where_the_controllers_clock_went_back(self, far_end, back_s):
        far_end.run(let_in)
        seen = []
        for number in (3, 2, 1):
            far_end.move(PHONE, 10 * number, 1000 * number)
            session = by_key(far_end)["session:1"]
            seen.append((session.epoch, session.down))
            far_end.phones[PHONE].come_back()
            far_end.phones[PHONE].joined_at -= back_s * (4 - number)
        assert [down for _, down in seen] == [3000, 2000, 1000]
        assert seen[0][0] < seen[1][0] < seen[2][0]

    def test_a_device_that_is_away_keeps_its_right_and_its_figures(self, far_end):
        far_end.run(let_in)
        far_end.move(PHONE, 10, 1000)
        before = by_key(far_end)["session:1"]
        far_end.phones[PHONE].leave()
        away = by_key(far_end)["session:1"]
        assert away.raw["away"] and not away.raw.get("ended")
        assert (away.up, away.down, away.epoch) == (before.up, before.down, before.epoch)

    def test_time_that_is_over_ends_the_session_by_itself(self, far_end):
        far_end.run(lambda driver: let_in(driver, uptime_s=600))
        far_end.clock.advance(599)
        assert not by_key(far_end)["session:1"].raw.get("ended")
        far_end.clock.advance(2)
        assert by_key(far_end)["session:1"].raw["ended"] == "over"

    def test_the_same_right_after_it_was_cut_off_is_what_was_left_of_it(self, far_end):
        def again() -> None:
            far_end.run(lambda driver: let_in(driver, bytes_total=50 * MIB))

        again()
        far_end.move(PHONE, 0, 30 * MIB)
        far_end.controller.site.revoke(PHONE)
        again()
        far_end.move(PHONE, 0, 30 * MIB)
        assert far_end.phones[PHONE].tx == 50 * MIB
        with pytest.raises(RouterRejected) as refused:
            again()
        assert refused.value.reason is Reason.LIMIT_REACHED

    def test_data_that_is_used_up_is_told_from_a_controller_that_stopped_early(self, controllers):
        for megabyte, ended in ((MIB, "data"), (1_000_000, "over")):
            far_end = FarEnd(controllers, behaviour=Behaviour(megabyte=megabyte))
            far_end.run(lambda driver: let_in(driver, bytes_total=100 * MIB))
            far_end.move(PHONE, 0, 200 * MIB)
            assert by_key(far_end)["session:1"].raw["ended"] == ended


class TestOthers:
    def test_a_guest_by_the_controllers_own_voucher_is_a_stranger(self, far_end):
        far_end.controller.site.authorize(TABLET, 60, None, None, None, by="voucher")
        far_end.run(let_in)
        assert by_key(far_end).keys() == {"session:1", None}
        far_end.run(lambda driver: driver.drop(["session:1"]))
        assert far_end.controller.site.active(TABLET) is not None

    def test_what_the_owner_blocked_or_wrote_is_left_alone(self, far_end):
        site = far_end.controller.site
        site.block(TABLET, True)
        site.user(PHONE).note = "till"
        far_end.run(lambda driver: driver.set_devices([PHONE], [TABLET]))
        far_end.run(lambda driver: driver.set_devices([], []))
        assert site.user(TABLET).blocked and site.user(PHONE).note == "till"

    def test_a_device_that_the_controller_never_saw_can_be_blocked(self, far_end):
        strange = "02:00:5e:99:00:01"
        far_end.run(lambda driver: driver.set_devices([], [strange]))
        assert far_end.controller.site.user(strange).blocked
        phone = far_end.controller.join(strange)
        phone.leave()
        far_end.run(lambda driver: driver.set_devices([], []))
        assert not far_end.controller.site.user(strange).blocked

    def test_a_trusted_device_passes_and_is_nobodys_session(self, far_end):
        far_end.run(lambda driver: driver.set_devices([PHONE], []))
        assert far_end.phones[PHONE].move(1, 1) == (1, 1)
        assert by_key(far_end) == {}

    def test_a_note_that_was_wiped_by_hand_does_not_keep_anybody_in(self, far_end):
        session = far_end.run(let_in)
        far_end.controller.site.user(PHONE).note = ""
        assert by_key(far_end).keys() == {None}
        far_end.run(lambda driver: driver.kick(session))
        assert far_end.controller.site.active(PHONE) is None

    def test_who_is_away_is_put_out_too_even_where_no_note_is_shown_then(self, controllers):
        for shown in ("noted", "blocked"):
            far_end = FarEnd(controllers, behaviour=Behaviour(list_shows=shown))
            session = far_end.run(let_in)
            far_end.phones[PHONE].leave()
            far_end.run(partial(kick, session=session))
            assert far_end.controller.site.active(PHONE) is None

    def test_looking_while_a_guest_is_let_in_does_not_write_the_older_mark_back(self, controllers):
        far_end = FarEnd(controllers, api_key=KEY, options={"api_key": KEY})
        far_end.run(let_in)
        far_end.clock.advance(5)
        far_end.phones[PHONE].come_back()  # so that a look has something to write
        far_end.move(PHONE, 1, 1)
        far_end.controller.fail("slow", "PUT rest/user/*", seconds=0.7)

        async def both(driver: Driver) -> None:
            look = asyncio.create_task(driver.sessions())
            async with asyncio.timeout(5):
                while not any(call.startswith("PUT") for call in far_end.controller.calls[calls:]):
                    await asyncio.sleep(0.01)
            await driver.admit(grant(2), PHONE_CLIENT)
            await look

        calls = len(far_end.controller.calls)
        far_end.run(both)
        assert list(by_key(far_end)) == ["session:2"]

    def test_a_device_outside_of_the_hotspot_is_refused(self, far_end):
        far_end.controller.join(PHONE, "10.0.0.9", is_guest=False)
        with pytest.raises(RouterRejected, match="hotspot"):
            far_end.run(let_in)

    def test_a_device_that_is_nowhere_is_refused_and_asked_for_again_later(self, far_end):
        with pytest.raises(RouterRejected) as refused:
            far_end.run(lambda driver: driver.admit(grant(1), Client("02:00:5e:99:00:02")))
        assert refused.value.reason is Reason.UNKNOWN_CLIENT and refused.value.retryable

    def test_the_same_right_on_another_device_leaves_the_first(self, far_end):
        far_end.run(let_in)
        far_end.run(lambda driver: driver.admit(grant(1), TABLET_CLIENT))
        assert far_end.controller.site.active(PHONE) is None
        assert [(s.key, s.client.mac) for s in far_end.run(lambda driver: driver.sessions())] == [("session:1", TABLET)]

    def test_limits_that_change_do_not_take_the_guest_off_line(self, far_end):
        far_end.run(lambda driver: let_in(driver, bytes_total=50 * MIB))
        far_end.controller.calls.clear()
        far_end.run(lambda driver: driver.admit(grant(1, 2, rate_down_kbps=64), PHONE_CLIENT))
        assert not any("unauthorize" in call or "kick" in call for call in far_end.controller.calls)
        assert far_end.controller.site.active(PHONE).down_kbps == 64


def test_an_address_is_found_with_the_device_that_has_it_now(far_end):
    found = far_end.run(lambda driver: driver.locate(ip=PHONE_CLIENT.ip))
    assert (found.mac, found.ip) == (PHONE, PHONE_CLIENT.ip)
    assert far_end.run(lambda driver: driver.locate(mac=PHONE)).ip == PHONE_CLIENT.ip
    far_end.phones[PHONE].leave()
    assert far_end.run(lambda driver: driver.locate(ip=PHONE_CLIENT.ip)) is None
    assert far_end.run(lambda driver: driver.locate(mac=PHONE)) is None
