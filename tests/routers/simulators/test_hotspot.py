"""Behind the simulator's API is a hotspot that behaves as MikroTik's manual says, and as live routers were seen to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bawaba.core.clock import ManualClock
from bawaba.routers.simulators.routeros.router import Router
from tests.routers.simulators.raw import Raw, attributes

DAY = 86400


@pytest.fixture
def router(make_routeros, clock) -> Router:
    made = make_routeros(password="secret", clock=clock)
    made.table("/ip/hotspot/user/profile").set({"numbers": "default", "add-mac-cookie": "no"})
    return made


@pytest.fixture
def raw(router) -> Iterator[Raw]:
    with Raw(router.api_port) as connection:
        yield connection.login()


def log_in(raw: Raw, user: str, ip: str, *more: str, password: str = "") -> str:
    """The refusal, or an empty string."""
    words = (f"=user={user}", f"=password={password}", f"=ip={ip}", *more)
    return attributes(raw.ask("/ip/hotspot/active/login", *words)[0]).get("message", "")


class TestLogin:
    def test_a_phone_is_let_in_and_seen(self, router, raw):
        router.add("/ip/hotspot/user", name="0042", password="pw", limit_uptime="1h")
        phone = router.join()

        assert log_in(raw, "0042", phone.ip, f"=mac-address={phone.mac}", password="pw") == ""

        [active] = router.find("/ip/hotspot/active")
        assert (active["user"], active["mac-address"], active["session-time-left"]) == ("0042", phone.mac, "1h")
        assert router.find("/ip/hotspot/host")[0]["authorized"] == "true"
        assert phone.online and phone.user == "0042"

    @pytest.mark.parametrize(
        ("words", "refusal"),
        [
            (("0042", "10.5.99.99"), "unknown host IP 10.5.99.99"),
            (("0042", "nowhere"), "invalid value for argument ip"),
            (("0042", "10.5.50.2", "=mac-address=what"), "invalid value of mac-address, mac address required"),
            (("0042", "10.5.50.2", "=mac-address=02:00:00:00:00:99"), "wrong MAC provided"),
            (("0043", "10.5.50.2"), "invalid username or password"),
            (("locked", "10.5.50.2"), "invalid username or password"),
            (("off", "10.5.50.2"), "invalid username or password"),
            (("elsewhere", "10.5.50.2"), "user elsewhere is not allowed to log in from this MAC address"),
            (
                ("02:00:00:00:00:77", "10.5.50.2"),
                "invalid username (02:00:00:00:00:77): this MAC address is not yours",
            ),
        ],
    )
    def test_refusals_are_those_of_live_routers(self, router, raw, words, refusal):
        router.add("/ip/hotspot/user", name="0042")
        router.add("/ip/hotspot/user", name="locked", password="pw")
        router.add("/ip/hotspot/user", name="off", disabled="yes")
        router.add("/ip/hotspot/user", name="elsewhere", mac_address="02:00:00:00:00:99")
        router.add("/ip/hotspot/user", name="02:00:00:00:00:77")
        router.join(ip="10.5.50.2")
        assert log_in(raw, *words) == refusal

    def test_shared_users_and_the_licence_are_ceilings(self, router, raw):
        router.add("/ip/hotspot/user", name="one")
        router.add("/ip/hotspot/user/profile", name="many", shared_users="unlimited", add_mac_cookie="no")
        router.add("/ip/hotspot/user", name="all", profile="many")
        first, second = router.join(), router.join()

        assert log_in(raw, "one", first.ip) == ""
        assert log_in(raw, "one", second.ip) == "no more sessions are allowed for user one"
        router.change(licence_level=3)
        assert log_in(raw, "all", second.ip) == "session limit reached (1)"
        router.change(licence_level=6)
        assert log_in(raw, "all", second.ip) == ""

    def test_an_api_login_needs_http_pap(self, make_routeros):
        router = make_routeros(password="secret", login_by="cookie,http-chap")
        router.add("/ip/hotspot/user", name="0042")
        phone = router.join()
        with Raw(router.api_port) as raw:
            assert log_in(raw.login(), "0042", phone.ip) != ""
            router.behaviour.login_needs_pap = False
            assert log_in(raw, "0042", phone.ip) == ""

    @pytest.mark.parametrize(("again", "user", "refusal"), [("keep", "a", ""), ("replace", "b", "")])
    def test_a_second_login_on_the_same_phone_can_go_either_way(self, router, raw, again, user, refusal):
        router.behaviour.login_again = again
        phone = router.join()
        for name in ("a", "b"):
            router.add("/ip/hotspot/user", name=name)
            assert log_in(raw, name, phone.ip) == refusal
        assert phone.user == user


class TestTime:
    def test_used_time_adds_up_over_sessions_and_ends_to_the_second(self, router, raw, clock: ManualClock):
        router.add("/ip/hotspot/user", name="0042", limit_uptime="1h")
        phone = router.join()
        log_in(raw, "0042", phone.ip)
        clock.advance(1800)
        [active] = router.find("/ip/hotspot/active")
        raw.ask("/ip/hotspot/active/remove", f"=.id={active['.id']}")
        clock.advance(DAY)
        log_in(raw, "0042", phone.ip)

        clock.advance(1799)
        assert phone.online
        clock.advance(1)
        assert not phone.online
        assert router.find("/ip/hotspot/user", name="0042")[0]["uptime"] == "1h"
        assert log_in(raw, "0042", phone.ip) == "user 0042 has reached uptime limit"

    def test_a_session_timeout_is_for_each_session(self, router, raw, clock: ManualClock):
        router.add("/ip/hotspot/user/profile", name="short", session_timeout="10m", add_mac_cookie="no")
        router.add("/ip/hotspot/user", name="0042", profile="short")
        phone = router.join()
        for _ in range(2):
            assert log_in(raw, "0042", phone.ip) == ""
            clock.advance(600)
            assert not phone.online

    def test_a_new_limit_holds_for_a_session_that_is_up(self, router, raw, clock: ManualClock):
        user = router.add("/ip/hotspot/user", name="0042", limit_uptime="1h")
        phone = router.join()
        log_in(raw, "0042", phone.ip)

        raw.ask("/ip/hotspot/user/set", f"=.id={user}", "=limit-uptime=2h")
        clock.advance(7199)
        assert phone.online
        clock.advance(1)
        assert not phone.online

    @pytest.mark.parametrize(
        ("path", "name", "limit"),
        [("/ip/hotspot/user", "0042", "limit-uptime"), ("/ip/hotspot/user/profile", "default", "session-timeout")],
    )
    def test_a_shorter_limit_ends_a_session_sooner(self, router, raw, clock: ManualClock, path, name, limit):
        router.add("/ip/hotspot/user", name="0042", limit_uptime="1h")
        phone = router.join()
        log_in(raw, "0042", phone.ip)
        clock.advance(60)
        assert phone.online

        raw.ask(f"{path}/set", f"=numbers={name}", f"={limit}=10m")
        clock.advance(540)
        assert not phone.online

    def test_two_phones_share_what_one_user_has(self, router, raw, clock: ManualClock):
        router.add("/ip/hotspot/user/profile", name="two", shared_users="2", add_mac_cookie="no")
        router.add("/ip/hotspot/user", name="0042", profile="two", limit_uptime="1h")
        first, second = router.join(), router.join()
        log_in(raw, "0042", first.ip)
        log_in(raw, "0042", second.ip)
        clock.advance(1200)
        raw.ask("/ip/hotspot/active/remove", f"=.id={router.find('/ip/hotspot/active', address=first.ip)[0]['.id']}")
        clock.advance(1199)
        assert second.online
        clock.advance(1)
        assert not second.online

    def test_who_walks_away_is_logged_out_when_keepalives_fail(self, router, raw, clock: ManualClock):
        router.add("/ip/hotspot/user", name="0042")
        phone = router.join()
        log_in(raw, "0042", phone.ip)

        phone.leave()
        clock.advance(119)
        assert router.find("/ip/hotspot/active")
        clock.advance(DAY)
        assert not router.find("/ip/hotspot/active") and not router.find("/ip/hotspot/host")
        assert router.find("/ip/hotspot/user", name="0042")[0]["uptime"] == "2m"

    def test_who_is_silent_is_logged_out_when_idle(self, router, raw, clock: ManualClock):
        router.add("/ip/hotspot/user/profile", name="idle", idle_timeout="5m", add_mac_cookie="no")
        router.add("/ip/hotspot/user", name="0042", profile="idle")
        phone = router.join()
        log_in(raw, "0042", phone.ip)
        phone.flow(down=1000)
        clock.advance(3600)
        assert phone.online
        phone.flow()
        clock.advance(300)
        assert not phone.online

    def test_a_wrong_clock_changes_no_session(self, make_routeros, clock: ManualClock):
        router = make_routeros(password="secret", clock=clock, clock_offset_s=-366 * DAY)
        router.add("/ip/hotspot/user", name="0042", limit_uptime="1h")
        phone = router.join()
        with Raw(router.api_port) as raw:
            log_in(raw.login(), "0042", phone.ip)
            assert attributes(raw.ask("/system/clock/print")[0])["date"] == "2025-01-09"
            raw.ask("/system/clock/set", "=date=2026-01-10", "=time=12:00:00")
            assert attributes(raw.ask("/system/clock/print")[0])["date"] == "2026-01-10"
        clock.advance(3599)
        assert phone.online


class TestData:
    def test_up_is_in_and_down_is_out(self, router, raw):
        router.add("/ip/hotspot/user", name="0042")
        phone = router.join()
        log_in(raw, "0042", phone.ip)
        phone.move(up=10, down=1000)
        [active] = router.find("/ip/hotspot/active")
        assert (active["bytes-in"], active["bytes-out"]) == ("10", "1000")

    @pytest.mark.parametrize(
        ("limit", "passed"),
        [({"limit_bytes_total": "1000"}, (300, 700)), ({"limit_bytes_out": "500"}, (300, 500))],
    )
    def test_a_quota_ends_the_session(self, router, raw, limit, passed):
        router.add("/ip/hotspot/user", name="0042", **limit)
        phone = router.join()
        log_in(raw, "0042", phone.ip)

        assert phone.move(up=300, down=900) == passed
        assert not phone.online
        assert log_in(raw, "0042", phone.ip) == "user 0042 has reached traffic limit"

    def test_a_steady_flow_ends_at_its_moment(self, router, raw, clock: ManualClock):
        router.add("/ip/hotspot/user", name="0042", limit_bytes_total=str(10 * 2**30))
        phone = router.join()
        log_in(raw, "0042", phone.ip)
        phone.flow(up=2**20, down=9 * 2**20)
        clock.advance(1023)
        assert phone.online
        clock.advance(600)
        assert not phone.online
        [user] = router.find("/ip/hotspot/user", name="0042")
        assert (user["uptime"], int(user["bytes-in"]) + int(user["bytes-out"])) == ("17m4s", 10 * 2**30)

    @pytest.mark.parametrize("live", [False, True])
    def test_a_users_counters_move_at_logout_or_live(self, router, raw, clock: ManualClock, live):
        router.behaviour.counters_live = live
        router.add("/ip/hotspot/user", name="0042")
        phone = router.join()
        log_in(raw, "0042", phone.ip)
        phone.move(up=10, down=90)
        clock.advance(60)

        [user] = router.find("/ip/hotspot/user", name="0042")
        assert (user["bytes-out"], user["uptime"]) == (("90", "1m") if live else ("0", "0s"))
        raw.ask("/ip/hotspot/active/remove", "=numbers=" + router.find("/ip/hotspot/active")[0][".id"])
        [user] = router.find("/ip/hotspot/user", name="0042")
        assert (user["bytes-out"], user["uptime"]) == ("90", "1m")

    def test_a_rate_limit_is_a_queue_that_a_later_profile_does_not_touch(self, router, raw):
        profile = router.add("/ip/hotspot/user/profile", name="bw-1x", rate_limit="2M/10M", add_mac_cookie="no")
        router.add("/ip/hotspot/user", name="0042", profile="bw-1x")
        phone = router.join()
        log_in(raw, "0042", phone.ip)
        raw.ask("/ip/hotspot/user/profile/set", f"=.id={profile}", "=rate-limit=1M/1M")

        [queue] = router.find("/queue/simple")

        assert (queue["name"], queue["target"]) == ("<hotspot-0042>", f"{phone.ip}/32")
        assert (queue["max-limit"], queue["dynamic"]) == ("2000000/10000000", "true")
        assert attributes(raw.ask("/queue/simple/remove", f"=.id={queue['.id']}")[0])["message"]


class TestKick:
    def kicked(self, router: Router, raw: Raw, clock: ManualClock, *, cookies: bool) -> bool:
        """Whether the guest is in again 2 s after the session was removed, with or without its cookies."""
        router.add("/ip/hotspot/user/profile", name="cookies")
        router.add("/ip/hotspot/user", name="0042", profile="cookies")
        phone = router.join()
        log_in(raw, "0042", phone.ip)
        if cookies:
            for cookie in router.find("/ip/hotspot/cookie", user="0042"):
                raw.ask("/ip/hotspot/cookie/remove", f"=.id={cookie['.id']}")
        raw.ask("/ip/hotspot/active/remove", f"=.id={router.find('/ip/hotspot/active')[0]['.id']}")
        assert not phone.online
        clock.advance(2)
        return phone.online

    def test_a_guest_slides_back_in_by_the_cookie_that_was_left(self, router, raw, clock):
        assert self.kicked(router, raw, clock, cookies=False)
        assert router.find("/ip/hotspot/active")[0]["login-by"] == "mac-cookie"

    def test_without_its_cookie_it_stays_out(self, router, raw, clock):
        assert not self.kicked(router, raw, clock, cookies=True)

    def test_a_disabled_user_does_not_slide_back_in_but_its_session_stays_up(self, router, raw, clock):
        user = router.add("/ip/hotspot/user", name="0042")
        phone = router.join()
        log_in(raw, "0042", phone.ip)

        raw.ask("/ip/hotspot/user/disable", f"=numbers={user}")
        assert phone.online
        raw.ask("/ip/hotspot/user/remove", f"=.id={user}")
        assert phone.online

    def test_a_removed_host_comes_back_with_its_next_packet(self, router, raw, clock: ManualClock):
        phone = router.join()
        raw.ask("/ip/hotspot/host/remove", f"=.id={router.find('/ip/hotspot/host')[0]['.id']}")
        assert not router.find("/ip/hotspot/host")
        clock.advance(1)
        assert router.find("/ip/hotspot/host", mac_address=phone.mac)


class TestDevices:
    def test_bypassed_passes_without_a_session_and_blocked_does_not_pass(self, router, raw):
        till, thief = router.join(), router.join()
        raw.ask("/ip/hotspot/ip-binding/add", f"=mac-address={till.mac}", "=type=bypassed")
        router.add("/ip/hotspot/user", name="0042")
        log_in(raw, "0042", thief.ip)

        raw.ask("/ip/hotspot/ip-binding/add", f"=mac-address={thief.mac}", "=type=blocked")

        assert till.online and not thief.online
        assert not router.find("/ip/hotspot/active")

    def test_an_address_that_goes_to_another_phone_ends_the_first_ones_session(self, router, raw):
        router.add("/ip/hotspot/user", name="0042")
        first = router.join(ip="10.5.60.60")
        log_in(raw, "0042", first.ip)
        second = router.join(ip="10.5.60.60")
        assert not first.online and not second.online
        assert [host["mac-address"] for host in router.find("/ip/hotspot/host")] == [second.mac]

    def test_a_phone_with_a_new_address_is_a_new_host(self, router, raw):
        router.add("/ip/hotspot/user", name="0042")
        phone = router.join()
        log_in(raw, "0042", phone.ip)
        router.join(mac=phone.mac, ip="10.5.60.60")
        assert [host["address"] for host in router.find("/ip/hotspot/host")] == ["10.5.60.60"]
        assert not phone.online
        assert [lease["address"] for lease in router.find("/ip/dhcp-server/lease")] == ["10.5.60.60"]


class TestReboot:
    @pytest.mark.parametrize(("saved", "uptime"), [(True, "1m"), (False, "0s")])
    def test_users_stay_and_sessions_go(self, router, raw, clock: ManualClock, saved, uptime):
        router.add("/ip/hotspot/user", name="0042")
        phone = router.join()
        log_in(raw, "0042", phone.ip)
        clock.advance(60)

        router.reboot(saved=saved)

        with pytest.raises(ConnectionError):
            raw.read()
        assert not phone.online and not router.find("/ip/hotspot/active")
        assert router.find("/ip/hotspot/user", name="0042")[0]["uptime"] == uptime
        assert router.find("/system/resource")[0]["uptime"] == "0s"
        with Raw(router.api_port) as again:
            again.login()

    def test_two_phones_of_one_user_are_both_put_out(self, router, raw, clock: ManualClock):
        router.add("/ip/hotspot/user/profile", name="two", shared_users="2", add_mac_cookie="no")
        router.add("/ip/hotspot/user", name="0042", profile="two")
        for phone in (router.join(), router.join()):
            log_in(raw, "0042", phone.ip)
        clock.advance(60)
        router.reboot()
        assert router.find("/ip/hotspot/user", name="0042")[0]["uptime"] == "2m"

    def test_the_menus_may_be_empty_while_it_warms_up(self, router, raw, clock: ManualClock):
        router.behaviour.warm_up_s = 30
        assert raw.ask("/ip/hotspot/user/print", "=.proplist=name") == [["!empty"], ["!done"]]
        clock.advance(31)
        assert raw.ask("/ip/hotspot/user/print", "=.proplist=name")[0] == ["!re", "=name=default-trial"]

    def test_it_may_be_told_to_reboot(self, router, raw):
        raw.send("/system/reboot")
        with pytest.raises(ConnectionError):
            [raw.read() for _ in range(2)]
        with Raw(router.api_port) as again:
            again.login()


class TestWriting:
    def test_ids_are_hexadecimal_growing_and_never_used_again(self, router, raw):
        ids = [attributes(raw.ask("/ip/hotspot/user/add", f"=name=u{n}")[0])["ret"] for n in range(10)]
        assert ids == [f"*{n:X}" for n in range(2, 12)]
        raw.ask("/ip/hotspot/user/remove", f"=.id={','.join(ids)}")
        assert len(router.find("/ip/hotspot/user")) == 1
        assert raw.ask("/ip/hotspot/user/add", "=name=new")[0] == ["!done", "=ret=*C"]

    def test_values_come_back_in_the_routers_own_form(self, router, raw):
        raw.ask(
            "/ip/hotspot/user/add", "=name=x", "=limit-uptime=5400", "=mac-address=02-aa-bb-cc-dd-ee", "=disabled=yes"
        )
        [user] = router.find("/ip/hotspot/user", name="x")
        assert (user["limit-uptime"], user["mac-address"]) == ("1h30m", "02:AA:BB:CC:DD:EE")
        assert user["disabled"] == "true" and "email" not in user

    def test_the_beginning_of_a_name_is_completed_like_on_the_console(self, router, raw):
        router.add("/ip/hotspot/user/profile", name="bw-10")
        raw.ask("/ip/hotspot/user/add", "=name=x", "=profile=bw-1")
        assert router.find("/ip/hotspot/user", name="x")[0]["profile"] == "bw-10"
        router.add("/ip/hotspot/user/profile", name="bw-11")
        answer = raw.ask("/ip/hotspot/user/add", "=name=y", "=profile=bw-1")
        assert attributes(answer[0])["message"].startswith("ambiguous value of profile")

    def test_one_name_on_all_servers_and_on_one_are_two_users(self, router, raw):
        assert raw.ask("/ip/hotspot/user/add", "=name=x", "=server=hotspot1")[-1][0] == "!done"
        assert raw.ask("/ip/hotspot/user/add", "=name=x", "=server=all")[0][0] == "!done"
        assert raw.ask("/ip/hotspot/user/add", "=name=x")[0][0] == "!trap"

    def test_device_mode_can_forbid_the_hotspot(self, make_routeros):
        router = make_routeros(password="secret", hotspot_allowed=False)
        with Raw(router.api_port) as raw:
            raw.login()
            mode = attributes(raw.ask("/system/device-mode/print")[0])
            answer = raw.ask("/ip/hotspot/add", "=interface=bridge")
        assert mode["hotspot"] == "false"
        assert attributes(answer[0])["message"] == "failure: not allowed by device-mode"

    @pytest.mark.parametrize(("version", "there"), [("6.49.18", False), ("7.20", True)])
    def test_device_mode_is_of_v7(self, make_routeros, version, there):
        with Raw(make_routeros(version=version, password="secret").api_port) as raw:
            assert (raw.login().ask("/system/device-mode/print")[0][0] == "!re") is there
