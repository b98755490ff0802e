"""An owner at a real browser: from signing in to a guest who comes online and is sent away, with nothing reloaded."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.cast import PHONE
from tests.pages.shop import fill, out_of_order, redeem
from tests.product import ADMIN, PASSWORD, Product, product

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(300)]
SIZES = {"phone": (390, 844), "desk": (1280, 800)}
LOOKS = [(language, size) for language in ("ar", "en") for size in SIZES]
SCREENS = Path(os.environ.get("BAWABA_TEST_SCREENSHOTS") or Path(__file__).parents[2] / ".cache" / "screens")
AXE = (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js").read_text()
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
README_IMAGES = Path(__file__).parents[2] / "docs" / "images"


class Window:
    """A browser's window that notes whatever it complains about."""

    def __init__(self, page: Any, port: int, language: str, size: str) -> None:
        self.page, self.language, self.size = page, language, size
        self.address = f"http://127.0.0.1:{port}"
        self.complaints: list[str] = []
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(f"{self.page.url}: {text}")

    def open(self, path: str) -> None:
        """Go to a page that must answer well and fit the window."""
        answer = self.page.goto(self.address + path)
        assert answer.status == 200, (path, answer.status)
        self.fits(path)

    def fits(self, path: str) -> None:
        """Nothing is wider than the window."""
        page = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert page[0] <= page[1], f"{path} is {page[0]} wide in a window of {page[1]}"

    def picture(self, path: str, state: str = "") -> None:
        """Keep what is seen, to be looked at."""
        SCREENS.mkdir(parents=True, exist_ok=True)
        name = "-".join(filter(None, [re.sub(r"\W+", "-", path).strip("-"), state, self.language, self.size]))
        self.page.screenshot(path=SCREENS / f"{name}.png", full_page=True)

    def barriers(self, path: str) -> list[str]:
        """What axe finds against WCAG 2.2 AA and good custom, a line for each kind."""
        self.page.evaluate(AXE)
        found = self.page.evaluate("axe.run(document, {runOnly: TAGS})".replace("TAGS", repr(WCAG)))
        return [
            f"{path}: {fault['id']}: {fault['help']} {[node['html'][:160] for node in fault['nodes'][:3]]}"
            for fault in found["violations"]
        ]

    def sign_in(self) -> None:
        """By the login page's form."""
        self.open("/login")
        self.page.fill("#username", ADMIN)
        self.page.fill("#password", PASSWORD)
        self.page.click("form button.primary")
        self.page.wait_for_url("**/dashboard")

    def speak(self) -> None:
        """Choose the language by the switch, where it is not spoken already."""
        if self.page.get_attribute("html", "lang") == self.language:
            return
        if self.size == "phone":
            self.page.click(".top [popovertarget=menu]")
        self.page.click(f"#menu button[name=language][value={self.language}]")
        self.page.wait_for_selector(f"html[lang={self.language}]")


@pytest.fixture
def shop() -> Iterator[Product]:
    """A running server with a site and a router in memory, and nothing else."""
    with product() as running:
        yield running


@pytest.fixture
def window(browser: Any, shop: Product, request: pytest.FixtureRequest) -> Iterator[Window]:
    """A window of the size and language that the test asks for; in the end it must not have complained."""
    language, size = request.param
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, locale=language)
    made = Window(context.new_page(), shop.port, language, size)
    yield made
    context.close()
    assert made.complaints == []


@pytest.mark.parametrize("window", [("ar", "phone"), ("en", "desk")], indirect=True)
def test_from_signing_in_to_a_guest_online_and_sent_away(window: Window, shop: Product):
    page = window.page
    window.sign_in()
    window.speak()

    window.open("/plans/new")
    page.fill("#name", "3 hours")
    page.fill("#price_minor", "200")
    page.click("[data-fill=duration_seconds][data-value='3']")
    page.click("main form button.primary")
    page.wait_for_url("**/plans*")
    assert "3 hours" in page.inner_text(".list")

    window.open("/cards/new")
    page.click("[data-fill=quantity][data-value='24']")
    page.fill("#quantity", "20")
    expect(page.locator("#odds")).to_contain_text("4,000")
    page.click("#make button.primary")
    page.wait_for_url("**/batches/*")
    page.wait_for_selector("form[action$='print']")  # it becomes ready under our eyes
    window.fits(page.url)

    window.open("/cards?batch_id=1")
    assert page.locator(".list tbody tr").count() == 20
    code = page.locator(".list tbody tr td bdi.mono").nth(1).inner_text()
    assert re.fullmatch(r"\d{4}-\d{4}-\d{4}", code)

    window.open("/dashboard")
    page.wait_for_selector("[data-live-mark].on")
    page.evaluate("window.neverReloaded = true")
    assert page.inner_text("#online-now") == "0"
    assert redeem(shop, code).json()["status"] == "online"
    expect(page.locator("#online-now")).to_have_text("1", timeout=10_000)
    assert "200" in page.inner_text("#sold-today") and page.inner_text("#cards-left") == "19"
    assert page.evaluate("window.neverReloaded") is True

    window.open("/sessions")
    page.click(".list .tools a")
    page.wait_for_selector("dialog[open]")
    assert PHONE in page.inner_text("dialog")
    page.click("dialog button.primary")
    page.wait_for_selector(".notice.good")
    assert page.locator(".list tbody tr").count() == 0
    assert redeem(shop, code).json()["status"] == "online"  # the card itself is as good as before


