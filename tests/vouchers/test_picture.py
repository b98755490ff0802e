"""One card as a picture for a guest's phone."""

from __future__ import annotations

import cv2
import numpy
import pytest
import structlog
import structlog.testing

from bawaba.core.errors import Unavailable
from bawaba.vouchers import picture
from tests.vouchers.paper import PORTAL, a_job, some_cards
from tests.vouchers.qr_reader import grey, read_qr


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("style", ["digits", "letters"])
def test_a_picture_is_one_card_that_another_phone_can_scan(language, style):
    (card,) = some_cards(1, style)
    made = picture.card_picture(a_job(language=language), card)
    pixels = grey(made)

    assert made.startswith(b"\x89PNG\r\n\x1a\n")
    assert 950 <= pixels.shape[1] <= 1100 and pixels.shape[0] < pixels.shape[1]
    assert read_qr(pixels).lower() == f"{PORTAL}/c/{card.code}".lower()


def test_a_picture_of_another_card_differs_in_code_serial_and_qr_code_only():
    job = a_job()
    one, other = (grey(picture.card_picture(job, card)) for card in some_cards(2))
    changed = (one != other).astype(numpy.uint8)
    height, width = changed.shape

    assert changed[: height // 8].sum() == 0  # the name and the price
    assert changed[height // 7 : height // 3].any()  # the code
    assert changed[height // 3 :, width // 2 :].any()  # the QR code
    serial = changed[height // 3 :, : width // 2]
    _, _, boxes, _ = cv2.connectedComponentsWithStats(cv2.dilate(serial, numpy.ones((9, 9), numpy.uint8)))
    assert len(boxes) == 2  # the paper, and B042-0001's last digit


def test_the_margin_of_a_picture_is_white():
    pixels = grey(picture.card_picture(a_job(language="ar"), some_cards(1)[0]))
    edges = (pixels[:20], pixels[-6:], pixels[:, :40], pixels[:, -40:])

    assert all(edge.min() == 255 for edge in edges)


def test_a_picture_that_cannot_be_set_is_refused_and_its_code_is_not_logged(monkeypatch):
    (card,) = some_cards(1)
    lines = structlog.testing.CapturingLogger()
    monkeypatch.setattr(picture, "log", structlog.wrap_logger(lines, processors=[]))
    monkeypatch.setattr(picture, "job_line", lambda _job: b"{}\n")

    with pytest.raises(Unavailable) as refused:
        picture.card_picture(a_job(), card)
    said = str(lines.calls)
    assert refused.value.code == "print_failed"
    assert "KeyError" in said and card.code not in said
