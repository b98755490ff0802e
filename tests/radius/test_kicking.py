"""Ending sessions at a NAS from where staff do it: the NAS hears which one is meant, and its own word counts."""

from __future__ import annotations

import pytest

from bawaba.core.actor import SYSTEM
from bawaba.routers.drivers.radius import exchange
from bawaba.routers.models import Router, RouterJob
from bawaba.routers.promises import Promised
from bawaba.sessions import service
from bawaba.vouchers.models import Voucher
from tests.cast import MIB
from tests.radius.conftest import Gateway


@pytest.fixture
def listening(rt, gateway, box, monkeypatch) -> Gateway:
    """The gateway, with a NAS behind it."""
    monkeypatch.setattr(exchange, "TRY_S", 0.2)

    def set_port(db):
        db.get_one(Router, gateway.router.id).port = box.coaport

    rt.transact(set_port)
    box.sessions.add("81")
    return gateway


def jobs(rt) -> list[tuple[str, str, str | None]]:
    rows = rt.read(lambda db: list(db.query(RouterJob).order_by(RouterJob.id)))
    return [(job.kind, job.state, job.last_error) for job in rows if job.kind == "kick"]


@pytest.fixture
def guest(listening, cast):
    card = cast.make_voucher()
    verdict = listening.ask(card.code)
    listening.tell("Start", verdict=verdict, code=card.code)
    return card, verdict


def test_who_is_kicked_is_out_at_the_nas_and_his_last_bytes_follow(rt, listening, cast, box, guest):
    card, verdict = guest
    service.terminate(rt, SYSTEM, listening.session().id)

    assert box.sessions == set() and jobs(rt) == [("kick", "done", None)]
    assert box.asked[0]["User-Name"] == card.code and box.asked[0]["Acct-Session-Id"] == "81"
    assert box.asked[0]["NAS-Identifier"] == "roof" and box.asked[0]["Framed-IP-Address"] == "10.77.0.9"
    assert listening.session().terminate_cause == "Admin-Reset"

    listening.tell("Stop", verdict=verdict, seconds=9, down=MIB, cause="Admin-Reset")
    assert listening.session().bytes_down == cast.row(Voucher, card.id).bytes_down == MIB


def test_who_is_gone_already_is_no_error(rt, listening, box, guest):
    box.sessions.clear()
    service.terminate(rt, SYSTEM, listening.session().id)
    assert jobs(rt) == [("kick", "done", None)]


def test_a_nas_that_has_said_stop_is_not_asked(rt, listening, box, guest):
    listening.tell("Stop", verdict=guest[1], seconds=9)
    service.terminate(rt, SYSTEM, listening.session().id)
    service.set_disabled(rt, SYSTEM, guest[0].id, True)
    assert box.asked == []


def test_work_that_the_nas_has_done_by_itself_meanwhile_is_not_asked_for(rt, listening, box, guest):
    """It may have given the same Acct-Session-Id to somebody else by then."""
    box.silent = 99
    service.terminate(rt, SYSTEM, listening.session().id)
    (job,) = rt.read(lambda db: [job.id for job in db.query(RouterJob).filter(RouterJob.kind == "kick")])
    promised = Promised(job, listening.router.id, "kick", listening.session().id)
    prepare = rt.parts["routers"].kinds["kick"].prepare
    assert rt.read(prepare, promised, rt.clock.now()) is not None

    listening.tell("Stop", verdict=guest[1], seconds=9)
    assert rt.read(prepare, promised, rt.clock.now()) is None


def test_a_session_that_the_nas_never_told_of_is_named_by_its_device_unless_that_has_a_newer_one(
    rt, listening, cast, box
):
    listening.ask(cast.make_voucher().code)
    old = listening.session().id
    service.terminate(rt, SYSTEM, old)
    assert "Acct-Session-Id" not in box.asked[0] and box.asked[0]["Calling-Station-Id"] == "02:00:5E:10:00:01"

    listening.ask(cast.make_voucher().code)
    prepare = rt.parts["routers"].kinds["kick"].prepare
    assert rt.read(prepare, Promised(0, listening.router.id, "kick", old), rt.clock.now()) is None


def test_a_silent_nas_keeps_the_work_open_with_its_error(rt, listening, box, guest):
    box.silent = 99
    service.terminate(rt, SYSTEM, listening.session().id)
    rt.parts["routers"].loop.submit(_settled()).result(5)
    ((kind, state, error),) = jobs(rt)
    assert (kind, state) == ("kick", "open") and str(error).startswith("unreachable")


def test_a_refusal_is_kept_with_its_cause(rt, listening, box, guest):
    box.refuse = 506
    service.terminate(rt, SYSTEM, listening.session().id)
    ((_, state, error),) = jobs(rt)
    assert state == "open" and "506" in str(error)


async def _settled() -> None:
    import asyncio

    await asyncio.sleep(1.0)
