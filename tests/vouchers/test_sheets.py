"""Sheets of cards, judged as paper: rendered by another PDF library and read by another QR decoder."""

from __future__ import annotations

import hashlib
import io
import itertools
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy
import pikepdf
import pypdfium2
import pytest

from bawaba.vouchers import codes, sheets
from bawaba.vouchers.card_words import labels
from bawaba.vouchers.sheets import LAYOUTS, Layout, PrintCard, SheetJob, card_line, job_line
from bawaba.vouchers.sheets.layouts import POINTS_A_MM, Box
from bawaba.vouchers.sheets.rendering import CardsMissingError, render
from tests.vouchers.paper import PORTAL, a_job, some_cards
from tests.vouchers.qr_reader import Grey, read_qr

LANGUAGES = ("en", "ar")
DOTS_AN_INCH = 400


def pdf_of(job: SheetJob, cards: list[PrintCard]) -> bytes:
    out = io.BytesIO()
    render(job, labels(job), cards, out)
    return out.getvalue()


@cache
def full_sheet(layout: str, language: str) -> tuple[list[PrintCard], bytes]:
    """A full page and three cards on a second one."""
    cards = some_cards(LAYOUTS[layout].cards_a_page + 3)
    return cards, pdf_of(a_job(layout, language, len(cards)), cards)


@cache
def rendered(layout: str, language: str, page: int) -> Grey:
    """A page of the full sheet as pixels."""
    return pixels_of(pypdfium2.PdfDocument(full_sheet(layout, language)[1])[page])


def pixels_of(page: pypdfium2.PdfPage) -> Grey:
    image = page.render(scale=DOTS_AN_INCH / 72, grayscale=True).to_numpy()
    return image.reshape(image.shape[:2]).astype(numpy.uint8)


def part_of(pixels: Grey, x: float, y: float, width: float, height: float) -> Grey:
    """A part of a page, in millimetres from its upper left corner."""
    left, top, right, bottom = (round(each * DOTS_AN_INCH / 25.4) for each in (x, y, x + width, y + height))
    return pixels[top:bottom, left:right]


def text_on(text: pypdfium2.PdfTextPage, layout: Layout, corner: tuple[float, float], part: Box | None = None) -> str:
    """The text on a card whose upper left corner is there, or on a part that begins there."""
    width, height = (part.width, part.height) if part else layout.card
    left, top = corner[0], layout.page[1] - corner[1]
    said: str = text.get_text_bounded(*(each * POINTS_A_MM for each in (left, top - height, left + width, top)))
    return said


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_qr_code_on_a_sheet_opens_its_cards_address(name: str, language: str):
    layout = LAYOUTS[name]
    cards, _ = full_sheet(name, language)
    symbol = layout.symbol_with_quiet_zone(cards[0].qr.size)
    symbol = symbol.mirrored(layout.card[0]) if language == "ar" else symbol

    read = []
    for at, card in enumerate(cards):
        page, place = divmod(at, layout.cards_a_page)
        x, y = layout.place(place, from_right=language == "ar")
        pixels = part_of(rendered(name, language, page), x + symbol.x, y + symbol.y, symbol.width, symbol.height)
        read.append((card.serial, read_qr(pixels).lower()))

    assert read == [(card.serial, f"{PORTAL}/c/{card.code}") for card in cards]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", LAYOUTS)
def test_each_card_says_its_own_code_and_serial_as_text(name: str, language: str):
    layout = LAYOUTS[name]
    cards, pdf = full_sheet(name, language)
    document = pypdfium2.PdfDocument(pdf)
    pages = [page.get_textpage() for page in document]

    for at, card in enumerate(cards):
        page, place = divmod(at, layout.cards_a_page)
        said = text_on(pages[page], layout, layout.place(place, from_right=language == "ar"))
        assert re.findall(r"\d{4}-\d{4}-\d{4}", said) == [codes.grouped(card.code)]
        assert re.findall(r"B042-\d{4}", said) == [card.serial]


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_code_is_the_largest_thing_on_a_card(name: str):
    page = pypdfium2.PdfDocument(pdf_of(a_job(name), some_cards(1)))[0].get_textpage()
    code = codes.grouped(some_cards(1)[0].code)
    at = page.get_text_range().index(code)
    heights = [top - bottom for left, bottom, right, top in map(page.get_charbox, range(page.count_chars()))]

    assert min(heights[at : at + 4]) > 1.15 * max(heights[:at] + heights[at + len(code) :])


