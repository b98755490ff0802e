"""Checking a card and changing it, on the pages."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from bawaba.sites.models import Site
from bawaba.vouchers.models import Voucher
from tests.cast import HOUR, Cast
from tests.pages.browser import Browser
from tests.staff import app, let_in  # noqa: F401


@pytest.fixture
def omar(app, rt, cast) -> Browser:  # noqa: F811
    let_in(rt, "omar", "operator")
    return Browser(app, "omar")


def test_a_card_is_found_extended_frozen_and_replaced(rt, cast: Cast, omar):
    plan = cast.make_plan()
    card, other = (cast.make_voucher(version=plan) for _ in range(2))
    omar.read("/check")
    place = omar.submit("/check", {"card": card.code})
    assert place == f"/cards/{card.id}" and card.code not in place
    for deed in ("extend", "add", "freeze", "replace"):
        assert card.serial in omar.read(f"{place}/{deed}")
    assert omar.post(f"{place}/extend", {"time": "2", "time_unit": "hours"}).status_code == 422
    assert omar.post(f"{place}/extend", {"time": "nan", "time_unit": "hours", "reason": "x"}).status_code == 422
    omar.submit(f"{place}/extend", {"time": "1.5", "time_unit": "hours", "reason": "rain"})
    assert cast.row(Voucher, card.id).extra_seconds == 1.5 * HOUR
    shown = omar.post(f"{place}/add", {"card": other.serial})
    assert shown.status_code == 200 and f'name="sure" value="{other.id}"' in shown.text
    omar.submit(f"{place}/add", {"card": other.serial, "sure": str(other.id)})
    omar.submit(f"{place}/freeze")
    assert "Frozen" in omar.read(place)
    omar.submit(f"{place}/unfreeze")
    new = omar.submit(f"{place}/replace", {"reason": "lost"})
    assert "new card" in omar.read(new)
    again = omar.submit(f"{place}/replace", {"reason": "lost"})
    assert again.split("?")[0] == new.split("?")[0]
    assert "on another one now" in omar.read(place) and "rain" in omar.read(place)


def test_a_clerk_sees_what_is_left_and_no_code(app, rt, cast: Cast):  # noqa: F811
    let_in(rt, "salma", "clerk")
    salma, card = Browser(app, "salma"), cast.make_voucher()
    place = salma.submit("/check", {"card": card.serial})
    page = salma.read(place)
    assert place == f"/check/{card.id}" and "3 h" in page
    assert card.code[:4] not in page and card.code[4:8] not in page
    assert salma.post("/check", {"card": "nonsense"}).status_code == 404
    assert salma.get(f"/cards/{card.id}").status_code == 403


def test_a_places_logo_is_taken_shown_and_removed(app, rt, cast: Cast):  # noqa: F811
    let_in(rt, "hana", "admin")
    hana, site = Browser(app, "hana"), cast.site.id
    made = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(made, "JPEG")
    assert hana.post(f"/site/{site}/logo", {"logo": (io.BytesIO(b"<svg/>"), "logo.svg")}).status_code == 422
    assert hana.post(f"/site/{site}/logo", {}).status_code == 422
    made.seek(0)
    hana.submit(f"/site/{site}/logo", {"logo": (made, "logo.jpg")})
    assert '<img src="/logo/' in hana.get("/site").text
    hana.submit(f"/site/{site}/logo", {"remove": "1"})
    assert '<img src="/logo/' not in hana.get("/site").text


def test_the_settings_of_the_guests_page_are_kept(app, rt, cast: Cast):  # noqa: F811
    let_in(rt, "hana", "admin")
    hana, place = Browser(app, "hana"), f"/site/{cast.site.id}"
    sent = hana.fields("/site") | {"colour": "#AA3311", "terms": "Be kind.", "trial_minutes": "15"}
    hana.submit(place, sent)
    kept = cast.row(Site, cast.site.id)
    assert (kept.colour, kept.terms, kept.trial_minutes, kept.trial_rate_kbps) == ("#aa3311", "Be kind.", 15, None)
    hana.submit(place, sent | {"colour": "", "terms": "", "trial_minutes": ""})
    kept = cast.row(Site, cast.site.id)
    assert (kept.colour, kept.terms, kept.trial_minutes) == ("", "", None)
    for field, wrong in (("colour", "red"), ("trial_minutes", "0"), ("trial_rate_kbps", "1")):
        assert hana.post(place, sent | {field: wrong}).status_code == 422
