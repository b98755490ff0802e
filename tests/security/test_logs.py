"""What strangers send cannot write lines of its own into the log, nor secrets."""

from __future__ import annotations

import json
import subprocess
import sys

FORGED = 'quiet\n{"event": "everything is well", "level": "info"}\r\x1b[2J'
PROGRAM = """
import sys, structlog
from bawaba.core import log
log.configure("info")
name = sys.argv[1]
structlog.get_logger("x").info("a sign-in failed", username=name, password=name, api_token=name)
"""


def test_a_name_with_line_ends_stays_one_line_and_secrets_are_left_out():
    done = subprocess.run([sys.executable, "-c", PROGRAM, FORGED], capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    entry = json.loads(lines[0])
    assert entry["username"] == FORGED
    assert (entry["password"], entry["api_token"]) == ("***", "***")
    assert "\x1b" not in done.stderr


def test_a_request_id_that_is_more_than_an_id_is_not_taken(app):
    for sent in ("x\ty", "a" * 200, "<b>", "ü"):
        answer = app.test_client().get("/healthz", headers={"X-Request-ID": sent.encode().decode("latin-1")})
        assert answer.headers["X-Request-ID"] not in ("", sent)
    assert app.test_client().get("/healthz", headers={"X-Request-ID": "till-7.4"}).headers["X-Request-ID"] == "till-7.4"
