"""A person runs a simulated controller from the command line, and adds it as a router."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time

import pytest

from bawaba.routers.driver import Client, Connection
from bawaba.routers.drivers.unifi import Driver
from tests.routers.contract import grant

SIMULATE = [sys.executable, "-m", "bawaba", "router", "simulate", "unifi"]


def test_a_phone_at_it_moves_data_once_it_is_let_in():
    options = ["--port", "0", "--own", "--phone", "127.0.0.1", "--phones", "1", "--password", "pw"]
    with subprocess.Popen([*SIMULATE, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        kind, way, phone, other = (process.stdout.readline() for _ in range(4))
        assert kind.startswith("UniFi Network") and "10.20.0." in other
        port, pin = re.findall(r":(\d+) +SHA-256 ([0-9a-f]{64})", way)[0]
        mac = phone.split()[1]
        try:
            seen = asyncio.run(_let_in(int(port), pin, mac))
            assert seen.key == "session:1" and seen.client.ip == "127.0.0.1" and seen.down > 0
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


async def _let_in(port: int, pin: str, mac: str):
    driver = Driver(Connection(1, "127.0.0.1", port, "bawaba", "pw", {"certificate": pin}, "install8"))
    await driver.admit(grant(1), Client(mac))
    until = time.monotonic() + 10
    while True:
        (seen,) = await driver.sessions()
        if seen.down or time.monotonic() > until:
            await driver.close()
            return seen
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("wrong", [["--fail", "earthquake"], ["--port", "many"]])
def test_a_wrong_option_is_refused_before_anything_starts(wrong):
    done = subprocess.run([*SIMULATE, *wrong], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and wrong[1] in done.stderr


def test_a_port_that_is_taken_is_said(unifi):
    done = subprocess.run([*SIMULATE, "--port", str(unifi.port)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "cannot listen" in done.stderr
