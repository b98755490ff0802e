"""The stylesheet, scripts and other people's files."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import re
from pathlib import Path

import pytest

from bawaba.web.static_files import FOLDER
from tests.pages.sentences import ROOT

PINNED = (FOLDER / "vendor",)
CSS = (FOLDER / "app.css").read_text()
PHYSICAL = re.compile(
    r"(?:margin|padding|border|inset)-(?:left|right)|(?<![\w-])(?:left|right)\s*:|(?:text-align|float|clear):\s*(?:left|right)"
    r"|(?:top|bottom)-(?:left|right)|(?:margin|padding|inset):(?:\s+[^\s;]+){4};",
)
READ_ON = {  # what is written in a colour, and what lies behind it
    "ink": ("page", "surface", "sunk", "accent-soft", "good-soft", "warn-soft", "bad-soft", "info-soft"),
    "ink-soft": ("page", "surface", "sunk", "accent-soft"),
    "accent": ("page", "surface", "accent-soft"),
    "accent-strong": ("accent-soft",),
    "on-accent": ("accent", "accent-strong"),
    "good": ("good-soft", "surface"),
    "warn": ("warn-soft", "surface"),
    "bad": ("bad-soft", "surface"),
    "info": ("info-soft", "surface"),
}


@pytest.mark.parametrize("folder", PINNED, ids=lambda folder: folder.name)
def test_other_peoples_files_are_what_was_published(folder: Path):
    lines = [line.split() for line in (folder / "SHA256SUMS").read_text().splitlines()]

    assert {name for _digest, name in lines} | {"README.md", "SHA256SUMS"} == {path.name for path in folder.iterdir()}
    for digest, name in lines:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name


def test_all_that_a_page_loads_weighs_less_than_90_kb():
    loaded = ["app.css", "app.js", "live.js", "charts.js", "icons.svg", "mark.svg", "vendor/htmx-4.0.1.min.js"]

    assert sum(len(gzip.compress((FOLDER / name).read_bytes())) for name in loaded) < 90_000


def test_the_stylesheet_knows_no_left_and_no_right():
    assert PHYSICAL.findall(CSS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_on_what_lies_behind_it(scheme: str):
    colours = _colours(scheme)

    for ink, grounds in READ_ON.items():
        for ground in grounds:
            assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground, scheme)


def test_templates_hold_no_inline_script_style_or_handler():
    inline = re.compile(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\bsrc=)|javascript:|hx-on", re.I)
    for path in itertools.chain(ROOT.glob("web/templates/*.html"), ROOT.glob("*/templates/*.html")):
        if path.parent.parent.name != "portal":
            assert inline.findall(path.read_text()) == [], path


def test_every_icon_that_is_named_is_drawn():
    drawn = set(re.findall(r'<symbol id="([^"]+)"', (FOLDER / "icons.svg").read_text()))
    named = set()
    for path in ROOT.glob("*/templates/*.html"):
        text = path.read_text()
        named |= set(re.findall(r'\bicon\("([a-z0-9-]+)"(?! ~)', text)) | set(
            re.findall(r'ui\.empty\("([a-z-]+)"', text)
        )

    assert named <= drawn


def _colours(scheme: str) -> dict[str, str]:
    pairs = re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]{3,6}), (#[0-9a-f]{3,6})\);", CSS)
    return {name: light if scheme == "light" else dark for name, light, dark in pairs}


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
