"""Guests of a router that takes connections and never answers hold up nobody but themselves."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from typing import Any

from bawaba.routers.service import PASSWORD as PASSWORD_SECRET
from bawaba.vouchers.models import Voucher
from tests.cast import phones
from tests.cut import black_hole
from tests.product import ADMIN, PASSWORD, Product, product


def ask(at: Product, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = json.dumps(body).encode() if body is not None else None
    asked = urllib.request.Request(f"http://127.0.0.1:{at.port}{path}", data, headers)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def redeem(at: Product, code: str, mac: str, router_id: int) -> tuple[int, Any]:
    return ask(at, "/api/voucher/redeem", {"code": code, "client_mac": mac, "router": str(router_id)})


def test_four_guests_at_a_black_hole_hold_up_neither_the_staff_nor_other_guests():
    """A MikroTik that takes connections and never says a word: its guests are told, and their cards are untouched."""
    with black_hole() as port, product() as at:
        sealed = at.rt.keyring.encrypt(b"secret", PASSWORD_SECRET)
        way = {"address": "127.0.0.1", "port": port, "username": "bawaba", "password_sealed": sealed}
        dead = at.cast.make_router(at.cast.site.id, driver="routeros", options={"tls": False}, **way)
        token = ask(at, "/api/auth/login", {"username": ADMIN, "password": PASSWORD})[1]["access_token"]
        theirs, others = ([at.cast.make_voucher() for _ in range(count)] for count in (4, 8))
        order: list[str] = []
        answers: list[tuple[int, Any]] = []

        def at_the_hole(number: int) -> None:
            answers.append(redeem(at, theirs[number].code, phones(4)[number], dead.id))
            order.append("hole")

        waiting = [threading.Thread(target=at_the_hole, args=[number]) for number in range(4)]
        for thread in waiting:
            thread.start()
        for card, mac in zip(others, phones(12)[4:], strict=True):
            assert ask(at, "/api/routers", token=token)[0] == 200
            status, answer = redeem(at, card.code, mac, at.cast.router.id)
            assert (status, answer["status"]) == (200, "online")
            order.append("other")
        for thread in waiting:
            thread.join()

        assert [(status, answer["error"]) for status, answer in answers] == [(503, "router_unreachable")] * 4
        assert {at.cast.row(Voucher, card.id).status for card in theirs} == {"unused"}
        assert order.index("other") < len(order) - 1 - order[::-1].index("hole")
