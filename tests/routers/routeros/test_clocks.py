"""Wrong clocks: the router's is a year off, the server's is moved by an hour in the middle of a card, and the server is
started anew with it. Real seconds pass here, for steady time is what is promised."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from bawaba import wiring
from bawaba.core.clock import SystemClock
from bawaba.core.config import Config
from bawaba.core.runtime import Runtime
from bawaba.monitoring.polling import poll
from bawaba.routers.models import Router
from bawaba.routers.service import PASSWORD
from bawaba.sessions import redeem as redeeming
from bawaba.sessions.models import GuestSession
from bawaba.vouchers.errors import VoucherExpired
from bawaba.vouchers.models import Voucher
from tests.cast import HOUR, PHONE, TABLET, Card, Cast
from tests.routers.routeros.far import ADDRESSES

YEAR = 365 * 86400.0
LASTS_S = 12
RIGHT_TO_S = 5.0


class Machine:
    """Its wall clock, which a person may set, and the product on it, which may be started anew."""

    def __init__(self, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
        self._config, self._monkeypatch, self._wall = config, monkeypatch, time.time
        self.rt: Runtime = wiring.build(config)

    def set_clock(self, ahead_s: float) -> None:
        """Move the wall clock by so much."""
        self._monkeypatch.setattr(time, "time", lambda: self._wall() + ahead_s)

    def start_anew(self) -> None:
        """Stop the product and start it."""
        self.rt.parts["housekeeping"]._watch_clock()
        wiring.stop(self.rt)
        self.rt = wiring.build(self._config)

    def look(self, router: Router) -> None:
        """A poll, and what follows."""
        routers = self.rt.parts["routers"]

        async def all_of_it() -> None:
            await poll(self.rt, router.id)
            await routers._deliver_due(router.id)

        routers.loop.submit(all_of_it()).result(20)

    def redeem(self, card: Card, router: Router, mac: str) -> redeeming.Redemption:
        """A phone uses a card."""
        return redeeming.redeem(self.rt, card.code, redeeming.Guest(router.id, mac, ADDRESSES[mac]))

    def causes(self) -> set[str | None]:
        """Why the sessions ended."""
        return set(self.rt.read(lambda db: db.scalars(select(GuestSession.terminate_cause)).all()))


@pytest.fixture
def machine(config, monkeypatch) -> Iterator[Machine]:
    made = Machine(config, monkeypatch)
    yield made
    wiring.stop(made.rt)


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("router_s", "server_s"), [(YEAR, HOUR), (-YEAR, -HOUR)])
def test_with_both_clocks_wrong_cards_end_when_they_should(machine, make_routeros, router_s, server_s):
    simulated: Any = make_routeros(password="secret", clock_offset_s=router_s)
    cast = Cast(machine.rt)
    sealed = machine.rt.keyring.encrypt(b"secret", PASSWORD)
    way = {"address": "127.0.0.1", "port": simulated.api_port, "username": "admin", "password_sealed": sealed}
    router = cast.make_router(cast.site.id, driver="routeros", options={"tls": False}, **way)
    phones = {mac: simulated.join(mac, ip) for mac, ip in ADDRESSES.items()}
    kinds = {PHONE: "elapsed", TABLET: "used_time"}
    cards = {mac: cast.make_voucher(kind=kind, duration_seconds=LASTS_S) for mac, kind in kinds.items()}

    began = time.monotonic()
    machine.look(router)
    assert {machine.redeem(card, router, mac).status for mac, card in cards.items()} == {"online"}
    time.sleep(2)
    machine.set_clock(server_s)
    machine.start_anew()
    assert isinstance(machine.rt.clock, SystemClock) and abs(machine.rt.clock.jump_s() - server_s) < 1
    simulated.reboot(saved=False)  # what is left is worked out with the clocks as they are now
    for phone in phones.values():
        phone.come_back()
    machine.look(router)
    for mac, card in cards.items():
        left_s = machine.redeem(card, router, mac).remaining_seconds
        assert left_s is not None and abs(began + LASTS_S - time.monotonic() - left_s) < RIGHT_TO_S

    ended: dict[str, float] = {}
    while len(ended) < len(phones) and time.monotonic() - began < LASTS_S + RIGHT_TO_S + 1:
        ended |= {
            mac: time.monotonic() - began for mac, phone in phones.items() if mac not in ended and not phone.online
        }
        time.sleep(0.05)
    assert all(abs(lasted_s - LASTS_S) < RIGHT_TO_S for lasted_s in ended.values()) and len(ended) == len(phones)
    time.sleep(max(0.0, began + LASTS_S - time.monotonic()))
    machine.look(router)
    assert machine.causes() == {"Session-Timeout"}
    with pytest.raises(VoucherExpired):
        machine.redeem(cards[PHONE], router, PHONE)
    used_s = machine.rt.read(lambda db: db.get_one(Voucher, cards[TABLET].id).used_seconds)
    assert abs(used_s - LASTS_S) < RIGHT_TO_S
