"""The server is dead and two MikroTiks of a router-held site serve the guests themselves: back again, it knows what
they used, and a card that was used at both is cut at the later one, and said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import select

from bawaba import migrations, wiring
from bawaba.core.actor import SYSTEM
from bawaba.core.config import Config
from bawaba.notifications.models import Notification
from bawaba.routers import cards
from bawaba.routers.service import PASSWORD
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import codes, making
from bawaba.vouchers.models import Voucher
from tests.cast import HOUR, MIB, PHONE, TABLET, Cast
from tests.product import serving
from tests.services import free_port

log = structlog.get_logger(__name__)
WALKER = "02:00:5e:10:00:03"
PLACES = {PHONE: "10.5.50.11", TABLET: "10.5.50.12", WALKER: "10.5.50.13"}
POLL_S = 32.0
AWAY_S = 4.0


class Cafe:
    """A router-held site with two MikroTiks and its server's process."""

    def __init__(self, stack: ExitStack, boxes: list[Any], folder: Path) -> None:
        self.boxes = boxes
        folder.mkdir()
        self._way = (folder, "", free_port())
        self._servers = stack.enter_context(ExitStack())
        config = Config(data_dir=folder)
        migrations.migrate(config.sqlalchemy_url)
        self.rt = wiring.build(config)
        stack.callback(wiring.stop, self.rt)
        self.cast = Cast(self.rt)
        self.site = self.cast.make_site(mode="router_held")
        self.routers = [self._row(box) for box in boxes]
        self.phones = [{mac: box.join(mac, ip) for mac, ip in PLACES.items()} for box in boxes]

    def _row(self, box: Any) -> Any:
        sealed = self.rt.keyring.encrypt(b"secret", PASSWORD)
        way = {"address": "127.0.0.1", "port": box.api_port, "username": "admin", "password_sealed": sealed}
        return self.cast.make_router(self.site.id, driver="routeros", options={"tls": False}, **way)

    def start(self) -> None:
        """Until it answers."""
        self._process = self._servers.enter_context(serving(*self._way))

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait()

    def card(self, **terms: Any) -> tuple[Voucher, str]:
        """A card, and what stands on it."""
        version = self.cast.make_plan(site_id=self.site.id, **terms)
        card, _version = making.make_card(self.rt, SYSTEM, making.CardOrder(version.plan_id, None))
        return card, codes.grouped(making.open_code(self.rt.keyring, card))

    def all_there(self, count: int) -> bool:
        """Whether both routers hold so many cards."""
        ids = [router.id for router in self.routers]
        return all(one.on_router == count for one in self.rt.read(cards.progress, ids).values())

    def sign_in(self, place: int, mac: str, code: str) -> bool:
        """A guest posts a code to the router's own page."""
        browser = {"X-Phone": mac}
        page = f"{self.boxes[place].web_url}/login"
        httpx.post(page, data={"username": code, "password": ""}, headers=browser, timeout=5)
        return bool(self.phones[place][mac].online)

    def sessions(self, card: Voucher) -> list[GuestSession]:
        """Of a card, as they stand."""
        mine = select(GuestSession).where(GuestSession.voucher_id == card.id).order_by(GuestSession.id)
        return list(self.rt.read(lambda db: db.scalars(mine).all()))

    def told(self) -> list[str]:
        """Kinds of what the owner was told."""
        return list(self.rt.read(lambda db: db.scalars(select(Notification.kind)).all()))


@pytest.fixture
def cafe(make_routeros, tmp_path) -> Iterator[Cafe]:
    boxes = [make_routeros(password="secret"), make_routeros(password="secret", version="6.49.18")]
    with ExitStack() as stack:
        yield Cafe(stack, boxes, tmp_path / "data")


def until(what: Callable[[], Any], most_s: float) -> None:
    """Wait until it is so."""
    over = time.monotonic() + most_s
    while not what():
        assert time.monotonic() < over, "it did not happen"
        time.sleep(0.1)


def test_guests_are_served_while_the_server_is_dead_and_what_they_used_is_known_afterwards(cafe):
    cafe.start()
    (single, single_code), (twice, twice_code), (gone, gone_code) = (
        cafe.card(kind=kind, duration_seconds=3 * HOUR) for kind in ("elapsed", "elapsed", "used_time")
    )
    until(lambda: cafe.all_there(3), POLL_S)
    cafe.kill()

    assert cafe.sign_in(0, PHONE, single_code)
    assert cafe.sign_in(0, TABLET, twice_code)
    assert cafe.sign_in(0, WALKER, gone_code)
    cafe.phones[0][WALKER].move(0, 3 * MIB)
    time.sleep(AWAY_S)
    httpx.post(f"{cafe.boxes[0].web_url}/logout", headers={"X-Phone": WALKER}, timeout=5)
    assert cafe.sign_in(1, WALKER, twice_code)  # the same card, at the other router
    cafe.phones[0][PHONE].move(1000, 5 * MIB)
    cafe.start()
    began = time.monotonic()

    def is_known() -> bool:
        return booked(cafe, single) == (1000, 5 * MIB) and booked(cafe, gone) == (0, 3 * MIB)

    until(is_known, 2 * POLL_S)
    known_s = time.monotonic() - began
    (session,) = cafe.sessions(single)
    assert (session.state, session.client_mac) == ("online", PHONE)
    row = cafe.cast.row(Voucher, single.id)
    assert (session.created_at - row.first_used_at).total_seconds() >= AWAY_S - 1

    until(lambda: not cafe.phones[1][WALKER].online, 2 * POLL_S)
    until(lambda: cafe.told(), POLL_S)
    log.info("back again", known_s=round(known_s, 1), cut_and_told_s=round(time.monotonic() - began, 1))
    assert cafe.phones[0][TABLET].online and not cafe.sign_in(1, WALKER, twice_code)
    live = [session for session in cafe.sessions(twice) if session.ended_at is None]
    assert [(session.client_mac, session.router_id) for session in live] == [(TABLET, cafe.routers[0].id)]
    assert cafe.told() == ["card_twice"]


def booked(cafe: Cafe, card: Voucher) -> tuple[int, int]:
    row = cafe.cast.row(Voucher, card.id)
    return row.bytes_up, row.bytes_down
