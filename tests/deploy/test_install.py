"""`deploy/install` puts Bawaba on a machine and takes it away again; owners' settings and data stay theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.product import wait_for_answer
from tests.services import free_port

HERE = Path(__file__).parents[2]
DEPLOY = HERE / "deploy"
INSTALL_S = 600


def install(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(DEPLOY / "install"), "--root", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(root / "usr/local/bin/bawaba"), *words]
    environ = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.timeout(INSTALL_S)
def test_it_installs_a_working_bawaba_and_takes_it_away_again(tmp_path):
    done = install(tmp_path, "--host", "127.0.0.1", "--url", "http://login.wifi")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\nadmin: ") == 1
    settings = tmp_path / "etc/bawaba/bawaba.toml"
    assert tomllib.loads(settings.read_text())["public_url"] == "http://login.wifi"
    assert settings.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "var/lib/bawaba").stat().st_mode & 0o777 == 0o700
    assert "admin" in run(tmp_path, "user", "list").stdout

    port = free_port()
    command = [str(tmp_path / "usr/local/bin/bawaba"), "serve"]
    served = subprocess.Popen(command, env={"PATH": os.environ["PATH"], "BAWABA_PORT": str(port)})
    try:
        wait_for_answer(port)
    finally:
        served.terminate()
        served.wait(20)

    kept = [settings.read_bytes(), (tmp_path / "var/lib/bawaba/bawaba.key").read_bytes()]
    assert install(tmp_path, "--undo").returncode == 0
    assert [settings.read_bytes(), (tmp_path / "var/lib/bawaba/bawaba.key").read_bytes()] == kept
    assert not any((tmp_path / gone).exists() for gone in ("opt/bawaba", "usr/local/bin/bawaba"))
    assert not (tmp_path / "etc/systemd/system/bawaba.service").exists()


@pytest.mark.soak
@pytest.mark.timeout(2 * INSTALL_S)
def test_installed_again_it_is_brought_up_to_date_and_asks_nothing_twice(tmp_path):
    assert install(tmp_path).returncode == 0
    settings = tmp_path / "etc/bawaba/bawaba.toml"
    settings.write_text(settings.read_text() + 'log_level = "warning"\n')
    mine, first = settings.read_bytes(), (tmp_path / "opt/bawaba/current").resolve()
    again = install(tmp_path, "--url", "http://other.wifi")
    assert again.returncode == 0 and "admin: " not in again.stdout and "stays as it is" in again.stdout
    assert settings.read_bytes() == mine
    assert (tmp_path / "opt/bawaba/current").resolve() != first


def test_a_gateways_own_set_up_is_undone_first(tmp_path):
    unit = tmp_path / "etc/systemd/system/bawaba-gateway.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    done = install(tmp_path, "--undo")
    assert done.returncode == 1 and "bawaba gateway init --undo" in done.stderr


@pytest.mark.parametrize("wrong", [["--hots", "x"], ["--host"]])
def test_what_it_does_not_know_it_refuses(tmp_path, wrong):
    assert install(tmp_path, *wrong).returncode == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path):
    program = str(Path(sys.executable).with_name("bawaba"))
    for source in (DEPLOY / "systemd").iterdir():
        place = tmp_path / source.name.replace("@.", "@5001.")
        place.write_text(source.read_text().replace("/opt/bawaba/current/bin/bawaba", program))
    units = sorted(tmp_path.iterdir())
    assert len(units) > 3
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if any(unit.name in line for unit in units)]
    assert (done.returncode, said) == (0, []), done.stderr
