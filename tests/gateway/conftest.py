"""A whole hotspot in namespaces: phones, the Linux gateway with its agent, Bawaba on it, an internet, and its names."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import needs
from tests.lab import GATEWAY4, INTERNET4, LAN4, LAN6, PORTAL_PORT, Guest, Lab, Place, eventually

PASSWORD = "a-long-password"
SITE = {"name": "مقهى البوابة", "time_zone": "Asia/Aden", "currency": "YER", "language": "ar"}
CHROMIUM = "/usr/bin/chromium"


class Hotspot:
    """A town with Bawaba serving on its gateway."""

    def __init__(self, lab: Lab, seat: Place | None = None) -> None:
        self.lab = lab
        self.seat = seat or lab.gateway  # where Bawaba runs
        self.url = f"http://{lab.portal_ip}:{PORTAL_PORT}"
        self._manager: subprocess.Popen[str] | None = None
        self._token = ""

    def start_manager(self) -> None:
        """Start `bawaba serve`, as its service would."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("BAWABA_")}
        environ |= {
            "BAWABA_DATA_DIR": str(self.lab.folder / "data"),
            "BAWABA_HOST": "0.0.0.0",
            "BAWABA_PORT": str(PORTAL_PORT),
            "BAWABA_PUBLIC_URL": self.url,
            "BAWABA_ADMIN_USERNAME": "hana",
            "BAWABA_ADMIN_PASSWORD": PASSWORD,
            "BAWABA_LOG_LEVEL": "warning",
        }
        log = (self.lab.folder / "manager.log").open("a")
        self._manager = self.seat.popen(sys.executable, "-m", "bawaba", "serve", env=environ, stdout=log, stderr=log)
        eventually(lambda: self.seat.curl(f"{self.url}/healthz").status == 200, self.manager_log, 20)

    def stop_manager(self, how: int) -> None:
        """End it."""
        assert self._manager is not None
        self.seat.kill(self._manager, how)

    def manager_log(self) -> str:
        """What it wrote."""
        return (self.lab.folder / "manager.log").read_text()[-3000:]

    def start_names(self) -> None:
        """The gateway's DNS, and phones that ask it."""
        self.lab.gateway.popen(
            "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-dynamic",
            "--interface=lan", f"--address=/example.test/{INTERNET4}", f"--address=/login.wifi/{GATEWAY4}",
            f"--pid-file={self.lab.folder}/dnsmasq.pid",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for guest in self.lab.guests:
            folder = Path("/etc/netns", guest.name)
            folder.mkdir(parents=True)
            (folder / "resolv.conf").write_text(f"nameserver {GATEWAY4}\n")

    def forget_names(self) -> None:
        """Take the phones' resolv.conf files away."""
        for guest in self.lab.guests:
            shutil.rmtree(Path("/etc/netns", guest.name), ignore_errors=True)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask Bawaba's API as Hana."""
        if not self._token:
            self._token = "-"
            told = self.call("POST", "/api/auth/login", {"username": "hana", "password": PASSWORD})
            self._token = told["access_token"]
        options = ["-X", method, "-H", "Content-Type: application/json", "-H", f"Authorization: Bearer {self._token}"]
        if body is not None:
            options += ["-d", json.dumps(body)]
        answer = self.seat.curl(f"{self.url}{path}", *options)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body} {self.manager_log()}"
        return json.loads(answer.body) if answer.body else None

    def card(self, **terms: Any) -> str:
        """A card's code; its plan has these terms."""
        base = {"name": "test", "kind": "elapsed", "price_minor": 100}
        if "duration_seconds" not in terms and "quota_bytes" not in terms:
            terms["duration_seconds"] = 3600
        plan = self.call("POST", "/api/plans", base | terms)
        return str(self.call("POST", "/api/vouchers", {"plan_id": plan["id"]})["code"])

    def redeem(self, guest: Guest, code: str) -> Any:
        """Type a code on this phone."""
        body = json.dumps({"code": code})
        headers = ["-H", "Content-Type: application/json", "-H", "Accept: application/json"]
        return json.loads(guest.curl(f"{self.url}/api/voucher/redeem", *headers, "-d", body).body)

    def go_online(self, guest: Guest, **terms: Any) -> int:
        """Let a phone in by a new card; the id of its session."""
        told = self.redeem(guest, self.card(**terms))
        assert told.get("status") == "online", f"{told} {self.manager_log()} {self.lab.agent_log()}"
        return int(told["session"]["id"])

    def terminate(self, session_id: int) -> Any:
        """End a session from the office; its last figures."""
        self.call("POST", f"/api/sessions/{session_id}/terminate")
        return self.call("GET", f"/api/sessions/{session_id}")

    def live(self) -> list[Any]:
        """Who is online, as the office sees it."""
        return list(self.call("GET", "/api/sessions?active=true")["items"])

    def poll(self) -> None:
        """Have the router looked at now: a changed router always is."""
        self.call("PATCH", "/api/routers/1", {"name": "gateway"})

    def forget_everybody(self) -> None:
        """Send everybody away, so that the next test begins afresh."""
        for session in self.live():
            self.terminate(session["id"])


@pytest.fixture(scope="module")
def hotspot() -> Iterator[Hotspot]:
    """A running hotspot with two phones, shared by the tests of a module."""
    needs.require("netns")
    with Lab(guests=2, portal=False) as lab:
        made = Hotspot(lab)
        try:
            lab.start_agent()
            made.start_names()
            made.start_manager()
            made.call("POST", "/api/sites", SITE)
            router = {"name": "gateway", "driver": "linux", "address": str(lab.socket)}
            router["options"] = {"lan4": f"{LAN4}.0/24", "lan6": f"{LAN6}:/64"}  # type: ignore[assignment]
            made.call("POST", "/api/routers", router)
            yield made
        finally:
            made.forget_names()


@contextlib.contextmanager
def phone(place: Place, folder: Path, language: str, **options: Any) -> Iterator[Any]:
    """Chromium in a namespace, as a phone; gives a Playwright page."""
    from playwright.sync_api import sync_playwright

    launcher = folder / f"chromium-{place.name}"
    launcher.write_text(f'#!/bin/sh\nexec ip netns exec {place.name} {CHROMIUM} "$@"\n')
    launcher.chmod(0o755)
    flags = (
        "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(launcher), args=flags.split())
        try:
            context = browser.new_context(
                locale=language, viewport={"width": 390, "height": 844}, **{"service_workers": "block", **options}
            )
            yield context.new_page()
        finally:
            browser.close()


def arabic_digits(code: str) -> str:
    """A code as an Arabic keyboard types it."""
    return re.sub(r"\d", lambda digit: chr(0x0660 + int(digit[0])), code)


def seconds_until(true: Any, most: float) -> float:
    """How long it takes until something holds."""
    began = time.monotonic()
    eventually(true, seconds=most)
    return time.monotonic() - began
