"""`bawaba audit verify` tells a whole log from one that somebody had a hand in."""

from __future__ import annotations

import sqlite3

from click.testing import CliRunner

from bawaba.cli import main


def run(folder, *words):
    return CliRunner().invoke(main, words, env={"BAWABA_DATA_DIR": str(folder)})


def test_a_touched_log_ends_with_1_and_says_where(tmp_path):
    assert run(tmp_path, "migrate").exit_code == 0
    for name in ("omar", "vera"):
        assert run(tmp_path, "user", "add", name).exit_code == 0
    whole = run(tmp_path, "audit", "verify")
    assert whole.exit_code == 0
    seal = whole.output.split()[-1]
    assert run(tmp_path, "audit", "verify", "--expect", seal).exit_code == 0

    with sqlite3.connect(tmp_path / "bawaba.db") as database:
        database.execute("UPDATE audit_entry SET actor = 'nobody' WHERE id = (SELECT max(id) FROM audit_entry)")
    touched = run(tmp_path, "audit", "verify")
    assert touched.exit_code == 1
    assert "NOT WHOLE at deed" in touched.output
    assert run(tmp_path, "audit", "verify", "--expect", "00").exit_code == 1
