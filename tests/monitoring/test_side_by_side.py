"""Routers are looked at side by side: one that is a black hole delays nobody, and what could not be read is said."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bawaba.monitoring import samples
from bawaba.monitoring.polling import poll
from bawaba.monitoring.samples import Sample
from bawaba.routers.driver import Health
from bawaba.routers.drivers import fake
from bawaba.routers.models import Router
from bawaba.sessions import redeem as redeeming
from tests.cast import phones
from tests.pages.browser import Browser
from tests.pages.conftest import hana  # noqa: F401
from tests.staff import app  # noqa: F401


@pytest.fixture
def black_holes() -> Iterator[list[int]]:
    """Ports that take a connection and never say a word."""
    with ExitStack() as stack:
        holes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        yield [hole.getsockname()[1] for hole in holes]


def test_of_ten_routers_three_black_holes_delay_nobody(rt, cast, black_holes):
    site_id = cast.site.id
    good = [cast.make_router(site_id, name=f"Good {number}") for number in range(7)]
    away = {"driver": "routeros", "address": "127.0.0.1", "username": "bawaba"}
    held = [cast.make_router(site_id, name=f"Hole {port}", port=port, **away) for port in black_holes]
    routers = rt.parts["routers"]

    began = time.monotonic()
    futures = {router.id: routers.loop.submit(poll(rt, router.id)) for router in [*held, *good]}
    for router in good:
        futures[router.id].result(3)
    for future in futures.values():
        future.result(10)
    assert time.monotonic() - began < 10

    assert {cast.row(Router, router.id).status for router in good} == {"up"}
    assert {cast.row(Router, router.id).status for router in held} == {"degraded"}


def test_guests_behind_a_router_that_cannot_be_read_are_shown_as_they_were_and_that_is_said(
    rt,
    cast,
    clock,
    hana: Browser,  # noqa: F811
):
    for phone in phones(3):
        redeeming.redeem(rt, cast.make_voucher().code, cast.guest(phone))
    loop = rt.parts["routers"].loop
    loop.submit(poll(rt, cast.router.id)).result(10)
    fake.box(cast.router.id).break_with("unreachable")
    for _ in range(2):
        clock.advance(30)
        loop.submit(poll(rt, cast.router.id)).result(10)

    for path in ("/sessions", "/dashboard"):
        page = hana.read(path)
        assert "could not be read" in page and "3 sessions" in page, path


@pytest.mark.parametrize("language", ["ar", "en"])
def test_a_routers_past_is_drawn_for_those_who_may_see_it(cast, rt, hana: Browser, language):  # noqa: F811
    path = f"/routers/{cast.router.id}/history?lang={language}"
    assert 'class="area' not in hana.get(path).text
    rt.transact(samples.write, [Sample(cast.router.id, cast.now, Health(cpu_percent=5.0), 3, 10, 10**6)])
    for span in ("day", "week", "month", "year"):
        page = hana.get(f"{path}&span={span}")
        assert page.status_code == 200 and page.text.count('class="area') == 4
    assert hana.get(f"{path}&span=century").status_code == 422
