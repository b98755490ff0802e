"""Pages: who may see them, what their forms keep, and what they lead to."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pyotp
import pytest
from flask import Flask

from bawaba.accounts.models import User
from bawaba.core.runtime import Runtime
from bawaba.plans.models import Plan
from bawaba.routers import told
from bawaba.routers.models import Router
from bawaba.sales.models import Sale
from bawaba.sessions.models import GuestSession
from bawaba.sites.models import Site
from bawaba.vouchers import making
from bawaba.vouchers.models import Batch, Voucher
from tests.cast import Cast, person
from tests.pages.browser import Browser, form_fields, words
from tests.staff import PASSWORD

EVERYBODYS = (
    "/styleguide",
    "/dashboard",
    "/sales",
    "/batches",
    "/cards",
    "/sessions",
    "/routers",
    "/jobs",
    "/plans",
    "/account",
)
OPERATORS = ("/cards/new",)
ADMINS = (
    "/devices",
    "/people",
    "/people/new",
    "/site",
    "/site/new",
    "/plans/new",
    "/routers/new",
    "/diagnostics",
    "/diagnostics/requests",
)


@pytest.mark.parametrize("path", [*EVERYBODYS, *OPERATORS, *ADMINS])
def test_a_page_opens_for_those_who_may_and_for_nobody_else(
    path: str, hana: Browser, omar: Browser, vera: Browser, cast: Cast, app: Flask
):
    cast.make_voucher()
    allowed = [hana, *([omar] if path not in ADMINS else []), *([vera] if path in EVERYBODYS else [])]

    for browser in (hana, omar, vera):
        answer = browser.get(path)
        assert answer.status_code == (200 if browser in allowed else 403)
        assert answer.mimetype == "text/html"
    stranger = app.test_client().get(path, headers={"Accept": "text/html"})
    assert stranger.status_code == 303 and stranger.headers["Location"].startswith("/login?next=")


def test_the_menu_shows_a_viewer_nothing_that_would_be_refused(vera: Browser):
    page = vera.get("/dashboard").text

    for path in set(re.findall(r'href="(/[a-z/]+)"', page[page.index('id="menu"') :])):
        assert vera.get(path).status_code == 200, path


@pytest.mark.parametrize("language", ["ar", "en"])
def test_every_list_opens_with_rows_in_it_in_both_languages(language: str, hana: Browser, cast: Cast, working: Runtime):
    card = cast.make_voucher()
    router_id = cast.router.id
    hana.submit("/devices", {"mac": "02-00-5E-AA-00-01", "standing": "trusted", "note": "till"})

    for path in (*EVERYBODYS, *OPERATORS, *ADMINS, f"/cards/{card.id}", f"/routers/{router_id}", "/plans/1"):
        page = hana.get(f"{path}?lang={language}").text
        assert f'<html lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}">' in page, path


def test_the_language_that_a_person_chooses_stays(hana: Browser):
    assert 'lang="en"' in hana.get("/dashboard").text

    assert (
        hana.submit("/account/language", {"language": "ar", "back": "/plans?archived=true"}) == "/plans?archived=true"
    )
    assert '<html lang="ar" dir="rtl">' in hana.get("/dashboard").text


def test_a_browser_shows_the_colours_that_it_was_told_to_and_else_the_devices(hana: Browser):
    assert "data-theme" not in hana.get("/dashboard").text

    assert hana.submit("/account/theme", {"theme": "dark", "back": "/cards"}) == "/cards"
    assert 'data-theme="dark"' in hana.get("/cards").text
    hana.submit("/account/theme", {"theme": "neon"})
    assert "data-theme" not in hana.get("/cards").text


def test_a_refusal_is_said_in_the_persons_language(vera: Browser):
    vera.submit("/account/language", {"language": "ar"})

    assert "لا تملك صلاحية لهذا" in words(vera.get("/people").text)


def test_who_signs_out_is_asked_to_sign_in_again(hana: Browser):
    assert hana.submit("/sign-out") == "/login"
    assert hana.get("/dashboard").headers["Location"] == "/login?next=/dashboard"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "/\x00"])
def test_no_form_leads_to_somebody_elses_site(elsewhere: str, hana: Browser):
    assert hana.submit("/account/language", {"language": "en", "back": elsewhere}) == "/account"


def test_a_form_without_its_token_changes_nothing(hana: Browser, cast: Cast):
    assert hana.post("/account/language", {"language": "ar"}, token="not ours").status_code == 403
    assert cast.row(User, 1).language == "en"


# Plans


def test_a_plan_is_typed_in_the_units_of_people(hana: Browser, cast: Cast, rt: Runtime):
    form = hana.fields("/plans/new") | {
        "name": "Evening",
        "price_minor": "١٬٥٠٠",
        "duration_seconds": "1,5",
        "duration_seconds_unit": "hours",
        "quota_bytes": "2",
        "rate_down_kbps": "4.5",
    }
    assert hana.submit("/plans/new", form) == "/plans?said=plan_added"

    assert "Evening 1 hour 30 minutes from first use · 2 GB · 4.5 Mbit/s" in hana.read("/plans").replace(
        "\u2068", ""
    ).replace("\u2069", "")
    assert "1,500 YER" in hana.read("/plans")


def test_a_form_says_what_is_wrong_at_the_field_and_keeps_what_was_typed(hana: Browser):
    answer = hana.post(
        "/plans/new", hana.fields("/plans/new") | {"name": "Odd", "price_minor": "two", "quota_bytes": "1"}
    )

    assert answer.status_code == 422
    assert form_fields(answer.text)["price_minor"] == "two" and form_fields(answer.text)["name"] == "Odd"
    assert 'id="price_minor-fault"' in answer.text and "Write a number." in words(answer.text)


def test_a_plan_without_any_limit_is_refused_at_its_field(hana: Browser):
    answer = hana.post("/plans/new", hana.fields("/plans/new") | {"name": "Endless", "price_minor": "1"})

    assert answer.status_code == 422
    assert "Give a duration or a quota" in words(answer.text) and 'id="duration_seconds-fault"' in answer.text


def test_saving_a_plan_unchanged_makes_no_new_version_and_a_change_makes_one(hana: Browser, cast: Cast):
    version = cast.make_plan(
        duration_seconds=5400,
        quota_bytes=1_610_612_736,
        rate_down_kbps=4500,
        valid_for_seconds=7 * 86_400,
        devices_ever=4,
    )
    path = f"/plans/{version.plan_id}"

    hana.submit(path, hana.fields(path))
    assert cast.row(Plan, version.plan_id).version == 1

    hana.submit(path, hana.fields(path) | {"price_minor": "250"})
    assert cast.row(Plan, version.plan_id).version == 2


def test_a_plan_is_put_away_after_a_question_and_brought_back(hana: Browser, cast: Cast):
    version = cast.make_plan()
    assert "Cards that were made go on working" in hana.read(f"/plans/{version.plan_id}/archive")

    hana.submit(f"/plans/{version.plan_id}/archive")
    assert "3 hours" not in hana.read("/plans") and "3 hours" in hana.read("/plans?archived=true")
    hana.submit(f"/plans/{version.plan_id}/restore")
    assert "3 hours" in hana.read("/plans")


# Cards


@pytest.fixture
def batch(rt: Runtime, cast: Cast) -> Batch:
    """Five cards."""
    ordered = making.order_batch(rt, person(), making.BatchOrder(cast.make_plan().plan_id, 5))
    rt.parts["batch_maker"].make(ordered.id)
    made: Batch = cast.row(Batch, ordered.id)
    return made


def test_one_card_leads_to_its_page_and_many_to_their_batch(hana: Browser, cast: Cast, working: Runtime):
    plan_id = cast.make_plan().plan_id

    one = hana.submit("/cards/new", {"plan_id": plan_id, "quantity": "1", "once": "a"})
    many = hana.submit("/cards/new", {"plan_id": plan_id, "quantity": "٢٠", "once": "b", "note": "shop"})

    assert re.fullmatch(r"/cards/\d+\?said=card_made", one) and re.fullmatch(r"/batches/\d+", many)
    assert "shop" in hana.read("/batches")


def test_one_card_takes_the_price_prefix_style_and_note_of_its_form(hana: Browser, cast: Cast, rt: Runtime):
    form = {"plan_id": cast.make_plan().plan_id, "quantity": "1", "once": "d", "code_style": "letters"}
    form |= {"prefix": "ab", "price_minor": "١٥٠", "note": "for Ali"}
    path = hana.submit("/cards/new", form)
    card = cast.row(Voucher, int(re.findall(r"\d+", path)[0]))

    assert (card.price_minor, card.note, card.batch_id) == (150, "for Ali", None)
    assert re.search(r"\bAB-[0-9A-Z]{5}-[0-9A-Z]{5}\b", hana.read(f"/cards/{card.id}"))
    assert "150 YER" in hana.read(f"/cards/{card.id}")


@pytest.mark.parametrize(("field", "wrong"), [("price_minor", "cheap"), ("price_minor", "-5"), ("prefix", "1A")])
@pytest.mark.parametrize("quantity", ["1", "20"])
def test_what_is_wrong_with_one_card_or_many_is_said_at_the_field(
    field: str, wrong: str, quantity: str, hana: Browser, cast: Cast, rt: Runtime
):
    form = {"plan_id": cast.make_plan().plan_id, "quantity": quantity, "once": "e", field: wrong}
    answer = hana.post("/cards/new", form)

    assert answer.status_code == 422 and f'id="{field}-fault"' in answer.text
    assert form_fields(answer.text)[field] == wrong
    assert rt.read(lambda db: db.query(Voucher).count() + db.query(Batch).count()) == 0


def test_the_same_form_sent_twice_orders_once(hana: Browser, cast: Cast, rt: Runtime):
    form = {"plan_id": cast.make_plan().plan_id, "quantity": "30", "once": "the same"}

    assert hana.submit("/cards/new", form).startswith("/batches/")
    assert hana.submit("/cards/new", form) == "/batches?said=ordered_already"
    assert rt.read(lambda db: db.query(Batch).count()) == 1


def test_too_many_cards_are_refused_at_the_field(hana: Browser, cast: Cast):
    answer = hana.post("/cards/new", {"plan_id": cast.make_plan().plan_id, "quantity": "100001", "once": "c"})

    assert answer.status_code == 422 and "At most 100000." in words(answer.text)
    assert form_fields(answer.text)["quantity"] == "100001"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("from_serial", "B001-9999", "No card of this batch has this serial number."),
        ("to_serial", "nothing", "No card of this batch has this serial number."),
        ("to_serial", "١", "This card comes before the first one."),
    ],
)
def test_a_wrong_range_to_print_is_said_on_the_page_at_its_field(field, value, said, hana: Browser, batch: Batch):
    asked = {"layout": "roll-80", "from_serial": "2", "to_serial": "3", "language": "ar"} | {field: value}
    answer = hana.get(f"/batches/{batch.id}/print?{urlencode(asked)}")

    assert answer.status_code == 422 and answer.mimetype == "text/html" and said in words(answer.text)
    assert f'id="{field}-fault"' in answer.text and '<html lang="en"' in answer.text
    assert {name: form_fields(answer.text)[name] for name in asked} == asked


def test_a_batch_is_switched_off_after_a_question_that_says_how_many_and_on_again(hana: Browser, batch: Batch):
    path = f"/batches/{batch.id}"
    assert "5 unused cards will be switched off." in hana.read(f"{path}/disable")

    assert hana.submit(f"{path}/disable") == f"{path}?said=batch_disabled"
    assert "Its unused cards have been switched off since" in hana.read(path)
    assert "Switched off" in hana.read("/batches")
    assert "5 cards will work again." in hana.read(f"{path}/enable")
    hana.submit(f"{path}/enable")
    assert "have been switched off" not in hana.read(path)


def test_a_cards_page_prints_it_and_shows_when(hana: Browser, vera: Browser, cast: Cast):
    card = cast.make_voucher()
    answer = hana.get(f"/cards/{card.id}/print?layout=roll-58&language=en")

    assert answer.status_code == 200 and answer.mimetype == "application/pdf"
    assert answer.headers["Content-Disposition"] == f'inline; filename="{card.serial}-roll-58.pdf"'
    assert "hana roll-58" in hana.read(f"/cards/{card.id}")
    assert vera.get(f"/cards/{card.id}/print").status_code == 403
    assert f"/cards/{card.id}/print" not in vera.get(f"/cards/{card.id}").text


def test_the_odds_follow_the_form(hana: Browser, cast: Cast):
    plan_id = cast.make_plan().plan_id

    shown = words(
        hana.get(f"/cards/odds?plan_id={plan_id}&quantity=5000&code_style=digits", **{"HX-Request": "true"}).text
    )

    assert "5,000" in shown and "1,000,000 YER" in shown and "Hard to guess" in shown
    for typed, worth in (("١٥٠", "3,000 YER"), ("0", "0 YER"), ("cheap", "4,000 YER")):
        assert worth in words(hana.get(f"/cards/odds?plan_id={plan_id}&quantity=20&price_minor={typed}").text)


def test_a_viewer_reads_no_code_and_gets_no_picture_of_one(vera: Browser, omar: Browser, cast: Cast):
    card = cast.make_voucher()
    grouped = f"{card.code[:4]}-{card.code[4:8]}-{card.code[8:]}"

    assert grouped in omar.read(f"/cards/{card.id}") and grouped in omar.read("/cards")
    for path in (f"/cards/{card.id}", "/cards"):
        page = vera.get(path).text
        assert grouped not in page and card.code not in page and "qr.svg" not in page


def test_cards_are_found_by_serial_by_code_and_by_how_they_stand(omar: Browser, cast: Cast):
    cards = [cast.make_voucher() for _ in range(3)]
    omar.submit(f"/cards/{cards[0].id}/disable")

    assert cards[1].serial in omar.read(f"/cards?q={cards[1].serial}")
    assert cards[2].serial in omar.read(f"/cards?q={cards[2].code}") and cards[1].serial not in omar.read(
        f"/cards?q={cards[2].code}"
    )
    assert cards[0].serial in omar.read("/cards?status=disabled") and cards[1].serial not in omar.read(
        "/cards?status=disabled"
    )
    assert "No card fits" in omar.read("/cards?q=NOSUCH")


def test_a_card_is_switched_off_after_a_question_and_on_again(omar: Browser, cast: Cast):
    card = cast.make_voucher()
    assert card.serial in omar.read(f"/cards/{card.id}/disable")

    omar.submit(f"/cards/{card.id}/disable")
    assert cast.row(Voucher, card.id).disabled_at is not None
    omar.submit(f"/cards/{card.id}/enable")
    assert cast.row(Voucher, card.id).disabled_at is None


def test_long_lists_are_turned_page_by_page(omar: Browser, cast: Cast):
    version = cast.make_plan()
    serials = [cast.make_voucher(version=version).serial for _ in range(5)]

    first = omar.get("/cards?limit=3").text
    rest = omar.get(re.sub("&amp;", "&", re.findall(r'rel="next" href="([^"]+)"', first)[0])).text

    assert [serial in first for serial in serials] == [False, False, True, True, True]
    assert [serial in rest for serial in serials] == [True, True, False, False, False]
    assert "First page" in words(rest)


# Sessions, routers, devices


def test_a_session_is_ended_after_a_question_that_names_it(omar: Browser, cast: Cast, working: Runtime):
    from bawaba.sessions.redeem import redeem

    card = cast.make_voucher()
    session_id = redeem(working, card.code, cast.guest()).session_id
    question = omar.read(f"/sessions/{session_id}/end?back=/dashboard")
    assert "02:00:5e:10:00:01" in question and card.serial in question

    assert omar.submit(f"/sessions/{session_id}/end", {"back": "/dashboard"}) == "/dashboard?said=session_ended"
    assert "Nobody is online" in omar.read("/sessions") and "Disconnected by staff" in omar.read("/sessions?ended=true")
    assert "Disconnected by staff" in omar.read(f"/cards/{card.id}")


def test_a_router_keeps_its_password_and_what_a_form_left_out(hana: Browser, cast: Cast, working: Runtime):
    path = hana.submit(
        "/routers/new",
        {
            "name": "Roof",
            "driver": "radius",
            "address": "10.0.0.1",
            "password": "s3cret-router-of-the-roof",
            "options.lan4": "10.77.0.0/24، 10.78.0.0/24",
            "options.interim_seconds": "٩٠",
            "options.nas": "standard",
            "options.message_authenticator": "true",
        },
    )
    router_id = int(re.findall(r"/routers/(\d+)", path)[0])
    sealed = cast.row(Router, router_id).password_sealed
    assert cast.row(Router, router_id).options == {"lan4": ["10.77.0.0/24", "10.78.0.0/24"], "interim_seconds": 90}

    form = hana.fields(f"/routers/{router_id}/edit")
    assert "s3cret-router" not in hana.get(f"/routers/{router_id}/edit").text
    hana.submit(f"/routers/{router_id}/edit", form | {"name": "Tower"})

    router = cast.row(Router, router_id)
    assert router.name == "Tower" and router.password_sealed == sealed
    assert router.options == {"lan4": ["10.77.0.0/24", "10.78.0.0/24"], "interim_seconds": 90}


def test_a_switch_that_is_on_by_itself_can_be_turned_off_and_on(hana: Browser, cast: Cast):
    router = cast.make_router(cast.site.id, driver="radius", address="10.0.0.1", password_sealed=b"x" * 40)
    path, name = f"/routers/{router.id}/edit", "options.message_authenticator"
    form = hana.fields(path)
    assert form.pop(name) == "true"

    hana.submit(path, form)
    assert cast.row(Router, router.id).options == {"message_authenticator": False} and name not in hana.fields(path)
    hana.submit(path, form | {name: "true"})
    assert cast.row(Router, router.id).options == {}


@pytest.mark.parametrize(
    ("make", "asked", "not_asked"),
    [
        ("linux", {"address", "options.lan4", "options.lan6"}, {"port", "username", "password", "options.traffic"}),
        ("fake", {"options.traffic", "options.lan4"}, {"address", "port", "username", "password"}),
        ("radius", {"address", "port", "password", "options.nas"}, {"username", "options.traffic"}),
    ],
)
def test_a_form_asks_for_what_its_make_needs(hana: Browser, make: str, asked: set[str], not_asked: set[str]):
    assert f'value="{make}"' in hana.get("/routers/new").text
    fields = set(re.findall(r'name="([^"]+)"', hana.get(f"/routers/new?driver={make}").text))

    assert asked <= fields and not not_asked & fields


def test_a_secret_option_is_never_shown_and_stays_when_its_field_is_left_empty(hana: Browser, cast: Cast, acme: None):
    facts = {"name": "Roof", "driver": "acme", "address": "10.0.0.1", "username": "b", "password": "pw-of-acme"}
    path = hana.submit("/routers/new", facts | {"options.faskey": "a-key-of-acme", "options.way": "api"})
    edit = path.split("?")[0] + "/edit"
    sealed = cast.row(Router, 2).secrets_sealed

    assert "a-key-of-acme" not in hana.get(edit).text and "Empty: stays as it is." in words(hana.get(edit).text)
    hana.submit(edit, hana.fields(edit) | {"options.poll_s": "7"})

    assert set(sealed) == {"faskey"} and cast.row(Router, 2).options == {"poll_s": 7}
    assert told.unseal(cast.rt.keyring, cast.row(Router, 2).secrets_sealed) == {"faskey": "a-key-of-acme"}


def test_a_make_that_is_not_there_leads_back_to_the_choice(hana: Browser):
    assert "Which make is it?" in words(hana.get("/routers/new?driver=toaster").text)
    answer = hana.post("/routers/new", {"name": "Roof", "driver": "toaster"})
    assert answer.status_code == 422 and "Which make is it?" in words(answer.text)


def test_a_router_is_tested_rested_and_removed_from_its_page(hana: Browser, cast: Cast, working: Runtime):
    path = f"/routers/{cast.make_router(cast.site.id, name='Spare').id}"

    assert "It answers." in words(hana.post(f"{path}/test").text)
    hana.submit(f"{path}/maintenance", {"resting": "true"})
    assert "Maintenance" in hana.read(path) and "Back into service" in hana.read(path)
    assert "Spare" in hana.read(f"{path}/remove")
    hana.submit(f"{path}/remove")
    assert "Spare" not in hana.read("/routers")


def test_removing_a_router_says_who_is_online_and_sends_them_off(hana: Browser, cast: Cast, working: Runtime):
    from bawaba.sessions import redeem as redeeming

    box = cast.make_router(cast.site.id, name="Spare")
    session = redeeming.redeem(working, cast.make_voucher().code, cast.guest(router=box))

    asked_again = hana.post(f"/routers/{box.id}/remove", {"online": "0"})
    assert asked_again.status_code == 409 and "1 guest is online through it" in words(asked_again.text)
    assert "زبون واحد متصل عبره" in words(hana.get(f"/routers/{box.id}/remove?lang=ar").text)
    hana.submit(f"/routers/{box.id}/remove", form_fields(hana.get(f"/routers/{box.id}/remove").text))
    assert cast.row(GuestSession, session.session_id).state == "ended"
    assert "Spare" in hana.read("/sessions?ended=true") and "Spare" not in hana.read("/routers")


def test_an_option_that_does_not_fit_is_refused_at_its_field(hana: Browser):
    sent = {"name": "Gate", "driver": "linux", "address": "/run/x.sock", "options.lan4": "café"}
    answer = hana.post("/routers/new", sent)

    assert answer.status_code == 422 and re.search(r'id="options.lan4-fault">.*Must be networks', answer.text, re.S)
    assert form_fields(answer.text)["options.lan4"] == "café"
    assert "اكتب شبكات" in words(hana.post("/routers/new?lang=ar", sent).text)


def test_the_error_list_lets_an_admin_retry_move_and_give_up(hana: Browser, omar: Browser, cast: Cast, rt: Runtime):
    from bawaba.routers.models import RouterJob

    spare = cast.make_router(cast.site.id, name="Spare")
    facts = {"kind": "admit", "state": "open", "attempts": 3, "next_try_at": cast.now, "created_at": cast.now}
    facts |= {"router_id": cast.router.id, "last_error": "unreachable: no answer"}
    jobs = [cast._add(RouterJob(**facts)) for _ in range(2)]
    assert "unreachable: no answer" in omar.read("/jobs") and "Try now" not in omar.read("/jobs")

    hana.submit(f"/jobs/{jobs[0].id}/retry")
    assert "Spare" in hana.read(f"/jobs/{jobs[0].id}/move")
    hana.submit(f"/jobs/{jobs[0].id}/move", {"router_id": spare.id})
    hana.submit(f"/jobs/{jobs[1].id}/give-up")

    assert cast.row(RouterJob, jobs[0].id).router_id == spare.id
    assert cast.row(RouterJob, jobs[1].id).state == "failed"
    assert "Given up" in hana.read("/jobs?state=given_up") and "Let a device online" in hana.read(
        "/jobs?state=given_up"
    )


def test_a_device_is_noted_and_forgotten(hana: Browser, working: Runtime):
    bad = hana.post("/devices", {"mac": "02:00", "standing": "blocked"})
    assert bad.status_code == 422 and "Must be a hardware address" in words(bad.text)

    hana.submit("/devices", {"mac": "02-00-5E-AA-00-02", "standing": "blocked", "note": "neighbour"})
    assert "02:00:5e:aa:00:02 neighbour" in hana.read("/devices")
    hana.submit("/devices/02:00:5e:aa:00:02/forget")
    assert "No device is known" in hana.read("/devices")


# People, site, own account


def test_a_person_is_let_in_changed_and_let_go(hana: Browser, app: Flask, cast: Cast):
    hana.submit("/people/new", hana.fields("/people/new") | {"username": "Samir", "password": "green-door-81"})
    user_id = int(re.findall(r'href="/people/(\d+)"[^>]*><bdi>samir', hana.get("/people").text)[0])
    Browser(app, "samir", "green-door-81")

    hana.submit(f"/people/{user_id}", hana.fields(f"/people/{user_id}") | {"role": "viewer", "disabled": "true"})
    assert "samir Viewer" in hana.read("/people") and "Locked out" in hana.read("/people")
    hana.submit(f"/people/{user_id}/remove")
    assert "samir" not in hana.read("/people")


def test_what_the_service_refuses_stands_above_the_form(hana: Browser):
    answer = hana.post(
        "/people/new", {"username": "hana", "password": "green-door-81", "role": "viewer", "language": "ar"}
    )

    assert answer.status_code == 409 and "somebody with this user name already" in words(answer.text)
    assert form_fields(answer.text)["username"] == "hana"


def test_a_site_keeps_what_is_not_changed_and_may_lose_its_wifi_name(hana: Browser, cast: Cast):
    form = hana.fields(f"/site?site_id={cast.site.id}")
    hana.submit(f"/site/{cast.site.id}", form | {"wifi_name": "Café WiFi", "support": "+967 1 234"})
    assert cast.row(Site, cast.site.id).wifi_name == "Café WiFi"

    hana.submit(f"/site/{cast.site.id}", hana.fields("/site") | {"wifi_name": ""})
    site = cast.row(Site, cast.site.id)
    assert site.wifi_name == "" and site.support == "+967 1 234" and site.time_zone == "Asia/Aden"


def test_money_that_is_in_use_cannot_be_changed(hana: Browser, cast: Cast):
    cast.make_plan()

    answer = hana.post(f"/site/{cast.site.id}", hana.fields("/site") | {"currency": "USD"})

    assert answer.status_code == 409 and form_fields(answer.text)["currency"] == "USD"


def test_a_person_changes_their_password(hana: Browser, app: Flask):
    wrong = hana.post("/account/password", {"old_password": "not-it-at-all", "new_password": "river-stone-44"})
    assert wrong.status_code == 401

    assert (
        hana.submit("/account/password", {"old_password": PASSWORD, "new_password": "river-stone-44"})
        == "/account?said=password_changed"
    )
    Browser(app, "hana", "river-stone-44")


def test_a_second_factor_is_switched_on_with_a_code_and_off_with_the_password(hana: Browser, rt: Runtime, cast: Cast):
    page = hana.post("/account/totp", {"password": PASSWORD}).text
    secret = re.findall(r'class="secret">([A-Z2-7]+)<', page)[0]
    assert 'src="data:image/svg+xml;base64,' in page

    assert hana.post("/account/totp/confirm", {"totp": "000000"}).status_code == 401
    hana.submit("/account/totp/confirm", {"totp": pyotp.TOTP(secret).at(rt.clock.now())})
    assert cast.row(User, 1).totp_sealed is not None and "With a second factor" in hana.read("/people")
    hana.submit("/account/totp/off", {"password": PASSWORD})
    assert cast.row(User, 1).totp_sealed is None


def test_a_personal_key_is_shown_once_and_can_be_ended(hana: Browser, app: Flask):
    page = hana.post("/account/keys", {"name": "Prometheus"}).text
    secret = re.findall(r'class="secret">(bwk_[^<]+)<', page)[0]
    me = {"Authorization": f"Bearer {secret}"}
    assert app.test_client().get("/api/me", headers=me).status_code == 200
    assert secret not in hana.get("/account").text and "Prometheus" in hana.read("/account")

    key_id = re.findall(r"/account/keys/(\d+)/revoke", hana.get("/account").text)[0]
    hana.submit(f"/account/keys/{key_id}/revoke")
    assert app.test_client().get("/api/me", headers=me).status_code == 401


# Sales


def test_sales_are_shown_for_the_days_and_by_what_the_address_says(vera: Browser, cast: Cast):
    card = cast.make_voucher()
    version = cast.row(Voucher, card.id).plan_version_id
    facts = {"voucher_id": card.id, "site_id": cast.site.id, "plan_version_id": version, "sold_at": cast.now}
    cast._add(Sale(**facts, price_minor=12_500, currency="YER"))

    assert "12,500 YER 1 card" in vera.read("/sales") and "10 Jan 2026" in vera.read("/sales")
    assert "3 hours 1 12,500 YER" in vera.read("/sales?by=plan")
    assert "Cards made alone 1 12,500 YER" in vera.read("/sales?by=batch")
    assert "No sale in these days" in vera.read("/sales?from=2025-01-01&to=2025-01-05")
    answer = vera.get("/sales?from=2026-01-09&to=2026-01-01")
    assert answer.status_code == 422 and "Comes before the first day." in words(answer.text)
    assert form_fields(answer.text)["from"] == "2026-01-09"
