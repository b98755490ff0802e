"""Server, router and database are killed in turn under a hundred guests of a MikroTik: who was online is online again
within a minute, no card pays for more than one poll that it did not have, and none is given anything."""

from __future__ import annotations

import http.client
import json
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import select

from bawaba import migrations, wiring
from bawaba.core.config import Config
from bawaba.routers.service import PASSWORD
from bawaba.sessions.models import GuestSession
from bawaba.vouchers.models import Voucher
from tests import needs
from tests.cast import HOUR, Card, Cast
from tests.product import serving
from tests.services import free_port, running_postgres

log = structlog.get_logger(__name__)
GUESTS = 100
POLL_S = 32.0  # thirty seconds, their spread, and reading a hundred guests
LOCKED_OUT_MOST_S = 60.0
LOOK_EVERY_S = 0.25
SLACK_S = 3.0  # between our looks, and whole seconds
DOWN, UP = 4000, 500  # bytes a second of each phone


class Crowd:
    """The phones, watched at the router itself: how long each was online, and the longest that each was not."""

    def __init__(self, simulated: Any) -> None:
        self._simulated = simulated
        self.phones = {f"127.0.9.{n}": simulated.join(f"02:00:5e:90:00:{n:02x}", f"127.0.9.{n}") for n in range(1, 250)}
        self.on_s = dict.fromkeys(self.phones, 0.0)
        self.locked_out_s = dict.fromkeys(self.phones, 0.0)
        self._off_since: dict[str, float] = {}
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look_on, daemon=True)

    def begin(self) -> None:
        """Watch from now on."""
        self._watch.start()

    def end(self) -> None:
        """Watch no more."""
        self._over.set()
        self._watch.join(5)

    def online(self) -> set[str]:
        """Addresses that are in now."""
        with self._simulated.lock:
            self._simulated.hotspot.look()
            return {ip for ip, session in self._simulated.hotspot.sessions.items() if session.host.session is session}

    def send_packets(self) -> None:
        """After a restart each phone asks for an address and tries the Internet."""
        for phone in self.phones.values():
            phone.come_back()

    def _look_on(self) -> None:
        known: set[str] = set()
        last = time.monotonic()
        while not self._over.wait(LOOK_EVERY_S):
            online, now = self.online(), time.monotonic()
            for ip in online:
                self.on_s[ip] += now - last
                self._off_since.pop(ip, None)
            for ip in known - online:
                off_since = self._off_since.setdefault(ip, now)
                self.locked_out_s[ip] = max(self.locked_out_s[ip], now - off_since)
            known, last = known | online, now


class Shop:
    """A served product on a PostgreSQL of its own, with a MikroTik."""

    def __init__(self, stack: ExitStack, simulated: Any, folder: Path) -> None:
        self.simulated, self.folder = simulated, folder
        self.database = stack.enter_context(running_postgres())
        self.url = stack.enter_context(self.database.database())
        migrations.migrate(self.url)
        self.rt = wiring.build(Config(data_dir=folder, database_url=self.url))
        stack.callback(wiring.stop, self.rt)
        self.cast = Cast(self.rt)
        sealed = self.rt.keyring.encrypt(b"secret", PASSWORD)
        way = {"address": "127.0.0.1", "port": simulated.api_port, "username": "admin", "password_sealed": sealed}
        self.router = self.cast.make_router(self.cast.site.id, driver="routeros", options={"tls": False}, **way)
        self.port = free_port()
        self._server = ExitStack()
        stack.callback(lambda: self._server.close())
        self.start_server()

    def start_server(self) -> None:
        """Until it answers."""
        self.process = self._server.enter_context(serving(self.folder, self.url, self.port))

    def kill_server(self) -> None:
        """kill -9, and start it again."""
        self.process.kill()
        self.process.wait()
        self.start_server()

    def crash_database(self) -> None:
        """Its processes end at once; it is started again."""
        self.database.crash()
        self.database.start()

    def redeem(self, code: str, ip: str) -> str:
        """A phone asks the portal; what it is told."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30, source_address=(ip, 0))
        try:
            body = json.dumps({"code": code, "router": str(self.router.id)})
            connection.request("POST", "/api/voucher/redeem", body, {"Content-Type": "application/json"})
            told = json.load(connection.getresponse())
            return str(told.get("status") or told["error"])
        except OSError as error:
            return type(error).__name__
        finally:
            connection.close()

    def sessions(self) -> list[GuestSession]:
        """As they stand."""
        return list(self.rt.read(lambda db: db.scalars(select(GuestSession).order_by(GuestSession.id)).all()))

    def books(self) -> list[tuple[GuestSession, Voucher]]:
        """All sessions with their cards, read by one statement: a poll may be booking at this moment."""
        both = select(GuestSession, Voucher).join(Voucher, Voucher.id == GuestSession.voucher_id)
        return [(session, card) for session, card in self.rt.read(lambda db: db.execute(both).all())]


@pytest.fixture
def shop(make_routeros, tmp_path) -> Iterator[Shop]:
    needs.require("postgres")
    simulated = make_routeros(password="secret", licence_level=6)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, tmp_path / "data", ignore_errors=True)
        yield Shop(stack, simulated, tmp_path / "data")


def until(what: Callable[[], Any], most_s: float) -> float:
    """Wait until it is so; how long that took, seconds."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < most_s, "it did not happen"
        time.sleep(0.1)
    return time.monotonic() - began


