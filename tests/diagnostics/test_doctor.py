"""`bawaba doctor` as an owner runs it: what is broken is said, with how to mend it, and by the exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bawaba import migrations, wiring
from bawaba.core.config import Config
from tests.cast import Cast
from tests.services import free_port


def run(folder: Path, *words: str, **settings: str) -> tuple[int, Any]:
    """The command in a process of its own; its JSON."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BAWABA_")}
    environ |= {"BAWABA_DATA_DIR": str(folder), "BAWABA_PORT": str(free_port())} | settings
    command = [sys.executable, "-m", "bawaba", "doctor", "--json", *words]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def finding(told: Any, code: str) -> dict[str, str]:
    """The finding by its code."""
    found: dict[str, str] = next(one for one in told["findings"] if one["code"] == code)
    return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A café's data folder, with a router in memory."""
    folder = tmp_path_factory.mktemp("house")
    folder.chmod(0o700)
    config = Config(data_dir=folder)
    migrations.migrate(config.sqlalchemy_url)
    rt = wiring.build(config)
    Cast(rt)
    wiring.stop(rt)
    return folder


def test_a_well_kept_house_has_nothing_broken(house: Path):
    code, told = run(house, BAWABA_PUBLIC_URL="http://127.0.0.1:1")
    assert code == 0 and told["level"] in ("good", "warn"), told
    good = {one["code"] for one in told["findings"] if one["level"] == "good"}
    assert {"settings", "data_folder", "migrations", "key_file", "database", "redis", "router_1", "promises"} <= good
    for code_word in ("public_url", "server", "backup"):
        assert finding(told, code_word)["level"] == "warn" and finding(told, code_word)["mend"]


def test_wrong_settings_are_all_named(house: Path):
    code, told = run(house, BAWABA_LOG_LEVEL="loud", BAWABA_PROT="5000")
    assert code == 1 and told["level"] == "bad"
    said = " ".join(one["fact"] for one in told["findings"])
    assert "BAWABA_LOG_LEVEL" in said and "BAWABA_PROT" in said


def test_a_key_that_others_may_read_or_that_is_another_one_is_found(house: Path):
    key = house / "bawaba.key"
    right = key.read_text()
    try:
        key.chmod(0o644)
        code, told = run(house)
        assert code == 1 and "chmod 600" in finding(told, "key_file")["mend"]
        key.write_text("ab" * 32)
        key.chmod(0o600)
        code, told = run(house)
        assert code == 1 and "not the one" in finding(told, "key_file")["fact"]
    finally:
        key.write_text(right)
        key.chmod(0o600)


def test_a_folder_with_nothing_in_it_stays_empty(tmp_path: Path):
    code, told = run(tmp_path)
    assert code == 1 and finding(told, "database")["level"] == "bad"
    assert list(tmp_path.iterdir()) == []


def test_another_program_on_our_port_is_told_from_ours(house: Path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as stranger:
        _code, told = run(house, "--no-routers", BAWABA_PORT=str(stranger.getsockname()[1]))
    assert finding(told, "server")["level"] == "bad"


def test_redis_that_is_away_and_a_proxy_that_is_everybody(house: Path):
    url = f"redis://127.0.0.1:{free_port()}/0"
    code, told = run(house, "--no-routers", BAWABA_REDIS_URL=url, BAWABA_TRUSTED_PROXIES="0.0.0.0/0")
    assert code == 1
    assert finding(told, "redis")["level"] == "bad" and finding(told, "proxies")["level"] == "bad"


def test_it_speaks_arabic(house: Path):
    _code, told = run(house, "--no-routers", "--lang", "ar")
    assert finding(told, "data_folder")["title"] == "مجلد البيانات"
