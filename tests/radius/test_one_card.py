"""One card stays one card, whichever door it is carried to: the portal's form, the API, and RADIUS, all at once."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from bawaba.sales.models import Sale
from bawaba.sessions.models import GuestSession
from tests import needs
from tests.cast import phones
from tests.product import product
from tests.radius.conftest import Gateway
from tests.radius.freeradius import answers, freeradius, request, send, together

pytestmark = pytest.mark.freeradius
TRIES = 200
ROUNDS = 3


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def doors(request, tmp_path_factory):
    """Two `bawaba serve` on one database, and FreeRADIUS in front of the second."""
    needs.require("freeradius")
    if request.param == "postgresql":
        needs.require("postgres")
    with product(request.param, processes=2) as running:
        gateway = Gateway(running.rt, running.cast)
        folder = tmp_path_factory.mktemp("raddb")
        with freeradius(running.rt, running.ports[1], folder) as radius:
            yield running, gateway, radius


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The form's answer itself, not the page that it leads to."""

    def redirect_request(self, *_, **__):
        return None


def by_api(running, code: str, mac: str) -> bool:
    """JSON to the first server."""
    body = json.dumps({"code": code, "router": str(running.cast.router.id), "client_mac": mac}).encode()
    return _accepted(running.ports[0], body, "application/json", 200)


def by_form(running, code: str, mac: str) -> bool:
    """The portal's form to the second."""
    fields = {"code": code, "router": running.cast.router.id, "client_mac": mac}
    return _accepted(
        running.ports[1], urllib.parse.urlencode(fields).encode(), "application/x-www-form-urlencoded", 303
    )


def _accepted(port: int, body: bytes, kind: str, good: int) -> bool:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/voucher/redeem", body, {"Content-Type": kind})
    try:
        with urllib.request.build_opener(NoRedirect()).open(asked, timeout=60) as answer:
            return bool(answer.status == good)
    except urllib.error.HTTPError as refused:
        return bool(refused.status == good)


def by_radius(radius, code: str, macs: list[str]) -> int:
    """Access-Requests side by side; how many were accepted."""
    packets = [request("127.0.0.1", User_Name=code, User_Password="", Calling_Station_Id=mac) for mac in macs]
    kinds = answers(send(radius, together(packets), tries=20, at_once=60))
    assert len(kinds) == len(macs)
    return kinds.count("Access-Accept")


def test_of_200_devices_at_three_doors_one_gets_in(doors):
    running, _, radius = doors
    for _ in range(ROUNDS):
        card = running.cast.make_voucher()
        macs = phones(TRIES)
        at_radius, at_web = macs[: TRIES // 3], macs[TRIES // 3 :]
        with ThreadPoolExecutor(60) as pool:
            radius_says = pool.submit(by_radius, radius, card.code, at_radius)
            web = [pool.submit((by_api, by_form)[n % 2], running, card.code, mac) for n, mac in enumerate(at_web)]
            accepted = radius_says.result() + sum(one.result() for one in web)

        assert accepted == 1
        for model in (GuestSession, Sale):
            rows = select(func.count()).select_from(model).where(model.voucher_id == card.id)
            assert running.rt.read(lambda db, rows=rows: db.scalar(rows)) == 1
