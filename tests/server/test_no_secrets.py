"""A tour of the product with everything logged: no secret that was used is in the log, a URL in it, or a trace."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.cast import PHONE
from tests.product import PASSWORD, product

ROUTER_PASSWORD = "router-pass-93817"


def ask(port: int, path: str, body: Any = None, **headers: str) -> Any:
    """JSON in, JSON out; refusals too."""
    data = json.dumps(body).encode() if body is not None else None
    said = {"Content-Type": "application/json", "Accept": "application/json"} | headers
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, said)) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return json.loads(error.read() or b"null")


def test_no_secret_is_logged_or_kept(tmp_path: Path):
    log = tmp_path / "log"
    settings = {"BAWABA_LOG_FILE": str(log), "BAWABA_LOG_LEVEL": "debug", "BAWABA_LOG_FORMAT": "json"}
    with product(settings=settings) as running:
        port, card = running.port, running.cast.make_voucher()
        tokens = ask(port, "/api/auth/login", {"username": "hana", "password": PASSWORD})
        signed = {"Authorization": f"Bearer {tokens['access_token']}"}
        ask(port, "/api/auth/login", {"username": "hana", "password": "wrong-guess-55511"})
        key = ask(port, "/api/keys", {"name": "till"}, **signed)["key"]
        ask(port, "/api/routers", {"name": "box", "driver": "routeros", "address": "127.0.0.1", "port": 1,
                                   "username": "u", "password": ROUTER_PASSWORD}, **signed)  # fmt: skip
        ask(port, "/api/routers/2/test", {}, **signed)
        ask(port, "/api/voucher/redeem", {"code": card.code, "client_mac": PHONE})
        ask(port, "/api/voucher/redeem", {"code": "999999999999", "client_mac": PHONE})
        for path in (f"/c/{card.code}", f"/nowhere/{card.code}", f"/api/vouchers?q={card.code}"):
            ask(port, path, **signed) if path.startswith("/api") else _open(port, path)
        ask(port, "/api/auth/refresh", {"refresh_token": tokens["refresh_token"]})
        _wait_for_traces(running)
        kept = str(running.rt.read(lambda db: db.execute(text("SELECT * FROM request_trace")).all()))
    written = log.read_text()
    assert len(written.splitlines()) > 5 and all(json.loads(line)["event"] for line in written.splitlines())
    assert '"request_id"' in written and "/api/voucher/redeem" in kept
    secrets = [PASSWORD, "wrong-guess-55511", tokens["access_token"], tokens["refresh_token"], key, ROUTER_PASSWORD,
               card.code, "999999999999"]  # fmt: skip
    for number, secret in enumerate(secrets):
        assert secret not in written, (number, next(line for line in written.splitlines() if secret in line))
        assert secret not in kept, number


def _open(port: int, path: str) -> None:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}").close()
    except urllib.error.HTTPError as error:
        error.close()


def _wait_for_traces(running: Any) -> None:
    import time

    until = time.monotonic() + 20
    asked = text("SELECT count(*) FROM request_trace WHERE route = '/api/auth/refresh'")
    while not running.rt.read(lambda db: db.execute(asked).scalar()):
        assert time.monotonic() < until
        time.sleep(0.2)
