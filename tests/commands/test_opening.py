"""Commands work on the installation that is there, and make none by a slip of the data folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bawaba import migrations
from bawaba.cli import main
from bawaba.core.config import Config

NOBODY = 65534
ON_AN_INSTALLATION = [
    ["user", "add", "omar"],
    ["user", "reset-password", "admin"],
    ["user", "list"],
    ["site", "add", "Café", "--time-zone", "Asia/Aden", "--currency", "YER"],
    ["site", "list"],
    ["plan", "add", "1 hour", "--hours", "1"],
    ["plan", "list"],
    ["voucher", "make", "1"],
    ["router", "add", "R", "--driver", "fake", "--address", "memory"],
    ["router", "list"],
    ["router", "show", "1"],
    ["router", "test", "1"],
    ["audit", "verify"],
]


def run(folder: Path, *words: str, **settings: str) -> Result:
    return CliRunner().invoke(main, words, env={"BAWABA_DATA_DIR": str(folder), **settings})


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """An installation with a site and a plan."""
    folder = tmp_path / "data"
    assert run(folder, "migrate").exit_code == 0
    return folder


@pytest.mark.parametrize("words", ON_AN_INSTALLATION, ids=" ".join)
def test_where_nothing_is_a_command_says_so_and_makes_nothing(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    done = run(tmp_path / "wrong", *words)
    assert done.exit_code == 2
    assert f"no data in {tmp_path / 'wrong'}." in done.output and "BAWABA_DATA_DIR=" in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_and_has_no_database_stays_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", "user", "list").exit_code == 2
    assert list((tmp_path / "empty").iterdir()) == []


def test_it_says_where_the_data_of_make_run_is(tmp_path, monkeypatch):
    assert run(tmp_path / ".data", "migrate").exit_code == 0
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "argv", ["/opt/bawaba", "user", "reset-password", "admin"])
    done = run(tmp_path / "wrong", "user", "reset-password", "admin")
    line = f"  BAWABA_DATA_DIR={tmp_path / '.data'} /opt/bawaba user reset-password admin\n"
    assert done.exit_code == 2 and line in done.output


def test_an_empty_postgresql_is_left_empty(tmp_path, postgres_url):
    done = run(tmp_path, "user", "list", BAWABA_DATABASE_URL=postgres_url)
    assert done.exit_code == 2 and "BAWABA_DATABASE_URL" in done.output
    assert migrations.is_empty(Config(database_url=postgres_url).sqlalchemy_url)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_does_not_answer_is_said_in_words(tmp_path):
    done = run(tmp_path, "user", "list", BAWABA_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert done.exit_code == 2 and "cannot be opened" in done.output and "Traceback" not in done.output


def test_lists_are_tables_for_people_and_json_for_programs(installed):
    assert run(installed, "user", "add", "hana", "--role", "admin", "--language", "ar").exit_code == 0
    table = run(installed, "user", "list").output.splitlines()
    assert table[0].split() == [
        "ID",
        "USER",
        "NAME",
        "ROLE",
        "LANGUAGE",
        "SITES",
        "MAY",
        "SIGN",
        "IN",
        "ASKS",
        "A",
        "CODE",
    ]
    assert table[1].split()[:4] == ["1", "hana", "admin", "ar"]
    told = json.loads(run(installed, "user", "list", "--json").output)
    assert [(person["username"], person["role"]) for person in told] == [("hana", "admin")]
    assert "No plans" in run(installed, "plan", "list").output
    assert "No routers" in run(installed, "router", "list").output
    assert json.loads(run(installed, "router", "list", "--json").output) == []
    assert run(installed, "router", "show", "7").exit_code == 2


def test_a_new_installation_comes_to_its_first_card_by_commands_alone(installed):
    assert "No sites" in run(installed, "site", "list").output
    wrong = run(installed, "site", "add", "Café", "--time-zone", "Mars", "--currency", "YER")
    assert wrong.exit_code == 2 and "time_zone" in wrong.output
    steps = [
        ["site", "add", "Café", "--time-zone", "Asia/Aden", "--currency", "yer"],
        ["router", "add", "R", "--driver", "fake", "--address", "memory"],
        ["plan", "add", "1 hour", "--hours", "1", "--price", "100"],
        ["voucher", "make", "1"],
    ]
    for words in steps:
        done = run(installed, *words)
        assert done.exit_code == 0, done.output
    assert "Asia/Aden" in run(installed, "site", "list").output


def test_a_made_card_says_that_no_phone_can_open_its_address(tmp_path, demo_folder):
    done = run(demo_folder, "voucher", "make", "1")
    assert done.exit_code == 0 and "BAWABA_PUBLIC_URL" in done.stderr
    assert "BAWABA_PUBLIC_URL" not in run(demo_folder, "voucher", "make", "1", BAWABA_HOST="192.168.1.5").stderr
    assert (
        "http://login.wifi/c/" in run(demo_folder, "voucher", "make", "1", BAWABA_PUBLIC_URL="http://login.wifi").stdout
    )
    rows = run(demo_folder, "plan", "list").output
    assert "3 hours from first use" in rows and "300 YER" in rows
    shown = run(demo_folder, "router", "show", "1").output
    assert "driver" in shown and "fake" in shown and "traffic" in shown


@pytest.fixture
def demo_folder(installed: Path) -> Path:
    """What `serve --demo` fills."""
    from bawaba import demo, wiring

    rt = wiring.build(Config(data_dir=installed))
    demo.fill(rt)
    wiring.stop(rt)
    return installed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another")
def test_root_goes_on_as_the_owner_of_the_data():
    with tempfile.TemporaryDirectory(prefix="bawaba-owner-") as place:
        folder = Path(place) / "data"
        assert run(folder, "migrate").exit_code == 0
        Path(place).chmod(0o755)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        environ = {"PATH": os.environ["PATH"], "BAWABA_DATA_DIR": str(folder)}
        words = [sys.executable, "-m", "bawaba", "user", "add", "omar"]
        done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:  # the tests' own program lies where nobody else may look
            assert "the user nobody, who may not read this program" in done.stderr and done.returncode == 2
            assert not (folder / "bawaba.key").exists()
            return
        assert (folder / "bawaba.key").exists()
        assert {path.stat().st_uid for path in folder.rglob("*")} == {NOBODY}
