"""The portal in a real browser without scripts: large and small phones, a captive window, Arabic and English."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from bawaba.sites.models import Site
from bawaba.vouchers import codes
from tests.cast import HOUR, MIB, phones
from tests.product import Product, product

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(300)]
SIZES = {"phone": (390, 844), "small": (320, 568), "captive": (900, 572)}
LOOKS = [(language, size, "light") for language in ("ar", "en") for size in SIZES] + [("ar", "phone", "dark")]
README_IMAGE = Path(__file__).parents[2] / "docs" / "images" / "portal.png"
OVERFLOWING = """() => [...document.querySelectorAll('main *, header *, footer *')]
    .filter(e => getComputedStyle(e).display != 'inline' && e.scrollWidth > e.clientWidth + 1)
    .map(e => e.outerHTML.slice(0, 120))"""
SMALL_TARGETS = """() => [...document.querySelectorAll('button, a, #code')]
    .filter(e => e.getBoundingClientRect().height < 44).map(e => e.outerHTML.slice(0, 120))"""
macs = iter(phones(200))


class Window:
    """A phone's window, which notes whatever it complains about and keeps pictures."""

    def __init__(self, page: Any, shop: Product, folder: Path, look: tuple[str, str, str]) -> None:
        self.page, self.shop, self.folder, self.look = page, shop, folder, look
        self.address = f"http://127.0.0.1:{shop.port}"
        self.told: dict[str, str] = {}
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("request", lambda request: self.requests.append(request.url))

    def arrive(self, path: str = "/", *, mac: str = "", router: int | None = None, **query: str) -> None:
        """Come by a gateway's redirect, with a phone that was never here unless its MAC is given."""
        self.told = {"router": str(router or self.shop.cast.router.id), "client_mac": mac or next(macs)}
        self.open(path, **query)

    def open(self, path: str, **query: str) -> None:
        """Open a page again."""
        self.page.goto(f"{self.address}{path}?{urlencode({**self.told, **query})}")

    def type(self, code: str) -> None:
        """Type a code and send it with the keyboard."""
        self.page.fill("input#code", code)
        self.page.press("input#code", "Enter")

    def picture(self, name: str) -> None:
        """Look at the page, and keep what was seen."""
        self.page.screenshot(path=self.folder / f"{name}-{'-'.join(self.look)}.png", full_page=True)
        width, room = self.page.evaluate(
            "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert width <= room, f"{name} is {width} wide in a window of {room}"
        assert self.page.evaluate(OVERFLOWING) == [], name
        assert self.page.evaluate(SMALL_TARGETS) == [], name
        assert self.page.get_attribute("html", "lang") == self.look[0]


@pytest.fixture(scope="module")
def shop() -> Iterator[Product]:
    """A running café whose site is fully furnished."""
    with product() as running:
        values: Any = {"name": "مقهى البوابة", "wifi_name": "Bawaba Café 5G", "support": "+967 777 000 111"}
        running.rt.transact(lambda db: db.query(Site).update(values))
        running.silent = running.cast.make_router(running.cast.site.id, options={"fail": "unreachable"})  # type: ignore[attr-defined]
        yield running


@pytest.fixture
def window(browser: Any, shop: Product, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Window]:
    """A window of the look that the test asks for, without scripts; in the end it must not have complained."""
    language, size, scheme = request.param
    width, height = SIZES[size]
    folder = Path(os.environ.get("BAWABA_TEST_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(
        viewport={"width": width, "height": height}, locale=language, java_script_enabled=False, color_scheme=scheme
    )
    made = Window(context.new_page(), shop, folder, request.param)
    yield made
    assert context.cookies() == []
    context.close()
    assert [text for text in made.complaints if "Failed to load resource" not in text] == []  # a refusal is a 4xx


@pytest.mark.parametrize("window", LOOKS, indirect=True, ids=["-".join(look) for look in LOOKS])
def test_every_moment_fits_and_can_be_read(window: Window, shop: Product):
    cast, page = shop.cast, window.page
    card = cast.make_voucher(
        name="ثلاث ساعات", kind="used_time", duration_seconds=3 * HOUR, quota_bytes=1024 * MIB, valid_for_seconds=604800
    )
    long = cast.make_voucher(name="Month of unlimited internet for the family", duration_seconds=30 * 24 * HOUR)
    stale = cast.make_voucher(card={"over_at": cast.now - timedelta(hours=30)})
    full = cast.make_voucher(devices_ever=3, card={"status": "used", "devices_seen": 3})
    unknown = codes.new_codes(Random(len(window.look[0] + window.look[1])), "digits", 6)

    window.arrive()
    window.picture("01-enter")
    window.type("1234 5678")
    window.picture("02-malformed")
    window.type(unknown[0])
    window.picture("03-unknown")
    window.type(stale.code)
    window.picture("04-expired")
    window.type(full.code)
    window.picture("05-full")

    window.arrive(f"/c/{card.code}")
    window.picture("06-confirm")
    page.click("main form button")
    page.wait_for_selector("dl")
    window.picture("07-online")
    mac = window.told["client_mac"]
    page.click("main a.button")
    window.picture("08-another-card")
    window.open("/status")
    page.click("form[action='/logout'] button")
    window.picture("09-logged-out")
    page.click("form[action='/resume'] button")
    page.wait_for_selector("dl")

    window.arrive()
    window.type(card.code)
    window.picture("10-in-use")
    page.click("form:has(input[name=move]) button")
    page.wait_for_selector("dl")
    window.arrive(mac=mac)
    window.picture("11-moved-away")
    window.type(card.code)
    window.picture("12-moved-today")

    window.arrive()
    window.type(long.code)
    page.wait_for_selector("dl")
    window.picture("13-month")

    window.arrive(router=shop.silent.id)  # type: ignore[attr-defined]
    window.type(cast.make_voucher().code)
    window.picture("14-opening")
    window.arrive()
    for code in unknown[1:]:
        window.type(code)
    window.type(unknown[0])
    window.picture("15-too-many-tries")
    page.goto(f"{window.address}/?lang={window.look[0]}")
    window.picture("16-where")
    assert not any(name in address for address in window.requests for name in (".css", ".js", ".woff", "favicon"))


@pytest.mark.parametrize("window", [("ar", "small", "light")], indirect=True)
def test_the_longest_code_can_be_seen_whole_on_the_smallest_phone(window: Window):
    window.arrive("/c/AB12-1234-5678-9012", keys="letters")
    window.page.fill("input#code", "AB12-1234-5678-9012")

    wide, room = window.page.evaluate("() => (e => [e.scrollWidth, e.clientWidth])(document.querySelector('#code'))")
    assert wide <= room
    assert window.page.evaluate("() => getComputedStyle(document.querySelector('#code')).direction") == "ltr"


@pytest.mark.parametrize("window", [("en", "phone", "light")], indirect=True)
def test_one_request_a_page_and_the_keyboard_is_enough(window: Window, shop: Product):
    card = shop.cast.make_voucher()
    window.arrive()
    assert len(window.requests) == 1
    page = window.page
    expect(page.locator("input#code")).to_be_focused()  # the browser does that after the page is there
    page.keyboard.type(card.code)
    page.keyboard.press("Enter")
    page.wait_for_selector("dl")
    assert len(window.requests) == 3  # the form, and where it leads


@pytest.mark.skipif(
    not os.environ.get("BAWABA_TEST_README_IMAGES"), reason="pictures for the README are made on request"
)
def test_the_readme_shows_the_portal_as_it_is(browser: Any, shop: Product):
    """A guest's two screens side by side, in Arabic: the code is typed, and he is online."""
    card = shop.cast.make_voucher(name="ثلاث ساعات", duration_seconds=3 * HOUR, quota_bytes=1024 * MIB)
    context = browser.new_context(viewport={"width": 390, "height": 860}, locale="ar", device_scale_factor=2)
    page = context.new_page()
    told = urlencode({"router": shop.cast.router.id, "client_mac": next(macs)})
    page.goto(f"http://127.0.0.1:{shop.port}/c/{card.code}?{told}")
    shots = [page.screenshot()]
    page.click("main form button")
    page.wait_for_selector("dl")
    shots.append(page.screenshot())
    context.close()

    README_IMAGE.parent.mkdir(parents=True, exist_ok=True)
    README_IMAGE.write_bytes(side_by_side(shots))


def side_by_side(shots: list[bytes]) -> bytes:
    """Pictures as one, the first at the right as Arabic is read, at half their size."""
    from io import BytesIO

    from PIL import Image

    images = [Image.open(BytesIO(shot)).convert("RGB") for shot in reversed(shots)]
    gap, (width, height) = 40, images[0].size
    whole = Image.new("RGB", (width * len(images) + gap * (len(images) - 1), height), "#ffffff")
    for number, image in enumerate(images):
        whole.paste(image, (number * (width + gap), 0))
    out = BytesIO()
    whole.resize((whole.width * 3 // 4, whole.height * 3 // 4)).quantize(128).save(out, "PNG", optimize=True)
    return out.getvalue()
