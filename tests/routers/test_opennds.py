"""openNDS keeps the promises of every router, as far as its flags go: Debian's own, in namespaces, real traffic."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from bawaba.routers import nds
from bawaba.routers.driver import (
    Client,
    Connection,
    Limits,
    Reason,
    RouterAuthFailed,
    RouterProtocolError,
    RouterRejected,
    RouterUnreachable,
)
from bawaba.routers.drivers.opennds import Driver, look, notes, words
from bawaba.routers.drivers.opennds.shell import Shell
from bawaba.routers.setup import opennds
from tests import needs
from tests.lab import INTERNET4, Lab, eventually
from tests.routers.contract import DriverContract, grant
from tests.routers.opennds_box import CHECK_S, OpenNdsBox

KIB = 1024


class Gateway:
    """The far end: openNDS in a box, with its shell on this machine."""

    def __init__(self, lab: Lab, box: OpenNdsBox) -> None:
        self.lab, self.box = lab, box

    def driver(self, install: str = "install8") -> Driver:
        return Driver(Connection(1, "", None, None, None, {"channel": "local"}, install))

    def move(self, mac: str, up: int, down: int) -> None:
        guest = next(guest for guest in self.lab.guests if guest.mac == mac)
        if up:
            blob = self.lab.folder / f"up-{up}"
            blob.write_bytes(bytes(up))
            guest.curl(f"http://{INTERNET4}/", "-X", "POST", "--data-binary", f"@{blob}", timeout=3)
        if down:
            guest.curl(f"http://{INTERNET4}/big/{down}", "-o", "/dev/null", timeout=3)

    def reboot(self) -> None:
        time.sleep(1)  # its clock has whole seconds
        self.box.restart()

    def vanish(self) -> None:
        self.box.stop()


@pytest.fixture(scope="module")
def box() -> Iterator[OpenNdsBox]:
    """A gateway with two phones, for all tests of this file."""
    needs.require("netns")
    needs.require("opennds")
    with Lab(guests=2, management=True) as lab:
        made = OpenNdsBox(lab)
        made.start()
        yield made


@pytest.fixture
def far_end(box: OpenNdsBox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """As it was: nobody online, no lists."""
    monkeypatch.setenv("PATH", f"{box.bin}:{os.environ['PATH']}")
    gateway = Gateway(box.lab, box)
    yield gateway
    if not box.is_on:
        box.start()

    async def clear() -> None:
        driver = gateway.driver()
        for session in await driver.sessions():
            await driver.kick(session.client)
        await driver.set_devices([], [])
        await driver.close()

    asyncio.run(clear())
    box.sh("rm -f /tmp/ndslog/binauthlog.log")


@pytest.mark.netns
@pytest.mark.opennds
class TestOpenNds(DriverContract):
    devices = (Client("02:bb:00:00:00:00", "10.77.0.10"), Client("02:bb:00:00:00:01", "10.77.0.11"))

    def test_its_limits_are_said(self, far_end):
        info = self.run(far_end, lambda driver: driver.probe())
        assert info.version == "openNDS 9.10.0" and "Debian" in info.board and abs(info.skew_s) < 5
        assert [str(note) for note in info.notes] == list(notes.INEXACT)  # and no fault is found

    def test_data_ends_within_what_comes_in_a_look_and_the_last_bytes_are_told(self, far_end, box):
        self.run(far_end, lambda driver: driver.admit(grant(51, bytes_down=500 * KIB), self.devices[0]))
        far_end.move(self.devices[0].mac, 0, 2000 * KIB)
        eventually(lambda: not box.lab.guests[0].is_online(), seconds=4 * CHECK_S + 5)
        seen = self.run(far_end, lambda driver: driver.sessions())
        (mine,) = [session for session in seen if session.key == "session:51"]
        assert mine.raw == {"ended": "data"} and mine.down >= 2000 * KIB
        last = self.run(far_end, lambda driver: driver.kick(mine))
        assert (last.down, last.epoch) == (mine.down, mine.epoch)

    def test_data_up_has_a_limit_of_its_own(self, far_end, box):
        self.run(far_end, lambda driver: driver.admit(grant(52, bytes_up=100 * KIB), self.devices[0]))
        far_end.move(self.devices[0].mac, 400 * KIB, 0)
        eventually(lambda: not box.lab.guests[0].is_online(), seconds=4 * CHECK_S + 5)

    def test_a_card_of_a_minute_ends_by_itself(self, far_end, box):
        self.run(far_end, lambda driver: driver.admit(grant(53, uptime_s=119), self.devices[0]))
        started = time.monotonic()
        eventually(lambda: not box.lab.guests[0].is_online(), seconds=75)
        assert 50 < time.monotonic() - started < 70  # whole minutes, rounded down
        ended = [s for s in self.run(far_end, lambda driver: driver.sessions()) if s.key == "session:53"]
        assert [session.raw for session in ended] == [{"ended": "time"}]

    def test_rates_are_kept_roughly(self, far_end, box):
        self.run(far_end, lambda driver: driver.admit(grant(54, rate_down_kbps=2000), self.devices[0]))
        got = box.lab.guests[0].curl(f"http://{INTERNET4}/big/5000000", "-o", "/dev/null", timeout=60)
        assert got.down == 5_000_000 and 500 < got.down * 8 / 1000 / got.seconds < 8000

    def test_a_guests_crash_request_ends_with_it_running_again(self, far_end, box):
        self.run(far_end, lambda driver: driver.admit(grant(55), self.devices[0]))
        before = self.run(far_end, lambda driver: driver.health())
        box.lab.guests[1].curl("http://10.77.0.1:2050/opennds_auth/")
        eventually(lambda: box.sh("pidof opennds") == "")
        with pytest.raises(RouterUnreachable, match="started again"):
            self.run(far_end, lambda driver: driver.health())
        box.wait()
        after = self.run(far_end, lambda driver: driver.health())
        assert after.boot > before.boot and self.online(far_end) == {}

        def is_let_in() -> bool:  # it may end once more while it starts; the outbox asks again, as here
            with contextlib.suppress(RouterUnreachable):
                return self.run(far_end, lambda driver: driver.admit(grant(55, 2), self.devices[0])) is not None
            return False

        eventually(is_let_in, seconds=30)
        assert box.lab.guests[0].is_online()

    def test_a_device_that_it_does_not_see_is_said_to_be_unknown(self, far_end):
        with pytest.raises(RouterRejected) as refused:
            self.run(far_end, lambda driver: driver.admit(grant(56), Client("02:bb:00:00:0f:0f", None)))
        assert refused.value.reason is Reason.UNKNOWN_CLIENT

    def test_trusted_devices_are_online_without_a_card_also_after_it_was_started_again(self, far_end, box):
        async def trust_and_restart(driver):
            await driver.health()
            await driver.set_devices([self.devices[0].mac], [])
            assert box.lab.guests[0].is_online()
            await asyncio.to_thread(far_end.reboot)
            assert not box.lab.guests[0].is_online()
            await driver.health()

        self.run(far_end, trust_and_restart)
        assert box.lab.guests[0].is_online()

    def test_calls_side_by_side_do_not_lock_each_other_out(self, far_end):
        async def all_at_once(driver):
            return await asyncio.gather(*(driver.sessions() for _ in range(6)))

        assert self.run(far_end, all_at_once) == [[]] * 6

    def test_the_setup_script_makes_a_gateway_ours_and_its_undo_puts_back_what_was(self, far_end, box):
        facts = opennds.Facts(7, opennds.gateway_name(7, "Roof café"), "f" * 40, "http://172.30.0.2:5000")
        before = box.sh("cat /etc/opennds/opennds.conf")
        (box.folder / "setup.sh").write_text(opennds.script(facts))
        (box.folder / "undo.sh").write_text(opennds.undo(facts))
        try:
            for _ in range(2):  # twice is once
                box.sh("sh /mnt/setup.sh")
                box.wait()
            status = box.sh("ndsctl status")
            assert "Roof-caf-7" in status and "FAS: Secure Level 1, URL: http://172.30.0.2:5000/" in status
            assert "Managed interface: lan" in status and "Preemptive Authentication is Enabled" in status
            assert "Client Check Interval: 5s" in status
        finally:
            box.sh("sh /mnt/undo.sh")
            box.wait()
        assert box.sh("cat /etc/opennds/opennds.conf; ls /etc/opennds") == before + "opennds.conf\n"


def test_limits_are_rounded_down_and_never_to_no_limit():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert nds.allowed(Limits(), now) == "0 0 0 0 0"
    assert nds.allowed(Limits(uptime_s=5399, bytes_up=2047, bytes_down=10 * KIB), now) == "89 0 0 1 10"
    assert nds.allowed(Limits(uptime_s=1, bytes_total=1, rate_up_kbps=2), now) == "1 2 0 1 1"
    assert nds.allowed(Limits(until=now + timedelta(seconds=125), bytes_total=5 * KIB, bytes_up=9 * KIB), now) == (
        "2 0 0 5 5"
    )
    with pytest.raises(RouterRejected):
        nds.allowed(Limits(until=now), now)


def test_a_tag_survives_the_way_and_what_is_no_tag_of_ours_is_none():
    tag = nds.Tag("install8", "session:41", 3)
    assert nds.tag_of(str(tag)) == tag and str(tag) == "bw1_install8_session-41_3"
    assert nds.tag_of("bw1.install8.session-41.3") == tag  # as older versions wrote it
    for custom in ("none", "", "bw1.x", "bw1.install8.session-41.3;reboot", "YmFzZTY0"):
        assert nds.tag_of(custom) is None


def test_both_names_of_a_spent_quota_are_understood_and_broken_lines_are_not():
    line = (
        "Tue, method={}, clientmac=02:BB:00:00:00:00, bytes_incoming=2074269, bytes_outgoing=49828, "
        "session_start=1795525308, session_end=1795525310, token=495ca2f2, custom=bw1.install8.session-42.1, zone=x"
    )
    methods = ("downquota_deauth", "download_quota_deauth", "timeout_deauth", "ndsctl_deauth")
    for method, ended in zip(methods, ("data", "data", "time", "ndsctl"), strict=True):
        (gone,) = words.snapshot("1", '{"clients": {}}', line.format(method) + "\nmethod=idle_deauth, clientmac=x").gone
        assert (gone.ended, gone.up, gone.down, gone.mac) == (ended, 49828, 2074269, "02:bb:00:00:00:00")


def test_a_gateway_whose_answers_make_no_sense_is_said_to_be_that():
    for text in ("", "1\n==bw==\n", "x\n" + "==bw==\n" * 5):
        with pytest.raises(RouterProtocolError):
            look.read(text)


def test_the_shell_says_why_it_is_not_there():
    async def ask(*command: str) -> None:
        shell = Shell(command)
        try:
            await shell.run("true")
        finally:
            await shell.close()

    complaint = "echo 'Host key verification failed.' >&2; exit 255"
    with pytest.raises(RouterAuthFailed, match="Host key"):
        asyncio.run(ask("/bin/sh", "-c", complaint))
    with pytest.raises(RouterUnreachable):
        asyncio.run(ask("/bin/sh", "-c", "echo 'connect: Connection refused' >&2; exit 255"))
    with pytest.raises(RouterUnreachable, match="cannot be started"):
        asyncio.run(ask("/nowhere/ssh"))
