"""What takes long: `make soak`. Many more rounds of what the other tests do a few times."""

from __future__ import annotations

import signal
import time
from random import SystemRandom

import pytest
from sqlalchemy import func, select

from bawaba.sales.models import Sale
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import making
from bawaba.vouchers.models import Voucher
from tests.cast import person, phones
from tests.product import product
from tests.server.test_serve import Served, password_in
from tests.sessions.test_two_processes import count, race

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_twenty_rounds_of_two_hundred_phones_at_two_servers(database):
    with product(database, processes=2) as running:
        for _ in range(20):
            card = running.cast.make_voucher()
            answers = race(running, card.code, phones(200))
            assert answers.count("too_many_devices") == 199
            assert (count(running, GuestSession, card.id), count(running, Sale, card.id)) == (1, 1)


def test_ten_batches_of_a_hundred_thousand_have_no_code_twice(rt, cast):
    rt.rng = SystemRandom()
    version = cast.make_plan()
    for _ in range(10):
        batch = making.order_batch(rt, person(), making.BatchOrder(version.plan_id, 100_000))
        rt.parts["batch_maker"].make(batch.id)

    counted = select(func.count(), func.count(Voucher.code_digest.distinct()))
    assert tuple(rt.read(lambda db: db.execute(counted).one())) == (1_000_000, 1_000_000)


def test_fifty_kills_in_the_middle_of_batches_and_redeems_lose_nothing(tmp_path):
    """Whatever was answered before a kill is there after it; no card is made or spent twice."""
    chance, served = SystemRandom(), Served(tmp_path / "data")
    served.sign_in(password := password_in(served.start()))
    ends: dict[int, str] = {}
    try:
        for round_number in range(50):
            batch = served.call("POST", "/api/vouchers/bulk", {"plan_id": 1, "quantity": 3000})
            for number in range(5):
                card = served.call("POST", "/api/vouchers", {"plan_id": 1})
                mac = f"02:00:5e:50:{round_number:02x}:{number:02x}"
                told = served.call("POST", "/api/voucher/redeem", {"code": card["code"], "client_mac": mac})
                ends[card["id"]] = told["session"]["end_time"]
            time.sleep(chance.random() * 0.3)
            served.stop(signal.SIGKILL)
            served.start()
            served.sign_in(password)
            deadline = time.monotonic() + 60
            while (now := served.call("GET", f"/api/batches/{batch['id']}"))["state"] == "making":
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert (now["state"], now["created"]) == ("ready", 3000)
        rows: list[dict[str, object]] = []
        cursor = ""
        while cursor is not None:
            page = served.call("GET", f"/api/sessions?active=true&limit=500&cursor={cursor}")
            rows, cursor = rows + page["items"], page["next"]
        assert {row["voucher_id"]: row["end_time"] for row in rows} == ends
    finally:
        served.stop(signal.SIGKILL)
