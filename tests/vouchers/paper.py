"""Jobs and cards to print, for tests that need no database."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from typing import Any

from bawaba.vouchers import codes, qr
from bawaba.vouchers.sheets import PrintCard, SheetJob

PORTAL = "http://login.wifi"


def a_job(layout: str = "a4-3x8", language: str = "en", cards: int = 1, **facts: Any) -> SheetJob:
    """A sheet of a café in Aden."""
    base = SheetJob(
        layout=layout,
        language=language,
        site_name="محمد" if language == "ar" else "Cafe Aden",
        wifi_name="Aden-WiFi",
        support="777 123 456",
        portal_text="login.wifi",
        plan_name="3 hours",
        plan_words="\u20683 hours from first use\u2069 · \u20681 GB\u2069",
        price_text="200 YER",
        batch_label="B042",
        use_before="24 Nov 2026, 12:00",
        cards=cards,
        total_text="4,800 YER",
    )
    return replace(base, **facts)


@cache
def some_cards(count: int, style: codes.Style = "digits", prefix: str = "", portal: str = PORTAL) -> list[PrintCard]:
    """B042-0001 and those that follow."""
    made = codes.new_codes(random.Random(count), style, count, prefix)
    symbols = qr.card_matrices(portal, made)
    return [
        PrintCard(f"B042-{number:04d}", code, symbol)
        for number, (code, symbol) in enumerate(zip(made, symbols, strict=True), start=1)
    ]
