"""`bawaba gateway init`: it shows before it writes, and takes back what it wrote."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from bawaba.cli import main
from bawaba.gateway import init

WORDS = ["gateway", "init", "--lan", "eth1", "--wan", "eth0"]


@pytest.fixture(autouse=True)
def no_services(monkeypatch):
    """Files are written under another root; this machine's services and kernel are left alone."""
    monkeypatch.setattr(init, "_has_systemd", lambda: False)
    monkeypatch.setattr(init, "_run", lambda commands, must=True: None)


def run(root: Path, *words: str) -> str:
    done = CliRunner().invoke(main, [*WORDS, "--root", str(root), *words])
    assert done.exit_code == 0, done.output
    return done.output


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


def test_it_shows_what_it_would_write_and_writes_nothing(tmp_path):
    shown = run(tmp_path)
    for words in ("dnsmasq.conf", "net.ipv4.ip_forward = 1", "bawaba-gateway.service", "Nothing has been changed"):
        assert words in shown
    assert files(tmp_path) == {}


def test_undo_puts_back_what_was_there_byte_for_byte(tmp_path):
    mine = tmp_path / "etc" / "bawaba" / "dnsmasq.conf"
    mine.parent.mkdir(parents=True)
    mine.write_text("# my own\n")
    run(tmp_path, "--apply")
    assert "dhcp-range=" in mine.read_text()
    assert "nothing to write" in run(tmp_path, "--apply", "--lan-address", "10.77.0.1/24")
    done = CliRunner().invoke(main, ["gateway", "init", "--undo", "--root", str(tmp_path)])

    assert done.exit_code == 0, done.output
    assert files(tmp_path) == {"etc/bawaba/dnsmasq.conf": "# my own\n"}


def test_phones_are_told_of_the_portal_only_where_it_has_https(tmp_path):
    assert "114," not in run(tmp_path, "--portal-url", "http://login.wifi")
    assert "dhcp-option-force=114,https://wifi.example.org/capport/api" in run(
        tmp_path, "--portal-url", "https://wifi.example.org"
    )


@pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="dnsmasq is not installed")
def test_dnsmasq_takes_what_is_written(tmp_path):
    run(tmp_path, "--apply", "--portal-url", "https://wifi.example.org", "--lan6", "2001:db8:77::1/64")
    written = tmp_path / "etc" / "bawaba" / "dnsmasq.conf"
    done = subprocess.run(["dnsmasq", "--test", f"--conf-file={written}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "wrong", [["--lan", "eth0"], ["--lan-address", "10.77.0.1"], ["--local-name", "a b"], ["--lan", "x; reboot"]]
)
def test_what_cannot_work_is_refused_in_words(tmp_path, wrong):
    done = CliRunner().invoke(main, [*WORDS, *wrong, "--apply", "--root", str(tmp_path)])
    assert done.exit_code != 0
    assert "Error" in done.output and "Traceback" not in done.output
    assert files(tmp_path) == {}
