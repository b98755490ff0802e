"""Guests on a MikroTik: in within their limits, out for good, and what they used is told once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

import httpx
import pytest

from bawaba.core.clock import ManualClock
from bawaba.routers.driver import (
    Cap,
    Client,
    Grant,
    Handoff,
    Limits,
    Reason,
    RouterRejected,
    RouterSession,
    RouterUnreachable,
)
from bawaba.routers.drivers.routeros import Driver
from bawaba.routers.simulators.routeros.settings import Behaviour
from tests.cast import PHONE, TABLET
from tests.routers.contract import HOUR, KIB, grant
from tests.routers.routeros.far import ADDRESSES, PHONE_CLIENT, TABLET_CLIENT, FarEnd

ACTIVE, USER = "/ip/hotspot/active", "/ip/hotspot/user"
MIB = 1024 * KIB
CARD = Grant("card:5", 1, "4827159306", "4827159306", Limits(uptime_s=HOUR, bytes_total=MIB))


@pytest.fixture
def far_end(routeros):
    return FarEnd(routeros)


def online(far_end, mac=PHONE):
    return far_end.phones[mac].online


class TestIn:
    def test_a_phone_passes_only_once_it_is_let_in(self, far_end):
        assert not online(far_end)
        told = far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        assert isinstance(told, RouterSession) and online(far_end)

    def test_its_user_is_bound_to_the_phone_and_nobody_can_guess_its_password(self, far_end):
        far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        (user,) = far_end.router.find(USER, name="bw.install8.session:1x")
        assert user["mac-address"] == PHONE.upper() and len(user["password"]) >= 16
        assert user["comment"].startswith("bw1 install8 session:1 r1")

    def test_speed_and_limits_are_written_the_guests_way_round(self, far_end):
        limits = {"rate_up_kbps": 2000, "rate_down_kbps": 10_000, "bytes_total": 10 * 1024**3, "bytes_down": 5 * MIB}
        far_end.run(lambda driver: driver.admit(grant(1, uptime_s=5400, **limits), PHONE_CLIENT))
        (user,) = far_end.router.find(USER, name="bw.install8.session:1x")
        (profile,) = far_end.router.find("/ip/hotspot/user/profile", name=user["profile"])
        assert profile["rate-limit"] == "2M/10M"
        assert user["limit-uptime"] == "1h30m" and user["limit-bytes-total"] == "10737418240"
        assert user["limit-bytes-out"] == str(5 * MIB) and user.get("limit-bytes-in", "0") == "0"

    def test_up_is_up_and_down_is_down(self, far_end):
        far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        far_end.move(PHONE, 10 * KIB, MIB)
        (session,) = far_end.run(lambda driver: driver.sessions())
        assert (session.up, session.down) == (10 * KIB, MIB)

    def test_a_profile_that_somebody_took_away_or_changed_is_made_right(self, far_end):
        fast = partial(grant, rate_up_kbps=1000, rate_down_kbps=8000)

        async def twice(driver: Driver) -> None:
            await driver.admit(fast(1), PHONE_CLIENT)
            profiles = far_end.router.table("/ip/hotspot/user/profile")
            profiles.discard(profiles.named("bw-1000-8000-1x")[0])
            await driver.admit(fast(2), TABLET_CLIENT)

        far_end.run(twice)
        assert online(far_end, TABLET)
        far_end.router.table("/ip/hotspot/user/profile").named("bw-1000-8000-1x")[0].values["rate-limit"] = "1k/1k"
        far_end.run(lambda driver: driver.admit(fast(3), TABLET_CLIENT))
        (profile,) = far_end.router.find("/ip/hotspot/user/profile", name="bw-1000-8000-1x")
        assert profile["rate-limit"] == "1M/8M"

    def test_a_new_speed_holds_at_once(self, far_end):
        for rev, kbps in ((1, 1000), (2, 5000)):
            faster = grant(1, rev, rate_down_kbps=kbps, rate_up_kbps=kbps)
            far_end.run(lambda driver, faster=faster: driver.admit(faster, PHONE_CLIENT))
        queues = [row["max-limit"] for row in far_end.router.find("/queue/simple") if row.get("dynamic") == "true"]
        assert queues == ["5M/5M"] or queues == ["5000000/5000000"]

    def test_more_time_needs_no_new_log_in(self, far_end):
        far_end.run(lambda driver: driver.admit(grant(1, uptime_s=60), PHONE_CLIENT))
        far_end.move(PHONE, 0, 100)
        calls = far_end.router.record()
        told = far_end.run(lambda driver: driver.admit(grant(1, 2, uptime_s=HOUR), PHONE_CLIENT))
        assert not [call for call in calls if call.command.endswith("active/login")] and told.down == 100
        (active,) = far_end.router.find(ACTIVE)
        assert active["session-time-left"] in ("1h", "59m59s", "59m58s")

    def test_a_session_that_does_not_take_over_its_new_time_is_begun_anew(self, far_end, monkeypatch):
        """As on a router where a running session keeps the time that it began with."""
        far_end.run(lambda driver: driver.admit(grant(1, uptime_s=60), PHONE_CLIENT))
        shown = far_end.router.menus[ACTIVE].getters
        monkeypatch.setitem(shown, "session-time-left", lambda row: "50s")
        calls = far_end.router.record()
        far_end.run(lambda driver: driver.admit(grant(1, 2, uptime_s=HOUR), PHONE_CLIENT))
        assert len([call for call in calls if call.command.endswith("active/login")]) == 1 and online(far_end)

    def test_a_phone_that_took_a_new_address_is_found_by_its_mac(self, far_end):
        far_end.router.join(PHONE, "10.5.50.77")
        told = far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        assert told.client.ip == "10.5.50.77"

    def test_an_address_that_another_device_has_is_not_let_in(self, far_end):
        liar = Client("02:00:00:00:00:99", ADDRESSES[TABLET])
        with pytest.raises(RouterRejected) as wrong:
            far_end.run(lambda driver: driver.admit(grant(1), liar))
        assert wrong.value.reason is Reason.WRONG_MAC and far_end.router.find(USER, mac_address=PHONE.upper()) == []

    def test_a_strangers_session_on_the_phone_gives_way_and_his_user_stays(self, far_end):
        far_end.router.add(USER, name="vc-123", password="1", profile="default", comment="sold by somebody else")
        far_end.run(lambda driver: driver.put([CARD]))
        far_end.run(lambda driver: _sign_in(driver, "vc-123", "1"))
        far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        assert far_end.phones[PHONE].user == "bw.install8.session:1x"
        (stranger,) = far_end.router.find(USER, name="vc-123")
        assert stranger["comment"] == "sold by somebody else" and stranger.get("disabled") != "true"

    def test_a_licence_that_is_full_is_said_and_leaves_nothing_behind(self, make_routeros):
        far_end = FarEnd(make_routeros(password="secret", licence_level=3))
        far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        with pytest.raises(RouterRejected) as full:
            far_end.run(lambda driver: driver.admit(grant(2), TABLET_CLIENT))
        assert full.value.reason is Reason.SESSIONS_FULL and full.value.retryable
        assert far_end.router.find(USER, name="bw.install8.session:2x") == []

    def test_guests_come_before_cards(self, far_end):
        far_end.router.behaviour.add_s = 0.02
        cards = [Grant(f"card:{n}", 1, f"{n:010}", f"{n:010}", Limits(uptime_s=60)) for n in range(150)]

        async def both(driver: Driver) -> tuple[bool, int]:
            await driver.admit(grant(9), TABLET_CLIENT)
            putting = asyncio.create_task(driver.put(cards))
            await asyncio.sleep(0.2)
            await driver.admit(grant(1), PHONE_CLIENT)
            early = not putting.done()
            return early, sum(result.ok for result in await putting)

        assert far_end.run(both) == (True, 150)


class TestByTheBrowser:
    def test_where_the_router_may_not_the_browser_signs_in(self, make_routeros):
        far_end = FarEnd(make_routeros(password="secret", login_by="cookie,https"))
        form = far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        assert isinstance(form, Handoff) and form.action_url == "https://login.hotspot/login"
        assert form.fields["username"] == "bw.install8.session:1x" and not online(far_end)
        assert far_end.run(lambda driver: driver.sessions())[0].raw["ended"] == "not on"

    def test_an_owner_may_want_it_so(self, routeros):
        far_end = FarEnd(routeros, sign_in="browser")
        form = far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        assert isinstance(form, Handoff) and form.action_url == "http://login.hotspot/login"
        again = far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        assert isinstance(again, Handoff) and again.fields == form.fields
        assert "You are logged in" in _sign_in_by_form(far_end, form)
        assert [s.key for s in far_end.run(lambda driver: driver.sessions()) if not s.raw] == ["session:1"]

    def test_the_form_leads_on_to_web_addresses_only(self, routeros):
        far_end = FarEnd(routeros, sign_in="browser")
        for address, dst in (("https://portal.example/status", "https://portal.example/status"), ("javascript:x", "")):
            client = Client(PHONE, ADDRESSES[PHONE], site_ref={"return_url": address})
            form = far_end.run(partial(_admit, device=client))
            assert isinstance(form, Handoff) and form.fields["dst"] == dst

    def test_a_router_that_wants_a_challenge_answered_gets_the_answer(self, make_routeros):
        far_end = FarEnd(make_routeros(password="secret", login_by="http-chap"))
        files = far_end.router.table("/file")
        files.write(files.named("flash/hotspot/login.html")[0], {"contents": "$(chap-id)|$(chap-challenge)"})
        with httpx.Client(base_url=far_end.router.web_url, headers={"X-Phone": PHONE}, timeout=3) as browser:
            number, challenge = browser.get("/login").text.split("|")
        client = Client(PHONE, ADDRESSES[PHONE], site_ref={"chap-id": number, "chap-challenge": challenge})
        form = far_end.run(partial(_admit, device=client))
        assert isinstance(form, Handoff) and len(form.fields["password"]) == 32
        assert "You are logged in" in _sign_in_by_form(far_end, form) and online(far_end)

    def test_without_its_challenge_chap_alone_is_no_way_in(self, make_routeros):
        far_end = FarEnd(make_routeros(password="secret", login_by="http-chap"))
        with pytest.raises(RouterRejected):
            far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))

    def test_a_phone_that_the_router_has_not_seen_gets_the_form(self, far_end):
        far_end.router.hotspot.hosts.clear()
        assert isinstance(far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT)), Handoff)

    def test_a_phone_that_the_router_sees_a_moment_later_is_let_in(self, far_end):
        far_end.router.hotspot.hosts.clear()

        async def meanwhile(driver: Driver) -> object:
            admitting = asyncio.create_task(driver.admit(grant(1), PHONE_CLIENT))
            await asyncio.sleep(0.5)
            far_end.phones[PHONE].come_back()
            return await admitting

        assert isinstance(far_end.run(meanwhile), RouterSession) and online(far_end)


class TestOut:
    def test_who_is_kicked_does_not_slide_back_in_by_a_cookie(self, make_routeros):
        far_end = FarEnd(make_routeros(password="secret", behaviour=Behaviour(slide_back_s=0.0)))
        far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        far_end.router.hotspot.add_cookie(far_end.router.hotspot.sessions[ADDRESSES[PHONE]], "", 86400.0, 0.0)
        (session,) = far_end.run(lambda driver: driver.sessions())
        far_end.run(lambda driver: driver.kick(session))
        far_end.phones[PHONE].come_back()
        assert not online(far_end)
        assert far_end.router.find("/ip/hotspot/cookie") == [] and far_end.router.find(USER, mac_address=PHONE) == []

    @pytest.mark.parametrize("behaviour", [{}, {"counters_live": True}])
    def test_the_last_bytes_are_told_once(self, make_routeros, behaviour):
        far_end = FarEnd(make_routeros(password="secret", behaviour=Behaviour(**behaviour)))
        far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        far_end.move(PHONE, 300, 90 * KIB)
        (seen,) = far_end.run(lambda driver: driver.sessions())
        far_end.move(PHONE, 5, 7)
        last = far_end.run(lambda driver: driver.kick(seen))
        assert last is not None and (last.up, last.down, last.epoch) == (305, 90 * KIB + 7, seen.epoch)

    def test_a_session_that_reached_its_limit_is_told_until_it_is_kicked(self, far_end):
        far_end.run(lambda driver: driver.admit(grant(1, bytes_total=100 * KIB), PHONE_CLIENT))
        far_end.move(PHONE, 0, MIB)
        for _ in range(2):
            (session,) = far_end.run(lambda driver: driver.sessions())
            assert session.raw["ended"] == "data" and session.down == 100 * KIB
        assert far_end.run(lambda driver: driver.kick(session)).down == 100 * KIB
        assert far_end.run(lambda driver: driver.sessions()) == []

    def test_a_phone_that_left_keeps_its_session_and_one_that_came_back_is_to_be_let_in_again(self, far_end):
        far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        far_end.move(PHONE, 0, 50 * KIB)
        far_end.router.hotspot.end(far_end.router.hotspot.sessions[ADDRESSES[PHONE]], "keepalive timeout", wake=False)
        far_end.router.hotspot.hosts.clear()
        (away,) = far_end.run(lambda driver: driver.sessions())
        assert not away.raw.get("ended") and away.down == 50 * KIB
        far_end.phones[PHONE].come_back()
        (back,) = far_end.run(lambda driver: driver.sessions())
        assert back.raw["ended"] == "logged out"
        again = far_end.run(lambda driver: driver.admit(grant(1, 2), PHONE_CLIENT))
        assert (again.epoch, again.down) == (away.epoch, 50 * KIB)

    def test_kicking_a_cards_session_leaves_the_card(self, far_end):
        far_end.run(lambda driver: driver.put([CARD]))
        far_end.run(lambda driver: _sign_in(driver, CARD.login, CARD.secret))
        far_end.move(PHONE, 0, 20 * KIB)
        (session,) = far_end.run(lambda driver: driver.sessions())
        assert session.key == "card:5" and session.down == 20 * KIB
        last = far_end.run(lambda driver: driver.kick(session))
        assert last is not None and (last.down, last.epoch) == (20 * KIB, session.epoch)
        assert not online(far_end) and far_end.router.find(USER, name=CARD.login)

    def test_dropping_a_card_puts_out_who_is_on_by_it(self, far_end):
        far_end.run(lambda driver: driver.put([CARD]))
        far_end.run(lambda driver: _sign_in(driver, CARD.login, CARD.secret))
        (result,) = far_end.run(lambda driver: driver.drop(["card:5"]))
        assert result.changed and not online(far_end) and far_end.router.find(USER, name=CARD.login) == []


class TestAfterARestart:
    @pytest.mark.parametrize("saved", [True, False])
    def test_what_was_used_before_is_not_booked_again(self, far_end, saved):
        far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        far_end.move(PHONE, 0, 100 * KIB)
        (before,) = far_end.run(lambda driver: driver.sessions())
        far_end.router.reboot(saved=saved)
        far_end.phones[PHONE].come_back()
        (ended,) = far_end.run(lambda driver: driver.sessions())
        assert ended.raw["ended"] and ended.epoch == before.epoch and ended.down <= 100 * KIB
        again = far_end.run(lambda driver: driver.admit(grant(1, 2), PHONE_CLIENT))
        assert again.epoch > before.epoch and again.down == 0

    def test_a_boot_is_the_same_number_for_whoever_asks(self, far_end):
        boots = {far_end.run(lambda driver: driver.health()).boot for _ in range(3)}
        far_end.reboot()
        assert len(boots) == 1 and far_end.run(lambda driver: driver.health()).boot > max(boots)

    def test_the_routers_clock_is_never_believed(self, make_routeros):
        far_end = FarEnd(make_routeros(password="secret", clock_offset_s=-365 * 86400.0))
        told = far_end.run(lambda driver: driver.admit(grant(1, uptime_s=HOUR), PHONE_CLIENT))
        (active,) = far_end.router.find(ACTIVE)
        assert active["session-time-left"] in ("1h", "59m59s") and isinstance(told, RouterSession)
        assert far_end.run(lambda driver: driver.probe()).skew_s == pytest.approx(-365 * 86400, abs=5)


def test_what_happens_is_told_at_once(far_end):
    async def all_of_it(driver: Driver) -> list[tuple[str | None, bool]]:
        heard = []
        told = driver.events()
        first = asyncio.ensure_future(anext(told))
        await asyncio.sleep(0.2)
        async with asyncio.timeout(5):
            session = await driver.admit(grant(1), PHONE_CLIENT)
            heard.append(await first)
            assert isinstance(session, RouterSession)
            await driver.kick(session)
            heard.append(await anext(told))
        return [(notice.session.key, notice.gone) for notice in heard if notice.session is not None]

    assert Cap.EVENTS in Driver.caps
    assert far_end.run(all_of_it) == [("session:1", False), ("session:1", True)]


class TestDevices:
    def test_a_trusted_device_passes_and_the_owners_own_bindings_stay(self, far_end):
        far_end.router.add("/ip/hotspot/ip-binding", mac_address="02:00:00:00:00:77", type="bypassed", comment="till")
        far_end.run(lambda driver: driver.set_devices([PHONE], [TABLET]))
        assert online(far_end)
        far_end.run(lambda driver: driver.set_devices([], []))
        assert not online(far_end)
        assert [row["comment"] for row in far_end.router.find("/ip/hotspot/ip-binding")] == ["till"]

    def test_nothing_is_written_where_nothing_differs(self, far_end):
        far_end.run(lambda driver: driver.set_devices([PHONE], [TABLET]))
        calls = far_end.router.record()
        far_end.run(lambda driver: driver.set_devices([PHONE], [TABLET]))
        assert not [
            call for call in calls if call.command.startswith("/ip/hotspot/ip-binding/") and "print" not in call.command
        ]


class TestProbe:
    def test_it_says_what_will_bite(self, make_routeros):
        router = make_routeros(password="secret", version="7.16", login_by="http-chap")
        router.add("/ip/firewall/filter", chain="forward", action="fasttrack-connection")
        notes = " ".join(FarEnd(router).run(lambda driver: driver.probe()).notes)
        assert "FastTrack" in notes and "HTTP PAP" in notes and "Licence level 4: 0 of 200" in notes
        assert "CVE-2025-6563" in notes

    def test_a_hotspot_that_device_mode_forbids_is_said(self, make_routeros):
        notes = FarEnd(make_routeros(password="secret", hotspot_allowed=False)).run(lambda driver: driver.probe()).notes
        assert any("Device mode" in note for note in notes) and any("No hotspot" in note for note in notes)

    def test_a_hotspot_of_another_name_is_said(self, routeros):
        notes = FarEnd(routeros, server="upstairs").run(lambda driver: driver.probe()).notes
        assert any("upstairs" in note for note in notes)

    def test_an_account_that_may_only_read_lacks_the_right_to_write(self, make_routeros):
        router = make_routeros(password="secret")
        router.add("/user", name="reader", group="read", password="secret")
        far_end = FarEnd(router)
        router.change(username="reader")
        assert far_end.run(lambda driver: driver.probe()).missing_rights == ("write",)

    def test_health_knows_the_licences_ceiling(self, make_routeros):
        for level, most in ((3, 1), (4, 200), (6, None)):
            far_end = FarEnd(make_routeros(password="secret", licence_level=level))
            assert far_end.run(lambda driver: driver.health()).sessions_most == most


async def _admit(driver: Driver, device: Client) -> RouterSession | Handoff:
    return await driver.admit(grant(1), device)


async def _sign_in(driver: Driver, name: str, password: str) -> None:
    """A guest who has the code signs in at the router."""
    words = (f"{ACTIVE}/login", f"=user={name}", f"=password={password}", f"=ip={ADDRESSES[PHONE]}")
    await driver._box.api.ask(words)


def _sign_in_by_form(far_end: FarEnd, form: Handoff) -> str:
    """The phone's browser posts the form to the router's own page; what it is shown."""
    with httpx.Client(base_url=far_end.router.web_url, headers={"X-Phone": PHONE}, timeout=3) as browser:
        return browser.post(urlsplit(form.action_url).path, data=dict(form.fields)).text


@pytest.mark.parametrize("saved", [True, False])
def test_a_restart_is_told_from_what_came_before_though_our_own_clock_was_set_back(routeros, saved):
    clock = ManualClock()
    far_end = FarEnd(routeros, clock=clock)
    far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
    far_end.move(PHONE, 0, 100 * KIB)
    (before,) = far_end.run(lambda driver: driver.sessions())
    boot = far_end.run(lambda driver: driver.health()).boot
    far_end.clock = ManualClock(clock.now() - timedelta(hours=1))
    routeros.reboot(saved=saved)
    far_end.phones[PHONE].come_back()
    assert far_end.run(lambda driver: driver.health()).boot > boot
    again = far_end.run(lambda driver: driver.admit(grant(1, 2), PHONE_CLIENT))
    assert isinstance(again, RouterSession) and again.epoch > before.epoch and again.down == 0


class TestJustStarted:
    """The API answers some seconds before the hotspot does, and knows of nobody then."""

    @pytest.fixture
    def starting(self, make_routeros, far_end):
        clock = ManualClock()
        router = make_routeros(password="secret", clock=clock)
        far_end = FarEnd(router)
        far_end.run(lambda driver: driver.put([CARD]))
        far_end.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        router.behaviour.warm_up_s = 20.0
        clock.advance(HOUR / 2)
        router.reboot()
        far_end.phones[PHONE].come_back()
        far_end.time = clock
        return far_end

    VERBS = (
        lambda driver: driver.sessions(), lambda driver: driver.owned(), lambda driver: driver.drop(["card:5"]),
        lambda driver: driver.kick(PHONE_CLIENT),
    )  # fmt: skip

    @pytest.mark.parametrize("verb", VERBS)
    def test_a_list_that_is_empty_too_early_is_not_believed(self, starting, verb):
        with pytest.raises(RouterUnreachable):
            starting.run(verb)
        starting.time.advance(21)
        starting.run(verb)

    def test_nothing_is_written_twice_and_nobody_is_given_up(self, starting):
        with pytest.raises(RouterRejected) as early:
            starting.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        (result,) = starting.run(lambda driver: driver.put([CARD]))
        assert early.value.retryable and result.error is not None and result.error.retryable
        starting.time.advance(21)
        starting.run(lambda driver: driver.admit(grant(1), PHONE_CLIENT))
        (result,) = starting.run(lambda driver: driver.put([CARD]))
        assert result.ok and not result.changed and online(starting)
        assert len(starting.router.find(USER, name="bw.install8.session:1x")) == 1
