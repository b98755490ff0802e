"""PostgreSQL goes away under a running server and comes back: guests are told so politely, and the owner is told."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bawaba import migrations, wiring
from bawaba.core.config import Config
from bawaba.core.runtime import Runtime
from bawaba.notifications import channels
from tests.cast import PHONE, Cast, person
from tests.cut import Link
from tests.notifications.conftest import Hook, hooked
from tests.product import serving
from tests.services import PostgresServer, free_port

WAIT_S = 40.0


@dataclass
class Cafe:
    """A served product whose database is at the end of a link that can be cut."""

    port: int
    link: Link
    rt: Runtime
    cast: Cast
    hook: Hook

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        data = json.dumps(body).encode() if body is not None else None
        said = {"Content-Type": "application/json"} if data else {"Accept": "text/html"}
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, said | headers)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def send_form(self, code: str) -> tuple[int, str]:
        """As a phone in Arabic sends the portal's form."""
        data = urllib.parse.urlencode({"code": code, "client_mac": PHONE}).encode()
        said = {"Accept": "text/html", "Accept-Language": "ar"}
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/voucher/redeem", data, said)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def redeem(self, code: str) -> tuple[int, Any]:
        status, text = self.ask("/api/voucher/redeem", {"code": code, "client_mac": PHONE})
        return status, json.loads(text)


@pytest.fixture
def cafe(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Cafe]:
    template = postgres_server.template("migrated", migrations.migrate)
    link = Link(postgres_server.port)
    folder = tmp_path / "data"
    with postgres_server.database(template) as url, hooked() as hook:
        through = url.replace(f":{postgres_server.port}/", f":{link.port}/")
        rt = wiring.build(Config(data_dir=folder, database_url=url))
        cast = Cast(rt)
        ways = {"name": "hook", "language": "en", "least": "critical", "allow_private": True, "enabled": True}
        channels.add_channel(rt, person(), ways | {"url": hook.url})
        port = free_port()
        try:
            with serving(folder, through, port):
                yield Cafe(port, link, rt, cast, hook)
        finally:
            wiring.stop(rt)
            link.cut()
            shutil.rmtree(folder, ignore_errors=True)


def wait_for(what: Any) -> None:
    until = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.2)


def test_guests_are_told_politely_while_the_database_is_away_and_nothing_is_lost(cafe: Cafe):
    card = cafe.cast.make_voucher()
    wait_for(lambda: cafe.ask("/healthz")[0] == 200)
    time.sleep(6)  # the notifier has looked once, and knows its channels
    cafe.link.cut()

    status, answer = cafe.redeem(card.code)
    assert (status, answer["error"]) == (503, "database_away")
    assert "Nothing was lost" in answer["message"]
    status, page = cafe.ask("/", **{"Accept-Language": "ar"})
    assert status in (200, 503) and 'dir="rtl"' in page and "Traceback" not in page
    status, page = cafe.send_form(card.code)
    assert status == 503 and 'dir="rtl"' in page and "المحاولة" in page
    assert cafe.ask("/healthz")[0] == 200
    wait_for(lambda: [told["title"] for told in cafe.hook.taken] == ["The database does not answer"])

    cafe.link.mend()
    wait_for(lambda: cafe.redeem(card.code)[0] == 200)
    assert cafe.redeem(card.code)[1]["status"] == "online"
    wait_for(lambda: [told["title"] for told in cafe.hook.taken][1:] == ["The database answers again"])
