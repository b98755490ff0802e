"""Beside signing in: pausing, adding a card, looking what is left, a free trial, and the place's own look."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import func, select

from bawaba.core.errors import Invalid, Problem
from bawaba.portal import colours
from bawaba.portal.places import TTL_S
from bawaba.routers.drivers import fake
from bawaba.routers.models import Router
from bawaba.sales.models import Sale
from bawaba.sessions import guest_cards, service, trial
from bawaba.sessions import redeem as redeeming
from bawaba.sessions.models import Trial
from bawaba.sites import logos
from bawaba.sites.models import Site
from bawaba.vouchers import codes
from bawaba.vouchers.errors import VoucherUsed
from bawaba.vouchers.models import Voucher
from bawaba.web import language
from tests.cast import HOUR, MIB, PHONE, TABLET, Cast, person, phones
from tests.portal.phone import Phone

DAY = 24 * HOUR


def furnish(rt: Any, **values: Any) -> None:
    """Set the site up, and let the time pass after which guests see it."""
    rt.transact(lambda db: db.query(Site).update(values))
    rt.clock.advance(TTL_S)


def count(rt: Any, model: type) -> int:
    return rt.read(lambda db: db.scalar(select(func.count()).select_from(model)) or 0)


# --- pausing -------------------------------------------------------------------------------------------------------


def test_a_guest_pauses_and_goes_on_by_one_tap(phone, cast, clock):
    card = cast.make_voucher(kind="used_time", duration_seconds=2 * HOUR)
    phone.open()
    phone.type(card.code)
    clock.advance(HOUR)
    page = phone.send("/logout")
    assert "Paused" in page.text and "1 h" in page.text and fake.box(cast.router.id).sessions == {}
    clock.advance(9 * HOUR)
    assert "Time left 1 h" in phone.send("/resume").text


@pytest.mark.parametrize("seed", range(4))
def test_whoever_pauses_in_a_loop_wins_no_time_and_loses_less_than_a_second_a_pause(rt, cast, clock, seed):
    chance = Random(seed)
    card = cast.make_voucher(kind="used_time", duration_seconds=HOUR)
    online, pauses = 0.0, 0
    redeeming.redeem(rt, card.code, cast.guest())
    for _ in range(60):
        for_a_while = chance.choice([0.2, 0.9, 1.0, 1.9, 30.5, chance.random() * 20])
        clock.advance(for_a_while)
        online += for_a_while
        service.log_out(rt, cast.guest())
        pauses += 1
        clock.advance(chance.random() * 1000)
        try:
            got = redeeming.resume(rt, cast.guest())
        except VoucherUsed:
            break
        assert got.status == "online"
    charged = cast.row(Voucher, card.id).used_seconds
    assert online <= charged <= online + pauses


# --- another card --------------------------------------------------------------------------------------------------


def test_a_second_card_comes_on_top_of_the_one_in_use(rt, phone, cast, clock):
    plan = cast.make_plan(duration_seconds=HOUR, quota_bytes=100 * MIB)
    first, second = (cast.make_voucher(version=plan) for _ in range(2))
    phone.open()
    phone.type(first.code)
    clock.advance(600)
    phone.follow("Use another card")
    page = phone.send_to("/add", code=second.code)
    assert "Time left 1 h 50 min" in page.text and "Data left 200 MB" in page.text
    assert count(rt, Sale) == 2
    phone.open("/add")
    assert "has been added to another one" in phone.send_to("/add", code=second.code).text


def test_a_card_of_another_sort_is_not_added_and_can_be_used_instead(phone, cast):
    first, slower = cast.make_voucher(), cast.make_voucher(rate_down_kbps=256)
    phone.open()
    phone.type(first.code)
    phone.open("/add")
    assert "not of the same sort" in phone.send_to("/add", code=slower.code).text
    assert "You are online" in phone.type(slower.code).text


def test_of_a_guest_adding_a_card_and_another_using_it_one_is_first(rt, cast):
    plan = cast.make_plan()
    for _ in range(5):
        mine, other = (cast.make_voucher(version=plan) for _ in range(2))
        redeeming.redeem(rt, mine.code, cast.guest(PHONE))
        with ThreadPoolExecutor(2) as pool:
            added = pool.submit(told, guest_adds, rt, cast, other.code)
            used = pool.submit(told, redeeming.redeem, rt, other.code, cast.guest(TABLET))
        assert (added.result(), used.result()) in [("done", "voucher_used"), ("card_in_use", "done")]


def guest_adds(rt: Any, cast: Cast, code: str) -> None:
    guest_cards.add_to_mine(rt, code, cast.guest(PHONE))


def told(deed: Any, *given: Any) -> str:
    try:
        deed(*given)
    except Problem as refusal:
        return refusal.code
    return "done"


# --- what is left --------------------------------------------------------------------------------------------------


def test_a_guest_sees_what_is_left_before_signing_in_and_nothing_begins(rt, phone, cast):
    card = cast.make_voucher(duration_seconds=3 * HOUR, quota_bytes=100 * MIB)
    phone.open()
    page = phone.send_to("/left", code=card.code)
    assert "What is left on it" in page.text and "3 h" in page.text and "100 MB" in page.text
    assert cast.row(Voucher, card.id).status == "unused" and count(rt, Sale) == 0
    assert "You are online" in phone.send().text


def test_looking_is_capped_like_redeeming(rt, app, phone, cast):
    phone.open()
    wrong = [code for _ in range(6) for (code,) in [codes.new_codes(rt.rng, "digits", 1)]]
    pages = []
    for code in wrong:
        pages.append(phone.send_to("/left", code=code).status)
        phone.open()
    assert pages == [404] * 5 + [429]
    assert "Too many wrong codes" in phone.send_to("/left", code=cast.make_voucher().code).text


# --- a free trial --------------------------------------------------------------------------------------------------


def test_a_trial_is_one_a_device_and_day_and_no_sale(rt, app, phone, cast, clock):
    assert "Try it free" not in phone.open().text
    assert told(trial.begin_trial, rt, cast.guest(TABLET)) == "no_trial"
    furnish(rt, trial_minutes=15, trial_rate_kbps=512)
    assert "Try it free for 15 minutes" in phone.open().text
    page = phone.send("/trial")
    assert "You are online" in page.text and "Time left 15 min" in page.text
    (there,) = fake.box(cast.router.id).sessions.values()
    assert there.grant.limits.rate_down_kbps == 512
    assert trial.begin_trial(rt, cast.guest(PHONE)).resumed
    clock.advance(16 * 60)
    assert told(trial.begin_trial, rt, cast.guest(PHONE)) == "trial_used"
    assert "Try it free" not in phone.open().text
    assert (count(rt, Sale), count(rt, Trial)) == (0, 1)
    clock.advance(DAY)
    assert trial.begin_trial(rt, cast.guest(PHONE)).status == "online"


def test_of_many_taps_one_makes_a_trial_and_a_router_that_is_down_costs_none(rt, cast):
    furnish(rt, trial_minutes=15)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: told(trial.begin_trial, rt, cast.guest(PHONE)), range(16)))
    assert set(answers) == {"done"} and count(rt, Trial) == 1
    rt.transact(lambda db: db.query(Router).update({"status": "down"}))
    assert told(trial.begin_trial, rt, cast.guest(TABLET)) == "router_unreachable"
    assert count(rt, Trial) == 1
    service.log_out(rt, cast.guest(PHONE))
    assert told(trial.begin_trial, rt, cast.guest(PHONE)) == "router_unreachable"  # not that it is used up
    rt.transact(lambda db: db.query(Router).update({"status": "up"}))
    assert told(trial.begin_trial, rt, cast.guest(phones(1)[0])) == "done"


# --- the place's own look ------------------------------------------------------------------------------------------


def picture(size: tuple[int, int], kind: str = "PNG") -> bytes:
    """A noisy picture: the worst there is to make small."""
    made = Image.frombytes("RGB", size, Random(5).randbytes(size[0] * size[1] * 3))
    out = io.BytesIO()
    made.save(out, kind)
    return out.getvalue()


def test_a_page_with_logo_colour_and_terms_takes_two_requests_and_14_kb(rt, app, cast, client):
    logos.set_logo(rt, person(), cast.site.id, picture((350, 350)))
    furnish(rt, colour="#ffee00", terms="Be kind.\nNo torrents.")
    page = client.get("/?lang=ar", base_url="http://login.wifi")
    (source,) = [part.split('"')[0] for part in page.text.split('<img src="')[1:]]
    image = client.get(source, base_url="http://login.wifi")
    assert image.data[:4] == b"\x89PNG" and "immutable" in image.headers["Cache-Control"]
    assert len(page.data) + len(image.data) <= 14 * 1024 and "<script" not in page.text
    assert "'self'" in page.headers["Content-Security-Policy"].split("img-src")[1].split(";")[0]
    assert "No torrents." in client.get("/terms?lang=en", base_url="http://login.wifi").text
    assert client.get("/logo/0000.png", base_url="http://login.wifi").status_code == 404


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_logo_is_drawn_anew_and_small(kind):
    made = logos.small_logo(picture((300, 100), kind))
    assert len(made) <= logos.PNG_MOST and Image.open(io.BytesIO(made)).format == "PNG"


@pytest.mark.parametrize(
    "sent", [b"", b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\nrubbish", b"x" * (logos.UPLOAD_MOST + 1)]
)
def test_what_is_no_small_picture_is_refused(sent):
    with pytest.raises(Invalid) as refused:
        logos.small_logo(sent)
    assert list(refused.value.details["fields"]) == ["logo"]


@pytest.mark.parametrize("colour", ["#ffff00", "#000000", "#ffffff", "#7f7f7f", "#0b6b5d", "#ff0000"])
def test_any_colour_can_be_read_on_light_and_dark(colour):
    sheet = colours.accent(colour)
    light, dark = (part.split("--accent:")[1][:7] for part in sheet.split("@media"))
    assert colours.contrast(light, colours.LIGHT) >= 4.5 and colours.contrast(dark, colours.DARK) >= 4.5
    for part, accent in zip(sheet.split("@media"), (light, dark), strict=True):
        assert colours.contrast(part.split("--on:")[1][:7], accent) >= 4.5


# --- languages -----------------------------------------------------------------------------------------------------

INDONESIAN = """
msgid ""
msgstr "Content-Type: text/plain; charset=utf-8\\nLanguage: id\\nPlural-Forms: nplurals=1; plural=0;\\n"

