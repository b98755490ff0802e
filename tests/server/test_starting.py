"""`bawaba serve` sees what keeps it from serving before it touches anything."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.product import serving
from tests.services import free_port

START_S = 60


def start(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A `serve` that is expected to refuse."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BAWABA_")}
    words = [sys.executable, "-m", "bawaba", "serve"]
    environ |= {"BAWABA_DATA_DIR": str(folder), **settings}
    return subprocess.run(words, env=environ, capture_output=True, text=True, timeout=START_S, check=False)


@pytest.mark.parametrize("theirs", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_said_at_once_and_nothing_is_touched(tmp_path, theirs):
    with socket.create_server((theirs, 0)) as other:
        port = other.getsockname()[1]
        done = start(tmp_path / "data", BAWABA_PORT=str(port))
    assert done.returncode == 2 and done.stdout == ""
    assert f"Port {port} on 127.0.0.1 is taken" in done.stderr and "BAWABA_PORT" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_an_address_of_another_machine_is_said_at_once(tmp_path):
    done = start(tmp_path / "data", BAWABA_HOST="192.0.2.77", BAWABA_PORT=str(free_port()))
    assert done.returncode == 2 and "no address 192.0.2.77" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_second_server_of_the_same_data_is_refused(tmp_path):
    with serving(tmp_path, "", free_port()) as first:
        before = (tmp_path / "bawaba.db").stat().st_mtime_ns
        done = start(tmp_path, BAWABA_PORT=str(free_port()))
        assert (tmp_path / "bawaba.db").stat().st_mtime_ns == before
    assert done.returncode == 2 and f"process {first.pid}" in done.stderr and str(tmp_path) in done.stderr
    with serving(tmp_path, "", free_port()):
        pass  # the first is gone, whatever it left behind


def test_a_folder_that_cannot_be_made_is_said_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    done = start(tmp_path / "file" / "data", BAWABA_PORT=str(free_port()))
    assert done.returncode == 2 and "cannot be made" in done.stderr and "Traceback" not in done.stderr
