"""The server is killed (kill -9) at random moments while guests redeem: every card is used once, and none is lost."""

from __future__ import annotations

import random
import threading
import urllib.error
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from bawaba import migrations, wiring
from bawaba.core.config import Config
from bawaba.sales.models import Sale
from bawaba.sessions.models import GuestSession
from bawaba.vouchers.models import Voucher
from tests.cast import Cast
from tests.product import serving
from tests.server.test_no_secrets import ask
from tests.services import free_port

CARDS_A_ROUND = 20


class Guests:
    """Phones that ask one after the other, until each has been let in or the server is gone."""

    def __init__(self, port: int, cards: list[tuple[str, str]]) -> None:
        self._port, self._cards = port, cards
        self.let_in: dict[str, int] = {}  # by code: the session that the phone was told of
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _ask(self) -> None:
        for code, mac in self._cards:
            try:
                told: Any = ask(self._port, "/api/voucher/redeem", {"code": code, "client_mac": mac})
            except (OSError, urllib.error.URLError, ValueError):
                return  # killed in the middle
            self.let_in[code] = told["session"]["id"]


def kill_at_random(folder: Path, rounds: int) -> None:
    """Guests redeem, the server dies; the next one finds every promise kept."""
    chance = random.Random(rounds)
    folder.mkdir(mode=0o700)
    config = Config(data_dir=folder)
    migrations.migrate(config.sqlalchemy_url)
    rt = wiring.build(config)
    told: dict[str, int] = {}
    try:
        cast, port = Cast(rt), free_port()
        version = cast.make_plan()
        cards = [
            (cast.make_voucher(version=version).code, f"02:00:5e:77:{n // 256:02x}:{n % 256:02x}")
            for n in range(rounds * CARDS_A_ROUND)
        ]
        for number in range(rounds):
            waiting = [card for card in cards[: (number + 1) * CARDS_A_ROUND] if card[0] not in told]
            with serving(folder, "", port) as process:
                guests = Guests(port, waiting)
                guests.begin()
                threading.Event().wait(chance.uniform(0.02, 0.5))
                process.kill()
                process.wait()
                guests.end()
            told |= guests.let_in
        with serving(folder, "", port):
            for code, mac in cards:
                again: Any = ask(port, "/api/voucher/redeem", {"code": code, "client_mac": mac})
                assert again["status"] in ("online", "opening"), again
                assert told.get(code, again["session"]["id"]) == again["session"]["id"], code
        counted = rt.read(lambda db: [db.scalar(select(func.count()).select_from(of)) for of in (GuestSession, Sale)])
        used = rt.read(lambda db: db.scalar(select(func.count()).where(Voucher.status == "used")))
        assert counted == [len(cards), len(cards)] and used == len(cards)
    finally:
        wiring.stop(rt)


def test_five_kills_at_random_moments_lose_nothing_and_double_nothing(tmp_path: Path):
    kill_at_random(tmp_path / "data", 5)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_fifty_kills_at_random_moments(tmp_path: Path):
    kill_at_random(tmp_path / "data", 50)
