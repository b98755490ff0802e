"""The way to openNDS's commands is cut at each change in turn: Debian's own, in namespaces, with a real phone."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bawaba.core.actor import SYSTEM
from bawaba.core.errors import Problem
from bawaba.routers import service as routers
from bawaba.sessions import care
from bawaba.vouchers.models import Voucher
from tests import needs
from tests.lab import INTERNET4, Lab
from tests.routers import test_fault_walk as walks
from tests.routers.houses import House, OpenNds
from tests.routers.opennds_box import OpenNdsBox

pytestmark = [
    pytest.mark.netns,
    pytest.mark.opennds,
    pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True),
]
LONGER_S = 10 * 3600
DATA = 256 * 1024  # bytes: a second, at the plan's rate


@pytest.fixture(scope="module")
def box() -> Iterator[OpenNdsBox]:
    """A gateway with one phone, for all tests of this file."""
    needs.require("netns", "opennds")
    with Lab(guests=1, management=True) as lab:
        made = OpenNdsBox(lab)
        made.start()
        yield made


@pytest.fixture
def make_far(box: OpenNdsBox, monkeypatch: pytest.MonkeyPatch) -> Callable[[], OpenNds]:
    """Makes it as it was, with every call going through a shell that can be cut."""
    monkeypatch.setenv("PATH", f"{OpenNds.way(box)}:{os.environ['PATH']}")
    return lambda: OpenNds(box)


def gateway(house: House) -> OpenNds:
    """The far end."""
    assert isinstance(house.far, OpenNds)
    return house.far


def a_guest(house: House) -> Voucher:
    """Online, with some data used that nobody has read."""
    card = house.make_card()
    house.redeem(card)
    house.clock.advance(walks.RESEND_S)  # where the gateway was slower than the guest had patience
    house.deliver()
    house.far.move(0, DATA)
    return card


def a_trusted_phone(house: House) -> None:
    list_as("trusted")(house, None)
    house.deliver()
    house.poll()


def list_as(standing: str) -> walks.Deed:
    def deed(house: House, _: Any) -> None:
        routers.set_device(house.rt, SYSTEM, house.site.id, house.far.device[0], standing, "")

    return deed


def extend(house: House, card: Voucher) -> None:
    care.extend(house.rt, SYSTEM, card.id, LONGER_S, 0, "a gift")


def restart(house: House, _: Any) -> None:
    time.sleep(1)  # its clock has whole seconds
    gateway(house).box.restart()
    house.poll()


def is_out_and_booked(house: House, card: Voucher) -> None:
    """Exactly what openNDS counted of all that was moved: nothing twice."""
    walks.is_out(house, card)
    assert walks.booked(house, card) == gateway(house).told()
    assert walks.booked(house, card)[1] > DATA / 2  # it misses the first ones


def is_in_for_longer(house: House, card: Voucher) -> None:
    walks.is_in(house, card)
    assert gateway(house).allowed_s() > LONGER_S
    assert walks.booked(house, card)[1] in (0, gateway(house).told()[1])


def passes(house: House, _: Any) -> None:
    assert house.far.is_online()


def passes_not(house: House, _: Any) -> None:
    assert gateway(house).phone.curl(f"http://{INTERNET4}/", timeout=1).body != "the internet"


def is_delivered(house: House) -> None:
    """The link is back: the outbox, and one poll."""
    house.clock.advance(walks.RESEND_S)
    house.deliver()
    house.poll()
    assert house.open_work() == []


WALKS: dict[str, tuple[walks.Before, walks.Deed, walks.Deed]] = {
    "admit": (walks.a_card, House.redeem, walks.is_in),
    "kick": (a_guest, walks.end, is_out_and_booked),
    "extend": (a_guest, extend, is_in_for_longer),
    "trust": (walks.nothing, list_as("trusted"), passes),
    "block": (a_trusted_phone, list_as("blocked"), passes_not),
    "restart": (a_trusted_phone, restart, passes),
}
CUTS = [  # before the first change for as long as it is not mended, and after each; a restart is no call of ours
    *(("admit", "before", 0, None), ("admit", "after", 0, 1)),
    ("kick", "after", 0, 1),
    *(("extend", "after", 0, 1), ("extend", "after", 1, 1)),
    *(("trust", "after", 0, 1), ("trust", "after", 1, 1)),
    *(("block", "after", 0, 1), ("block", "after", 1, 1), ("block", "after", 2, 1)),
    ("restart", "before", 0, 1),
]


@pytest.mark.parametrize(("walk", "how", "number", "times"), CUTS)
def test_cut_at_any_change_it_is_delivered_and_one_look_brings_it_in_step(rt, cast, make_far, walk, how, number, times):
    before, deed, is_right = WALKS[walk]
    house = House(rt, cast, make_far())
    subject = before(house)
    house.far.begin_counting()
    house.far.cut(how, number, times)
    with contextlib.suppress(Problem):
        deed(house, subject)
    house.deliver()
    assert house.far.calls() > number
    house.far.heal()
    is_delivered(house) if walk in ("trust", "block", "restart") else walks.comes_into_step(house, walk)
    is_right(house, subject)
