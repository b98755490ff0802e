"""What lies on a router from before us is looked at, said in our words, and never touched."""

from __future__ import annotations

import pytest

from bawaba.core.actor import SYSTEM
from bawaba.routers.driver import Limits, Stranger
from bawaba.vouchers import adoption
from tests.cast import HOUR, MIB
from tests.pages.browser import Browser
from tests.pages.conftest import hana, omar  # noqa: F401
from tests.staff import app  # noqa: F401

USER = "/ip/hotspot/user"


def test_cards_that_are_alike_are_one_kind_the_most_first():
    day, week = Limits(uptime_s=24 * HOUR), Limits(uptime_s=7 * 24 * HOUR)
    found = [Stranger(f"d{n}", "1day", day, used=n < 3) for n in range(10)]
    found += [Stranger("w1", "1week", week, used=False), Stranger("w2", "1week", week, used=True, enabled=False)]
    first, second = adoption.kinds(found)
    assert (first.group, first.unused, first.used, first.disabled, first.count) == ("1day", 7, 3, 0, 10)
    assert (second.unused, second.used, second.disabled, second.examples) == (1, 0, 1, ("w1", "w2"))


@pytest.fixture
def roof(rt, cast, routeros):
    """A MikroTik that another program has filled."""
    routeros.add(f"{USER}/profile", name="3jam", **{"rate-limit": "512k/2M", "shared-users": "2"})
    for number in range(3):
        routeros.add(USER, name=f"vc-{number}", profile="3jam", **{"limit-uptime": "3h", "comment": "vc-812"})
    routeros.add(USER, name="old", profile="default", disabled="yes", **{"limit-bytes-total": str(500 * MIB)})
    settings = routeros.settings
    return cast.make_router(
        cast.site.id, name="Roof", driver="routeros", address="127.0.0.1", port=routeros.api_port,
        username=settings.username, options={"tls": False},
        password_sealed=rt.keyring.encrypt(settings.password.encode(), b"router password"),
    )  # fmt: skip


def test_a_mikrotiks_own_users_are_listed_by_kind_and_left_as_they_are(rt, roof, routeros):
    before = routeros.find(USER)
    _router, kinds = adoption.survey(rt, SYSTEM, roof.id)

    assert [(kind.group, kind.count, kind.unused, kind.disabled) for kind in kinds] == [
        ("3jam", 3, 3, 0),
        ("default", 1, 0, 1),
    ]
    assert kinds[0].limits == Limits(uptime_s=3 * HOUR, rate_up_kbps=512, rate_down_kbps=2000, devices=2)
    assert kinds[1].limits.bytes_total == 500 * MIB
    assert routeros.find(USER) == before


def test_the_owner_reads_it_in_the_words_of_a_plan_and_nobody_else_does(roof, hana: Browser, omar: Browser):  # noqa: F811
    page = hana.read(f"/routers/{roof.id}/strangers")
    assert "3jam" in page and "3 hours online" in page and "vc-0" in page and "500 MB" in page
    assert omar.get(f"/routers/{roof.id}/strangers").status_code == 403


def test_a_make_that_cannot_list_them_says_so(cast, hana: Browser):  # noqa: F811
    assert "cannot list what is not ours" in hana.read(f"/routers/{cast.router.id}/strangers")
