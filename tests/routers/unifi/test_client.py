"""How a controller is reached: who it is, who we are, and what is never sent to anybody else."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from bawaba.routers.driver import (
    Reason,
    RouterAuthFailed,
    RouterProtocolError,
    RouterRejected,
    RouterUnreachable,
    Unsupported,
)
from bawaba.routers.drivers.unifi import Driver
from bawaba.routers.drivers.unifi.account import Account
from bawaba.routers.simulators.unifi.settings import Behaviour
from tests.cast import PHONE
from tests.routers.contract import grant
from tests.routers.unifi.far import PHONE_CLIENT, TABLET_CLIENT, FarEnd

KEY = "a-key-of-our-own"
OTHER = "02:00:5e:10:00:03"


def look(driver: Driver) -> Any:
    return driver.sessions()


def let_in(driver: Driver) -> Any:
    return driver.admit(grant(1), PHONE_CLIENT)


def logins(far_end: FarEnd) -> int:
    return far_end.controller.logins


class TestCertificate:
    def test_one_that_is_not_known_is_shown_and_nothing_is_asked(self, controllers):
        far_end = FarEnd(controllers)
        shown = bytes.fromhex(far_end.controller.fingerprint).hex(":").upper()
        with pytest.raises(RouterAuthFailed, match=shown):
            far_end.run(look, options={})
        assert far_end.controller.calls == []

    def test_with_another_than_before_neither_password_nor_key_is_sent(self, controllers):
        far_end = FarEnd(controllers)
        for options in ({"certificate": "ab" * 32}, {"certificate": "ab" * 32, "api_key": KEY}):
            with pytest.raises(RouterAuthFailed, match="another certificate"):
                far_end.run(look, options=options)
        assert far_end.controller.calls == []

    def test_it_may_be_written_as_browsers_show_it(self, controllers):
        far_end = FarEnd(controllers)
        written = bytes.fromhex(far_end.controller.fingerprint).hex(":").upper()
        assert far_end.run(look, options={"certificate": written}) == []


class TestLogIn:
    @pytest.mark.parametrize("unifi_os", [True, False])
    def test_one_log_in_serves_every_connection(self, controllers, unifi_os):
        far_end = FarEnd(controllers, unifi_os=unifi_os)
        for _ in range(3):
            far_end.run(let_in)
        assert logins(far_end) == 1

    @pytest.mark.parametrize("unifi_os", [True, False])
    def test_one_that_ran_out_is_renewed_once(self, controllers, unifi_os):
        far_end = FarEnd(controllers, unifi_os=unifi_os)
        far_end.run(look)
        far_end.controller.expire_logins()
        far_end.run(let_in)
        assert logins(far_end) == 2 and far_end.controller.site.active(PHONE)

    def test_writes_side_by_side_do_not_spoil_each_others_token(self, controllers):
        far_end = FarEnd(controllers, behaviour=Behaviour(delay_s=0.03))

        async def side_by_side(driver: Driver) -> None:
            await asyncio.gather(let_in(driver), driver.admit(grant(2), TABLET_CLIENT), driver.set_devices([], [OTHER]))

        far_end.run(side_by_side)
        assert logins(far_end) == 1 and len(far_end.controller.site.guests) == 2

    @pytest.mark.parametrize(("on_reads", "needed"), [(True, 1), (False, 2)])
    def test_a_token_that_got_lost_with_an_answer_is_found_again(self, controllers, on_reads, needed):
        far_end = FarEnd(controllers, behaviour=Behaviour(csrf_on_reads=on_reads))
        far_end.controller.fail("cut-after", "*authorize-guest")
        with pytest.raises(RouterUnreachable):
            far_end.run(let_in)
        far_end.run(lambda driver: driver.kick(PHONE_CLIENT))
        assert logins(far_end) == needed and far_end.controller.site.active(PHONE) is None

    def test_a_controller_that_takes_log_ins_and_then_knows_nobody_is_not_hammered(self, controllers):
        far_end = FarEnd(controllers, behaviour=Behaviour(session_s=0.0))
        for _ in range(8):
            with pytest.raises(RouterAuthFailed):
                far_end.run(look)
        assert logins(far_end) <= 4

    def test_a_wrong_password_is_tried_once(self, controllers):
        far_end = FarEnd(controllers)
        for _ in range(5):
            with pytest.raises(RouterAuthFailed):
                far_end.run(look, password="wrong")
        assert logins(far_end) == 1
        assert far_end.run(look) == []  # another password is another try

    def test_a_second_factor_is_said(self, controllers):
        far_end = FarEnd(controllers, two_factor=True)
        with pytest.raises(RouterAuthFailed, match="2fa"):
            far_end.run(look)

    def test_who_logs_in_too_often_waits(self, controllers):
        far_end = FarEnd(controllers, behaviour=Behaviour(logins_a_minute=0))
        for _ in range(4):
            with pytest.raises(RouterRejected) as refused:
                far_end.run(look)
            assert refused.value.reason is Reason.BUSY
        assert logins(far_end) == 1

    def test_without_key_and_account_that_is_said(self, controllers):
        far_end = FarEnd(controllers)
        with pytest.raises(RouterAuthFailed, match="neither"):
            far_end.run(look, username=None, password=None)

    def test_a_wrong_key_is_said(self, controllers):
        far_end = FarEnd(controllers, api_key=KEY, options={"api_key": "another"})
        with pytest.raises(RouterAuthFailed):
            far_end.run(look)

    def test_a_refused_log_in_is_tried_later_each_time(self):
        account = Account()
        for pause_s in (60, 120, 240, 480, 900, 900):
            account.was_refused(RouterAuthFailed("no"))
            assert account.until - time.monotonic() == pytest.approx(pause_s, abs=1)
        with pytest.raises(RouterAuthFailed):
            account.check()


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "error"),
        [(429, RouterRejected), (500, RouterUnreachable), (502, RouterUnreachable), (403, RouterAuthFailed),
         (404, RouterRejected), (302, RouterProtocolError), (418, RouterRejected)],
    )  # fmt: skip
    def test_a_status_is_an_honest_error(self, controllers, status, error):
        far_end = FarEnd(controllers)
        far_end.controller.fail("status", "*stat/sta*", status=status, times=None)
        with pytest.raises(error):
            far_end.run(look)

    @pytest.mark.parametrize("kind", ["html", "nonsense"])
    def test_an_answer_that_is_no_json_makes_no_sense(self, controllers, kind):
        far_end = FarEnd(controllers)
        far_end.controller.fail(kind, "*stat/sta*", times=None)
        with pytest.raises(RouterProtocolError) as told:
            far_end.run(look)
        assert told.value.outcome_known  # nothing was to be changed

    def test_rights_that_are_missing_are_said_and_nothing_is_changed(self, controllers):
        far_end = FarEnd(controllers, role="readonly")
        assert far_end.run(lambda driver: driver.probe()).missing_rights == ("write",)
        with pytest.raises(RouterAuthFailed):
            far_end.run(let_in)
        assert far_end.controller.site.active(PHONE) is None

    def test_a_silent_answer_ends_by_its_deadline(self, controllers):
        far_end = FarEnd(controllers)
        far_end.controller.fail("slow", "*stat/sysinfo*", seconds=8.0)
        began = time.monotonic()
        with pytest.raises(RouterUnreachable):
            far_end.run(lambda driver: driver.health())
        assert time.monotonic() - began < 7


class TestProbe:
    def test_it_says_what_it_is_and_how_its_clock_goes(self, controllers):
        far_end = FarEnd(controllers, clock_offset_s=-3600.0)
        info = far_end.run(lambda driver: driver.probe())
        assert (info.version, info.board) == ("10.6.106", "UDMPRO (UniFi)")
        assert info.skew_s == pytest.approx(-3600, abs=2)

    @pytest.mark.parametrize(
        ("made", "said"),
        [({"portal": False}, "portal is off"), ({"portal_auth": "hotspot"}, "own page"),
         ({"redirect_https": True}, "HTTPS redirection")],
    )  # fmt: skip
    def test_a_landing_page_that_is_not_ours_is_said(self, controllers, made, said):
        notes = FarEnd(controllers, **made).run(lambda driver: driver.probe()).notes
        assert any(said in note for note in notes)
        assert not any(said in note for note in FarEnd(controllers).run(lambda driver: driver.probe()).notes)

    @pytest.mark.parametrize("api", ["classic", "official"])
    def test_a_site_that_is_not_there_is_named_with_those_that_are(self, controllers, api):
        options = {"site": "roof", "api_key": KEY, "api": api}
        far_end = FarEnd(controllers, sites=("default", "hall"), api_key=KEY, options=options)
        with pytest.raises(RouterRejected, match=r"roof.*default, hall") as told:
            far_end.run(lambda driver: driver.probe())
        assert told.value.reason is Reason.NOT_FOUND

    def test_the_other_site_is_ours_where_we_say_so(self, controllers):
        far_end = FarEnd(controllers, sites=("default", "hall"), options={"site": "hall"})
        far_end.controller.sites["hall"].join(PHONE, "10.30.0.9")
        assert far_end.run(let_in).client.ip == "10.30.0.9"
        assert far_end.controller.sites["default"].guests == []


def test_what_it_cannot_do_it_says(controllers):
    far_end = FarEnd(controllers)
    with pytest.raises(Unsupported):
        far_end.run(lambda driver: driver.put([grant(1)]))
