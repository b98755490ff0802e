"""`bawaba gateway init`: it shows before it writes, and takes back what it wrote."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bawaba.cli import main
from bawaba.gateway import init, machine
from tests import needs
from tests.lab import Lab

WORDS = ["gateway", "init", "--lan", "eth1", "--wan", "eth0"]


@pytest.fixture(autouse=True)
def no_services(monkeypatch):
    """Files are written under another root; this machine's services and kernel are left alone."""
    monkeypatch.setattr(init, "_has_systemd", lambda: False)
    monkeypatch.setattr(init, "_run", lambda commands, must=True: None)
    monkeypatch.setattr(machine, "interfaces", lambda: ["eth0", "eth1"])


def run(root: Path, *words: str) -> str:
    done = CliRunner().invoke(main, [*WORDS, "--root", str(root), *words])
    assert done.exit_code == 0, done.output
    return done.output


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_it_shows_what_it_would_write_and_writes_nothing(tmp_path):
    shown = run(tmp_path)
    for words in ("dnsmasq.conf", "net.ipv4.ip_forward = 1", "bawaba-gateway.service", "Nothing has been changed"):
        assert words in shown
    assert files(tmp_path) == {}


def test_undo_puts_back_what_was_there_byte_for_byte(tmp_path):
    mine = tmp_path / "etc" / "bawaba" / "dnsmasq.conf"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"# my own, caf\xe9\r\n\tno end of line")
    before = files(tmp_path)
    run(tmp_path, "--apply")
    assert "dhcp-range=" in mine.read_text()
    written = files(tmp_path)
    assert "nothing to write" in run(tmp_path, "--apply", "--lan-address", "10.77.0.1/24")
    assert files(tmp_path) == written
    run(tmp_path, "--apply", "--lan-address", "10.99.0.1/24")  # changed once more: undo still knows the beginning
    done = CliRunner().invoke(main, ["gateway", "init", "--undo", "--root", str(tmp_path)])

    assert done.exit_code == 0, done.output
    assert files(tmp_path) == before


def test_phones_are_told_of_the_portal_only_where_it_has_https(tmp_path):
    assert "114," not in run(tmp_path, "--portal-url", "http://login.wifi")
    assert "dhcp-option-force=114,https://wifi.example.org/capport/api" in run(
        tmp_path, "--portal-url", "https://wifi.example.org"
    )


@pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="dnsmasq is not installed")
def test_dnsmasq_takes_what_is_written(tmp_path):
    more = ["--garden-host", "pay.example.org", "--lan6", "2001:db8:77::1/64"]
    run(tmp_path, "--apply", "--portal-url", "https://wifi.example.org", *more)
    written = tmp_path / "etc" / "bawaba" / "dnsmasq.conf"
    done = subprocess.run(["dnsmasq", "--test", f"--conf-file={written}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_what_is_written(tmp_path):
    program = Path(sys.executable).with_name("bawaba")
    wanted = init.Wanted("eth1", "eth0", lan6="2001:db8:77::1/64", group="daemon", program=str(program))
    units = [(name, text) for name, text in init.files(wanted).items() if name.endswith(".service")]
    for name, text in units:
        (tmp_path / Path(name).name).write_text(text.replace(wanted.dnsmasq, str(program)))
    paths = [str(tmp_path / Path(name).name) for name, _ in units]
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if any(Path(path).name in line for path in paths)]
    assert (done.returncode, said) == (0, []), done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ["--lan", "eth0"],
        ["--lan-address", "10.77.0.1"],
        ["--local-name", "a b"],
        ["--lan", "x; reboot"],
        ["--lan6", "2001:db8:77::1%x/64"],
        ["--lan6", "2001:db8:77::1/48"],
        ["--portal-url", "https://wifi.example.org,5"],
        ["--portal-url", "https://wifi.example.org\ndhcp-script=/tmp/x"],
        ["--group", "a b"],
    ],
)
def test_what_cannot_work_is_refused_in_words(tmp_path, wrong):
    done = CliRunner().invoke(main, [*WORDS, *wrong, "--apply", "--root", str(tmp_path)])
    assert done.exit_code != 0
    assert "Error" in done.output and "Traceback" not in done.output
    assert files(tmp_path) == {}


@pytest.mark.parametrize("wrong", [["--lan", "eth7"], ["--wan", "wlan0"]])
def test_an_interface_that_is_not_there_is_refused_with_those_that_are(tmp_path, wrong):
    done = CliRunner().invoke(main, [*WORDS, *wrong, "--apply", "--root", str(tmp_path)])
    assert done.exit_code == 1 and f"no interface {wrong[1]}. It has eth0, eth1." in done.output
    assert files(tmp_path) == {}


SET_UP_AND_TAKE_BACK = """
set -e
for place in /etc /var/lib /run; do mount -t tmpfs tmpfs $place; done
sysctl -qw net.ipv4.ip_forward=0
$bawaba gateway init --lan lan --wan wan --apply > /dev/null
agent=$(sed -n 's/^ExecStart=//p' /etc/systemd/system/bawaba-gateway.service)
$agent & running=$!
until nft list table inet bawaba > /dev/null 2>&1; do sleep 0.1; done
sleep 0.3
echo "set up: $(sysctl -n net.ipv4.ip_forward) $(tc qdisc show | grep -c 'htb ba0')"
kill $running; wait $running
$bawaba gateway init --undo > /dev/null
echo "taken back: $(sysctl -n net.ipv4.ip_forward) $(tc qdisc show | grep -c 'htb ba0' || true)"
nft list tables
find /etc /var/lib -type f ! -name epoch
"""


@pytest.mark.netns
def test_on_a_real_machine_it_sets_up_what_the_agent_needs_and_takes_it_all_back():
    needs.require("netns")
    script = SET_UP_AND_TAKE_BACK.replace("$bawaba", str(Path(sys.executable).with_name("bawaba")))
    with Lab(guests=0, portal=False) as lab:
        said = lab.gateway.run("unshare", "--mount", "sh", "-c", script)
    assert said == "set up: 1 2\ntaken back: 0 0\n"