@pytest.mark.parametrize("name", LAYOUTS)
def test_pages_have_the_size_of_the_paper(name: str):
    cards, pdf = full_sheet(name, "en")
    millimetres = [
        tuple(round(each / POINTS_A_MM, 2) for each in page.get_size()) for page in pypdfium2.PdfDocument(pdf)
    ]

    assert millimetres == [LAYOUTS[name].page] * -(-len(cards) // LAYOUTS[name].cards_a_page)


@pytest.mark.parametrize("name", ["a4-3x8", "a4-4x10", "a4-5x13"])
def test_the_margin_says_the_batch_its_count_and_value_the_serials_and_the_page(name: str):
    cards, pdf = full_sheet(name, "en")
    last = pypdfium2.PdfDocument(pdf)[1].get_textpage().get_text_range()

    assert f"{len(cards)} cards" in last and "4,800 YER" in last
    assert f"{cards[-3].serial} – {cards[-1].serial}" in last and "2/2" in last


@pytest.mark.parametrize("symbol_size", [25, 29, 33])
@pytest.mark.parametrize("name", LAYOUTS)
def test_nothing_lies_in_the_quiet_zone_or_beyond_the_card(name: str, symbol_size: int):
    layout = LAYOUTS[name]
    symbol = layout.symbol_with_quiet_zone(symbol_size)
    parts = [part for part in (layout.head, layout.code, layout.words, layout.foot, layout.note, layout.help) if part]

    for part in [symbol, *parts]:
        assert part.x >= 0 and part.x + part.width <= layout.card[0] + 1e-9
        assert part.y >= 0 and part.y + part.height <= layout.card[1] + 1e-9
    for part in parts:
        beside = part.x + part.width <= symbol.x + 1e-9 or part.x >= symbol.x + symbol.width - 1e-9
        above_or_below = part.y + part.height <= symbol.y + 1e-9 or part.y >= symbol.y + symbol.height - 1e-9
        assert beside or above_or_below, part
    for one, other in itertools.combinations(parts, 2):
        apart_y = one.y + one.height <= other.y + 1e-9 or other.y + other.height <= one.y + 1e-9
        apart_x = one.x + one.width <= other.x + 1e-9 or other.x + other.width <= one.x + 1e-9
        assert apart_x or apart_y, (one, other)


@pytest.mark.parametrize("name", LAYOUTS)
def test_modules_are_large_enough_for_a_phone(name: str):
    symbol = some_cards(1)[0].qr.size

    assert LAYOUTS[name].symbol(symbol).width / symbol >= 0.33


@pytest.mark.parametrize("name", ["roll-80", "roll-58"])
def test_modules_on_a_roll_are_whole_dots(name: str):
    for size in (25, 29, 33, 37):
        dots = LAYOUTS[name].symbol(size).width / size * 8
        assert dots == pytest.approx(round(dots))


@pytest.mark.parametrize("name", LAYOUTS)
def test_arabic_letters_are_joined_and_run_from_right_to_left(name: str):
    """The name is an alef, which stands alone, then four letters without dots that join: two strokes of ink."""
    layout = LAYOUTS[name]
    page = pypdfium2.PdfDocument(pdf_of(a_job(name, "ar", site_name="ا محمد", price_text="-"), some_cards(1)))[0]
    x, y = layout.place(0, from_right=True)
    head = layout.head.mirrored(layout.card[0])
    right_half = part_of(
        pixels_of(page), x + head.x + head.width / 2, y + head.y + 0.1, head.width / 2, head.height - 0.4
    )

    count, _, boxes, _ = cv2.connectedComponentsWithStats((right_half < 128).astype(numpy.uint8))
    word, alef = sorted(boxes[1:].tolist(), key=lambda box: box[0])

    assert count == 3
    assert word[cv2.CC_STAT_WIDTH] > 2 * word[cv2.CC_STAT_HEIGHT] * 0.5 > alef[cv2.CC_STAT_WIDTH]
    assert alef[cv2.CC_STAT_HEIGHT] > 2 * alef[cv2.CC_STAT_WIDTH]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_plans_name_in_latin_letters_keeps_its_order_on_an_arabic_card(name: str):
    page = pypdfium2.PdfDocument(pdf_of(a_job(name, "ar", plan_name="1 GB", plan_words="-"), some_cards(1)))[0]

    assert "1 GB" in page.get_textpage().get_text_range()


@pytest.mark.parametrize("style", ["digits", "letters"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_long_names_letters_and_prefixes_stay_on_the_card(name: str, style: codes.Style):
    layout = LAYOUTS[name]
    cards = some_cards(1, style, "WWWW", "https://wifi.longexample-hotel.com")
    job = a_job(
        name,
        site_name="The Grand Old Seaside Hotel & Conference Centre of Mukalla",
        wifi_name="W" * 32,
        support="WhatsApp +967 777 123 456, reception@example.com",
        plan_name="Weekend special for families with children",
        price_text="1,250,000.50 USD",
        portal_text="wifi.longexample-hotel.com",
    )
    page = pypdfium2.PdfDocument(pdf_of(job, cards))[0]
    pixels = pixels_of(page)
    x, y = layout.place(0, from_right=False)
    code, symbol = layout.code, layout.symbol_with_quiet_zone(cards[0].qr.size)

    assert codes.grouped(cards[0].code) in text_on(page.get_textpage(), layout, (x + code.x, y + code.y), code)
    assert (
        read_qr(part_of(pixels, x + symbol.x, y + symbol.y, symbol.width, symbol.height))
        .lower()
        .endswith(cards[0].code.lower())
    )
    for left in (0.4, layout.card[0] - 0.9):  # the strips along both edges are empty paper
        assert part_of(pixels, x + left, y + 0.4, 0.5, layout.card[1] - 0.8).min() > 100


def test_what_people_wrote_is_never_read_as_markup():
    wrote = '#panic("x") $a$ *b* `c` \\'
    page = pypdfium2.PdfDocument(pdf_of(a_job(site_name=wrote, batch_label="B(1)\\"), some_cards(1)))[0]

    assert wrote in page.get_textpage().get_text_range()


def test_a_sheet_with_nothing_but_codes_can_be_set():
    nothing: dict[str, Any] = dict.fromkeys(
        ("site_name", "wifi_name", "support", "plan_words", "use_before", "batch_label"), ""
    )

    assert pypdfium2.PdfDocument(pdf_of(a_job(**nothing), some_cards(1)))[0].get_textpage().count_chars() > 20


def test_a_pdf_of_many_pages_is_sound_and_prints_at_its_own_size(tmp_path: Path):
    cards = some_cards(450)
    with pikepdf.open(io.BytesIO(pdf_of(a_job("roll-58", cards=450), cards))) as document:
        assert document.check_pdf_syntax() == []
        assert len(document.pages) == 450
        assert document.Root.ViewerPreferences.PrintScaling == "/None"
        assert str(document.docinfo["/Title"]) == "B042"


def test_half_a_sheet_does_not_pass_for_a_whole_one(tmp_path: Path):
    with pytest.raises(CardsMissingError):
        pdf_of(a_job(cards=30), some_cards(29))

    out = tmp_path / "sheet.pdf"
    lines = job_line(a_job(cards=30)) + b"".join(map(card_line, some_cards(29)))
    child = subprocess.run(
        [sys.executable, "-m", "bawaba.vouchers.sheets", "--out", out], input=lines, capture_output=True, check=False
    )
    assert child.returncode != 0 and b"CardsMissingError" in child.stderr
    assert not any(card.code.encode() in child.stderr for card in some_cards(29))


def test_the_child_process_makes_the_same_sheet(tmp_path: Path):
    cards = some_cards(30)
    job = a_job("a4-4x10", "ar", 30)
    out = tmp_path / "sheet.pdf"
    lines = job_line(job) + b"".join(map(card_line, cards))
    subprocess.run([sys.executable, "-m", "bawaba.vouchers.sheets", "--out", out], input=lines, check=True)

    here, there = (pypdfium2.PdfDocument(data)[0] for data in (pdf_of(job, cards), out.read_bytes()))
    assert (pixels_of(here) == pixels_of(there)).all()


def test_the_server_loads_neither_typesetter_nor_pdf_library():
    loaded = (
        "import sys, bawaba.vouchers.sheets, bawaba.vouchers.picture; print({'typst', 'pikepdf'} & set(sys.modules))"
    )

    assert subprocess.check_output([sys.executable, "-c", loaded], text=True).strip() == "set()"


def test_the_fonts_are_those_that_were_published():
    folder = Path(sheets.__file__).parent / "fonts"
    pinned = [line.split() for line in (folder / "SHA256SUMS").read_text().splitlines()]

    assert {name for _digest, name in pinned} | {"README.md", "SHA256SUMS"} == {path.name for path in folder.iterdir()}
    for digest, name in pinned:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
