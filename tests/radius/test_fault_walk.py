"""Datagrams to a NAS are lost at each of the calls of an order in turn, before it acts or after. Once the link is back
the outbox delivers, and NAS and database agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bawaba.core.actor import SYSTEM
from bawaba.radius.rules import START
from bawaba.routers.drivers.radius import exchange
from bawaba.routers.models import RouterJob
from bawaba.sessions import service
from tests.radius.nas import Nas

pytestmark = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
ACCT = "81"
RESEND_S = 70.0
ALL = 10**6


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "TRY_S", 0.05)


def terminate(rt: Any, card: Any, session: Any) -> None:
    service.terminate(rt, SYSTEM, session.id)


def revoke(rt: Any, card: Any, session: Any) -> None:
    service.set_disabled(rt, SYSTEM, card.id, True)


def deliver(rt: Any, router_id: int) -> None:
    routers = rt.parts["routers"]
    routers.loop.submit(routers._deliver_due(router_id)).result(30)


def open_work(rt: Any, router_id: int) -> list[str | None]:
    def read(db: Any) -> list[str | None]:
        jobs = db.query(RouterJob).filter(RouterJob.router_id == router_id, RouterJob.state != "done")
        return [job.last_error for job in jobs]

    return list(rt.read(read))


@pytest.mark.parametrize("deed", [terminate, revoke])
@pytest.mark.parametrize("how", ["silent", "lost_answers"])
@pytest.mark.parametrize("lost", [1, 2, exchange.TRIES, exchange.TRIES + 1, ALL])
def test_an_order_whose_datagrams_are_lost_is_carried_out_once_the_link_is_back(
    rt: Any, cast: Any, make_gateway: Any, box: Nas, deed: Callable[..., None], how: str, lost: int
) -> None:
    gateway = make_gateway()
    rt.transact(lambda db: setattr(db.get_one(type(gateway.router), gateway.router.id), "port", box.coaport))
    card = cast.make_voucher()
    verdict = gateway.ask(card.code)
    gateway.tell(START, acct=ACCT, code=card.code, verdict=verdict)
    box.sessions.add(ACCT)
    setattr(box, how, lost)
    deed(rt, card, gateway.session())
    deliver(rt, gateway.router.id)
    assert gateway.session().state == "ended"  # whatever the NAS did

    box.silent = box.lost_answers = 0
    rt.clock.advance(RESEND_S)
    deliver(rt, gateway.router.id)
    gateway.look()
    assert box.sessions == set() and open_work(rt, gateway.router.id) == []
    assert {said["Acct-Session-Id"] for said in box.asked} == {ACCT}