@pytest.mark.parametrize("quantity", [30, 1500, 6000])
@pytest.mark.parametrize("window", [("en", "desk")], indirect=True)
def test_a_batch_turns_to_ready_by_the_news_of_it_alone(window: Window, shop: Product, quantity: int):
    def without_asking_again(route: Any) -> None:
        answer = route.fetch()
        time.sleep(0.2)  # on a slow line: it tells what was
        route.fulfill(response=answer, body=answer.text().replace("live, every 5s", "live"))

    window.sign_in()
    plan_id = shop.cast.make_plan().plan_id
    window.open(f"/cards/new?plan_id={plan_id}")
    window.page.route(re.compile(r"/batches/\d+$"), without_asking_again)
    window.page.fill("#quantity", str(quantity))
    window.page.click("#make button.primary")

    window.page.wait_for_selector("form[action$='print']", timeout=20_000)
    assert window.page.locator(".list tbody tr").count() == 10
    window.page.unroute_all()


@pytest.mark.parametrize("window", [("ar", "desk")], indirect=True)
def test_a_batch_is_printed_from_its_page_and_the_journal_has_it(window: Window, shop: Product):
    window.sign_in()
    plan_id = shop.cast.make_plan().plan_id
    window.open(f"/cards/new?plan_id={plan_id}")
    window.page.fill("#quantity", "40")
    window.page.click("#make button.primary")
    window.page.click("form[action$='print'] .choice:nth-child(2)")
    window.page.fill("#from_serial", "B001-0041")
    with window.page.expect_popup() as opened:
        window.page.click("form[action$='print'] button.primary")
    expect(opened.value.locator("#from_serial-fault")).to_be_visible()  # in words, and what was typed is kept
    assert opened.value.input_value("#from_serial") == "B001-0041"
    opened.value.close()
    window.page.fill("#from_serial", "B001-0003")

    with window.page.expect_popup() as opened:
        window.page.click("form[action$='print'] button.primary")
    sheet = window.page.request.get(opened.value.url)

    assert sheet.status == 200 and sheet.body().startswith(b"%PDF-")
    window.open("/batches/1")
    expect(window.page.locator(".journal li").first).to_contain_text("38")


@pytest.mark.parametrize("window", [("ar", "phone")], indirect=True)
def test_a_card_is_found_while_one_types_and_the_filter_stays_in_the_address(window: Window, shop: Product):
    cards = [shop.cast.make_voucher() for _ in range(3)]
    window.sign_in()
    window.open("/cards?status=unused")
    window.page.evaluate("window.stayed = true")
    assert window.page.locator("#found tbody tr").count() >= 3

    window.page.locator("main [type=search]").press_sequentially(cards[1].serial, delay=20)
    window.page.locator("#found tbody tr").nth(1).wait_for(state="detached")
    assert cards[1].serial in window.page.locator("#found tbody").inner_text()
    assert window.page.evaluate("window.stayed") is True
    assert f"q={cards[1].serial}" in window.page.url and "status=unused" in window.page.url


@pytest.mark.parametrize("window", [("en", "desk")], indirect=True)
def test_a_page_that_lost_its_server_says_so_and_catches_up(window: Window, shop: Product):
    page = window.page
    window.sign_in()
    window.speak()
    card = shop.cast.make_voucher()
    page.wait_for_selector("[data-live-mark].on")

    page.route_web_socket(re.compile("/ws$"), lambda socket: socket.close())
    page.reload()
    page.wait_for_selector("#offline:not([hidden])")
    assert "What you see is from" in page.inner_text("#offline")

    redeem(shop, card.code)
    page.unroute_all()
    page.route_web_socket(re.compile("/ws$"), lambda socket: socket.connect_to_server() and None)
    page.wait_for_selector("#offline", state="hidden", timeout=30_000)
    expect(page.locator("#online-now")).to_have_text("1", timeout=10_000)