msgid "Go online"
msgstr "Sambungkan"

msgid "Type the code that is on your card."
msgstr "Ketik kode yang ada di kartu Anda."

msgid "Card code"
msgstr "Kode kartu"

msgid "Try it free for %(count)s minute"
msgid_plural "Try it free for %(count)s minutes"
msgstr[0] "Coba gratis selama %(count)s menit"
"""


@pytest.fixture
def indonesian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One more catalogue: a folder with one file."""
    known = (language.languages, language.catalogue, language.locale)
    shutil.copytree(language.CATALOGUES, tmp_path / "translations")
    (tmp_path / "translations" / "id").mkdir()
    (tmp_path / "translations" / "id" / "portal.po").write_text(INDONESIAN.strip(), "utf-8")
    monkeypatch.setattr(language, "CATALOGUES", tmp_path / "translations")
    for cached in known:
        cached.cache_clear()
    yield
    monkeypatch.undo()
    for cached in known:
        cached.cache_clear()


def test_a_language_is_one_catalogue_file(indonesian, rt, app, cast):
    furnish(rt, trial_minutes=15)
    phone = Phone(app, PHONE, language="id")
    page = phone.open()
    assert page.attributes == {"lang": "id", "dir": "ltr"}
    assert "Ketik kode yang ada di kartu Anda." in page.text and "Coba gratis selama 15 menit" in page.text
    english = phone.follow("English")
    assert "Bahasa Indonesia" in english.text or "Indonesia" in english.text
