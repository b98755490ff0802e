"""One card stays one card when several processes sell it: real servers, real HTTP, both databases."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from bawaba.sales.models import Sale
from bawaba.sessions.models import GuestSession
from tests import needs
from tests.cast import PHONE, phones
from tests.product import Product, product

ROUNDS = 3


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def two_servers(request):
    """Two `bawaba serve` on one database."""
    if request.param == "postgresql":
        needs.require("postgres")
    with product(request.param, processes=2) as running:
        yield running


def redeem(port: int, code: str, mac: str) -> str:
    """What the server says: online, opening, resumed or the refusal's code."""
    body = json.dumps({"code": code, "client_mac": mac, "client_ip": "10.77.0.9"}).encode()
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/voucher/redeem", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            told = json.load(answer)
    except urllib.error.HTTPError as refused:
        return str(json.load(refused)["error"])
    return "resumed" if told["session"]["resumed"] else str(told["status"])


def race(running: Product, code: str, macs: list[str]) -> list[str]:
    """All of them at once, half at each server."""
    with ThreadPoolExecutor(50) as pool:
        ports = [running.ports[number % 2] for number in range(len(macs))]
        return list(pool.map(lambda who: redeem(who[0], code, who[1]), zip(ports, macs, strict=True)))


def count(running: Product, model, card_id: int) -> int:
    rows = select(func.count()).select_from(model).where(model.voucher_id == card_id)
    return running.rt.read(lambda db: db.scalar(rows) or 0)


@pytest.mark.parametrize("places", [1, 3])
def test_of_200_phones_at_two_servers_as_many_get_in_as_the_card_allows(two_servers, places):
    for _ in range(ROUNDS):
        card = two_servers.cast.make_voucher(devices_at_once=places)
        answers = race(two_servers, card.code, phones(200))

        assert answers.count("too_many_devices") == 200 - places
        assert sum(answer in ("online", "opening") for answer in answers) == places
        assert count(two_servers, GuestSession, card.id) == places
        assert count(two_servers, Sale, card.id) == 1


def test_one_phone_asking_two_servers_200_times_has_one_session(two_servers):
    card = two_servers.cast.make_voucher()
    answers = race(two_servers, card.code, [PHONE] * 200)

    assert answers.count("resumed") == 199
    assert count(two_servers, GuestSession, card.id) == 1
    assert count(two_servers, Sale, card.id) == 1
