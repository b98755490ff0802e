"""A person runs a simulator from the command line, and tells it what to do while it runs."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.routers.simulators.raw import Raw, attributes

BAWABA = [sys.executable, "-m", "bawaba", "router", "simulate"]


@dataclass
class Running:
    """A simulator in a process of its own."""

    port: int
    control: Path

    def tell(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*BAWABA, "tell", str(self.control), *words], capture_output=True, text=True, timeout=30)


@pytest.fixture
def running(tmp_path) -> Iterator[Running]:
    control = tmp_path / "router.sock"
    ports = ["--port", "0", "--tls-port", "0", "--web-port", "0"]
    options = [
        *ports,
        "--control",
        str(control),
        "--password",
        "secret",
        "--phones",
        "1",
        "--phone",
        "127.0.0.1",
        "--version",
        "7.20",
    ]
    with subprocess.Popen([*BAWABA, "routeros", *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(6)]
        found = re.search(r"^api +127.0.0.1:(\d+)$", "".join(lines), re.MULTILINE)
        assert found is not None and re.search(r"SHA-256 [0-9a-f]{64}", lines[2])
        yield Running(int(found[1]), control)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not control.exists()


def test_it_serves_two_phones_and_does_as_it_is_told(running):
    with Raw(running.port) as raw:
        raw.login()
        assert attributes(raw.ask("/system/resource/print")[0])["version"] == "7.20 (stable)"
        hosts = [attributes(sentence) for sentence in raw.ask("/ip/hotspot/host/print")[:-1]]
        raw.ask("/ip/hotspot/user/add", "=name=0042", "=limit-uptime=1h")
        assert {host["address"] for host in hosts} == {"127.0.0.1", "10.5.50.3"}
        assert running.tell("login", f"phone={hosts[0]['address']}", "user=0042").returncode == 0
        assert attributes(raw.ask("/ip/hotspot/active/print")[0])["user"] == "0042"

        assert running.tell("skip", "seconds=3601").returncode == 0
        assert "online=False" in running.tell("phones").stdout
        assert running.tell("fail", "kind=trap", "text=failure: no", "match=*/identity/print").returncode == 0
        assert attributes(raw.ask("/system/identity/print")[0]) == {"message": "failure: no"}


def test_what_it_does_not_understand_is_said(running, tmp_path):
    told = running.tell("dance")
    assert told.returncode == 1 and "cannot dance" in told.stderr
    assert "there is no phone" in running.tell("leave", "phone=1.2.3.4").stderr
    nobody = subprocess.run([*BAWABA, "tell", str(tmp_path / "none"), "heal"], capture_output=True, text=True)
    assert nobody.returncode == 1 and "no simulator listens" in nobody.stderr


@pytest.mark.parametrize("wrong", [["--version", "seven"], ["--fail", "earthquake"]])
def test_a_wrong_option_is_refused_before_anything_starts(wrong):
    done = subprocess.run([*BAWABA, "routeros", *wrong], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and wrong[1] in done.stderr
