"""One card as a picture, to send to a guest from a counter without a printer."""

from __future__ import annotations

from dataclasses import replace

from bawaba.vouchers.card_words import labels
from bawaba.vouchers.sheets import LAYOUTS, PrintCard, SheetJob

LAYOUT = replace(LAYOUTS["roll-80"], thermal=False)
PIXELS_A_MM = 13  # 1040 pixels wide, and each module of the usual QR code a whole number of them


def card_picture(job: SheetJob, card: PrintCard) -> bytes:
    """Return the card as PNG, about 1000 pixels wide; the job's layout is for paper and does not matter."""
    from bawaba.vouchers.sheets.typesetting import set_picture

    return set_picture(job, labels(job), LAYOUT, card, PIXELS_A_MM)
