"""A card that is switched off over the API, and on again."""

from __future__ import annotations

from bawaba.routers.drivers import fake
from bawaba.sessions.redeem import redeem
from tests.cast import PHONE
from tests.staff import app, hana, omar, vera  # noqa: F401


def test_switching_a_card_off_ends_its_session_and_on_again_brings_its_state_back(rt, cast, hana, omar):  # noqa: F811
    card = cast.make_voucher()
    redeem(rt, card.code, cast.guest(PHONE))
    off = hana.ask("POST", f"/api/vouchers/{card.id}/disable")
    assert (off.status_code, off.json["status"]) == (200, "disabled")
    assert fake.box(cast.router.id).sessions == {}
    listed = hana.ask("GET", "/api/vouchers?status=disabled").json["items"]
    assert [row["id"] for row in listed] == [card.id]
    on = hana.ask("POST", f"/api/vouchers/{card.id}/enable")
    assert (on.status_code, on.json["status"]) == (200, "used")


def test_a_viewer_switches_nothing_off_and_nobody_what_is_not_there(cast, hana, vera):  # noqa: F811
    card = cast.make_voucher()
    assert vera.ask("POST", f"/api/vouchers/{card.id}/disable").status_code == 403
    assert hana.ask("POST", "/api/vouchers/999999/disable").status_code == 404
