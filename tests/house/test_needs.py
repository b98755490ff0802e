"""Nothing goes untested in silence: what a machine cannot run is said, and fails where everything must run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUEST_TESTS = """
import pytest

def test_needs_nothing(): pass

def test_with_a_cache(redis_url): pass

@pytest.mark.netns
def test_with_a_guest(): pass

@pytest.mark.soak
def test_for_hours(): pass
"""


@pytest.fixture
def guest_tests(tmp_path: Path) -> Path:
    path = tmp_path / "test_guests.py"
    path.write_text(GUEST_TESTS)
    return path


def command(path: Path, *options: str) -> list[str]:
    """A run of its own, with the house's settings and plugins."""
    house = f"-c {ROOT}/pyproject.toml -o cache_dir={path.parent} -p tests.needs -p tests.services"
    return [sys.executable, "-m", "pytest", *house.split(), *options, str(path)]


def run_pytest(path: Path, *options: str, **environ: str) -> tuple[int, list[str]]:
    """Run tests on a machine that has no programs at all; gives the exit code and the printed lines."""
    bare = {"PATH": "/nonexistent", "PYTHONPATH": str(ROOT), **environ}
    done = subprocess.run(command(path, *options), env=bare, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout.splitlines()


def test_the_last_lines_say_how_many_did_not_run_and_why(guest_tests):
    code, lines = run_pytest(guest_tests)

    assert code == 0
    assert any("2 TESTS DID NOT RUN HERE" in line for line in lines)
    assert "1 did not run: needs redis (redis-server is not installed)" in lines
    assert "1 did not run: needs netns (ip, nft, tc, dnsmasq, sysctl not on the PATH)" in lines
    assert "1 passed, 2 skipped, 1 deselected" in lines[-1]


@pytest.mark.parametrize("environ", [{"BAWABA_TEST_STRICT": "1"}, {"CI": "true"}])
def test_where_everything_must_run_a_lack_is_a_failure(guest_tests, environ):
    if "CI" in environ and os.geteuid() != 0:
        pytest.skip("only root is asked to run everything on a build server")
    code, lines = run_pytest(guest_tests, **environ)

    assert code == 1
    assert lines[-1].count("failed") + lines[-1].count("error") and "passed" in lines[-1]
    assert any("needs redis (redis-server is not installed); here everything must run" in line for line in lines)


def test_soak_tests_run_when_asked_for(guest_tests):
    code, lines = run_pytest(guest_tests, "-m", "soak")

    assert code == 0
    assert "1 passed, 3 deselected" in lines[-1]


@pytest.mark.postgres
@pytest.mark.redis
def test_servers_stop_when_the_run_is_killed(tmp_path):
    path = tmp_path / "test_hangs.py"
    path.write_text(
        "import time\n"
        "def test_hangs(postgres_server, redis_server):\n"
        "    print(f'PORTS {postgres_server.port} {redis_server.split(\":\")[2][:-2]}', flush=True)\n"
        "    time.sleep(60)\n"
    )
    run = subprocess.Popen(command(path, "-s"), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    ports = next(line for line in run.stdout if "PORTS" in line).split("PORTS")[1].split()
    assert all(_listening(port) for port in ports)

    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()

    deadline = time.monotonic() + 20
    while any(_listening(port) for port in ports) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [port for port in ports if _listening(port)] == []


def _listening(port: str) -> bool:
    wanted = f"0100007F:{int(port):04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1] == wanted and row[3] == "0A" for row in rows)