@pytest.fixture
def busy_shop(shop: Product) -> Product:
    """An evening in."""
    fill(shop)
    return shop


LOOKED_THROUGH = {("ar", "phone"), ("en", "desk")}  # by axe, which takes a second a page
EMPTY_PAGES = (
    """/dashboard /cards /cards/new /batches /sessions /sales /routers /jobs /devices /plans /people /notifications"""
)
PAGES = """
/styleguide /sales /sales?by=plan /sales?by=batch /batches/1/disable
/dashboard /cards/new /batches /batches/1 /cards /cards?q=NONE /cards/150 /cards/225 /cards/150/disable /sessions
/sessions?ended=true /sessions/1/end /routers /routers/1 /routers/2 /routers/new
/routers/new?driver=linux /routers/1/edit /jobs /jobs?router_id=2 /jobs?state=done /notifications /channels
/devices /plans /plans/new /plans/1 /plans?archived=true /people /people/new /people/2 /account /site /site/new
/counter /check /cards/150/extend /cards/150/add /cards/150/replace /backups /cache /diagnostics /diagnostics/requests
/reports /reports?by=plan /reports?by=hour /reports?by=stock /routers/1/history /api/docs
"""


@pytest.mark.parametrize("window", LOOKS, indirect=True, ids=[f"{language}-{size}" for language, size in LOOKS])
def test_every_page_fits_and_is_open_to_everybody_in_both_languages_and_sizes(busy_shop: Product, window: Window):
    faults = []
    out_of_order(busy_shop)
    window.open(f"/login?lang={window.language}")
    window.picture("/login")
    window.sign_in()
    window.speak()
    for path in PAGES.split():
        window.open(path)
        assert window.page.get_attribute("html", "lang") == window.language
        window.picture(path)
        if (window.language, window.size) in LOOKED_THROUGH:
            faults += window.barriers(path)
    assert not faults, "\n".join(faults)


@pytest.mark.soak
@pytest.mark.parametrize("window", [("ar", "phone"), ("en", "desk")], indirect=True)
def test_every_page_in_the_dark(busy_shop: Product, window: Window):
    out_of_order(busy_shop)
    window.page.emulate_media(color_scheme="dark")
    window.sign_in()
    window.speak()
    faults = []
    for path in PAGES.split():
        window.open(path)
        window.picture(path, "dark")
        faults += window.barriers(path)
    assert not faults, "\n".join(faults)


@pytest.mark.soak
@pytest.mark.parametrize("window", [("ar", "phone"), ("en", "desk")], indirect=True)
def test_every_page_before_there_is_anything_and_where_nothing_is(shop: Product, window: Window):
    window.sign_in()
    window.speak()
    faults = []
    for path in EMPTY_PAGES.split():
        window.open(path)
        window.picture(path, "empty")
        faults += window.barriers(path)
    for path in ("/cards/4711", "/routers/1/history?span=never", "/nowhere"):
        window.page.goto(window.address + path)
        window.fits(path)
        window.picture(path, "error")
        faults += window.barriers(path)
    window.complaints.clear()  # the browser's word for each of these answers
    window.open("/plans/new")
    window.page.fill("#name", "x")
    window.page.click("main form button.primary")
    window.page.wait_for_selector(".fault")
    window.picture("/plans/new", "refused")
    faults += window.barriers("/plans/new, refused")
    window.complaints.clear()
    assert not faults, "\n".join(faults)


@pytest.mark.skipif(
    not os.environ.get("BAWABA_TEST_README_IMAGES"), reason="pictures for the README are made on request"
)
@pytest.mark.parametrize("window", [("en", "desk")], indirect=True)
def test_the_readme_shows_the_product_as_it_is(busy_shop: Product, window: Window):
    README_IMAGES.mkdir(parents=True, exist_ok=True)
    window.page.set_viewport_size({"width": 1280, "height": 900})
    window.sign_in()
    window.speak()
    window.open("/dashboard")
    expect(window.page.locator("#dashboard")).not_to_contain_text("↓ 0 B", timeout=60_000)  # the routers were asked
    window.page.screenshot(path=README_IMAGES / "dashboard.png")
    window.page.click("#menu button[name=language][value=ar]")
    window.page.wait_for_selector("html[lang=ar]")
    window.open("/cards/new")
    window.page.screenshot(path=README_IMAGES / "make-cards.png")
    window.page.set_viewport_size({"width": 390, "height": 700})
    window.open(f"/?lang=ar&router={busy_shop.cast.router.id}")
    window.page.screenshot(path=README_IMAGES / "portal.png")