def let_in(shop: Shop, cards: dict[str, Card]) -> None:
    """Everybody redeems, ten at a time."""
    with ThreadPoolExecutor(10) as pool:
        told = list(pool.map(lambda ip: shop.redeem(cards[ip].code, ip), cards))
    assert set(told) <= {"online", "opening"}, told


def power_cut(shop: Shop, crowd: Crowd) -> None:
    """The router loses its power, and what it had not saved."""
    shop.simulated.power_off(saved=False)
    time.sleep(1)
    shop.simulated.power_on()
    crowd.send_packets()


def a_newcomer_gets_in(shop: Shop, crowd: Crowd, ip: str) -> float:
    """How long somebody with a new card has to try, seconds."""
    card = shop.cast.make_voucher()
    shop.redeem(card.code, ip)
    return until(lambda: ip in crowd.online() or (shop.redeem(card.code, ip) and False), LOCKED_OUT_MOST_S)


def kill_in_turn(
    shop: Shop, crowd: Crowd, cards: dict[str, Card], orders: Sequence[Sequence[str]], *, wait_each: bool
) -> None:
    """Kill these in this order, round by round; each round ends when everybody is in, and a newcomer too."""
    deeds = {
        "server": shop.kill_server,
        "database": shop.crash_database,
        "router": lambda: power_cut(shop, crowd),
    }
    for number, order in enumerate(orders):
        for deed in order:
            deeds[deed]()
            if wait_each:
                until(lambda: crowd.online() >= set(cards), LOCKED_OUT_MOST_S)
        until(lambda: crowd.online() >= set(cards), LOCKED_OUT_MOST_S)
        assert a_newcomer_gets_in(shop, crowd, f"127.0.9.{GUESTS + 1 + number}") < LOCKED_OUT_MOST_S


def check_the_books(shop: Shop, crowd: Crowd, cards: dict[str, Card], power_cuts: int, ends: dict[int, Any]) -> None:
    """What is charged against what was had: not less, and at most a poll more for each time that the power was cut."""
    more_s = []
    books = shop.books()
    now = shop.rt.clock.now()
    crowd.end()
    for ip, card in cards.items():
        ((session, voucher),) = [row for row in books if row[1].id == card.id]  # the same session all along
        assert session.state == "online" and session.start_time is not None, (ip, session.terminate_cause)
        if card.id in ends:
            assert voucher.over_at == ends[card.id]
            continue
        charged_s = voucher.used_seconds + (now - session.start_time).total_seconds()
        had_s = crowd.on_s[ip]
        more_s.append(charged_s - had_s)
        assert had_s - SLACK_S <= charged_s <= had_s + power_cuts * POLL_S + SLACK_S, (ip, charged_s, had_s)
        assert voucher.bytes_down <= had_s * DOWN + DOWN * SLACK_S, (ip, voucher.bytes_down, had_s)
        assert voucher.bytes_down == session.bytes_down, (ip, voucher.bytes_down, session.bytes_down)
    worst_s = max(crowd.locked_out_s[ip] for ip in cards)
    assert worst_s < LOCKED_OUT_MOST_S, worst_s
    log.info("killed in turn", locked_out_s=round(worst_s, 1), more_s=(round(min(more_s), 1), round(max(more_s), 1)))


def a_hundred_guests(shop: Shop) -> tuple[Crowd, dict[str, Card], dict[int, Any]]:
    """Half by used time, half by the clock; all of them busy. The ends of those by the clock come with them."""
    crowd = Crowd(shop.simulated)
    kinds = [shop.cast.make_plan(kind=kind, duration_seconds=3 * HOUR) for kind in ("used_time", "elapsed")]
    places = list(crowd.phones)[:GUESTS]
    cards = {ip: shop.cast.make_voucher(version=kinds[n % 2]) for n, ip in enumerate(places)}
    crowd.begin()
    let_in(shop, cards)
    until(lambda: crowd.online() >= set(cards), LOCKED_OUT_MOST_S)
    for ip in cards:
        crowd.phones[ip].flow(up=UP, down=DOWN)
    until(lambda: all(session.state == "online" for session in shop.sessions()), POLL_S)
    over = {card.id: shop.cast.row(Voucher, card.id).over_at for card in cards.values()}
    return crowd, cards, {card_id: over_at for card_id, over_at in over.items() if over_at is not None}


@pytest.mark.timeout(300)
def test_killed_in_turn_under_a_hundred_guests_time_stays_right_and_all_are_back(shop):
    crowd, cards, ends = a_hundred_guests(shop)
    orders = [("router", "server", "database"), ("database", "server", "router")]
    kill_in_turn(shop, crowd, cards, orders, wait_each=False)
    check_the_books(shop, crowd, cards, len(orders), ends)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_twenty_rounds_each_kill_by_itself(shop):
    chance = random.Random(20)
    orders = [chance.sample(["router", "server", "database"], 3) for _ in range(20)]
    crowd, cards, ends = a_hundred_guests(shop)
    kill_in_turn(shop, crowd, cards, orders, wait_each=True)
    check_the_books(shop, crowd, cards, len(orders), ends)
