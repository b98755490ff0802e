"""QR codes: read back by a decoder that did not write them."""

from __future__ import annotations

import random

import numpy
import pytest

from bawaba.vouchers import codes, qr
from tests.vouchers.qr_reader import grey, read_qr

PORTAL = "http://login.wifi"


def read(picture: bytes) -> str:
    return read_qr(grey(picture))


@pytest.mark.parametrize("style", ["digits", "letters"])
def test_another_decoder_reads_the_cards_address(style):
    for code in codes.new_codes(random.Random(2), style, 50):
        assert read(qr.png(qr.matrix(qr.card_address(PORTAL, code)))) == f"{PORTAL}/c/{code}"


@pytest.mark.parametrize("style", ["digits", "letters"])
@pytest.mark.parametrize("portal", [PORTAL, "https://wifi.example.com:8443/hotspot", "http://192.168.88.1:5000"])
def test_a_cards_qr_code_is_its_address_but_for_capitals_in_host_and_c(portal, style):
    code = codes.new_codes(random.Random(2), style, 1)[0]
    said = read(qr.png(qr.card_matrix(portal, code)))
    scheme, _, rest = said.partition("://")
    host, _, path = rest.partition("/")

    assert f"{scheme}://{host.lower()}/{path.replace('C/', 'c/', 1)}" == f"{portal}/c/{code}"


@pytest.mark.parametrize(("code", "said"), [("012345678901", "LOGIN.WIFI/c/"), ("ABCDEFGHJK", "LOGIN.WIFI/C/")])
def test_capitals_make_the_usual_cards_smaller(code, said):
    small = qr.card_matrix(PORTAL, code)

    assert (qr.matrix(qr.card_address(PORTAL, code)).size, small.size) == (29, 25)
    assert read(qr.png(small)) == f"http://{said}{code}"


def test_capitals_are_not_used_where_they_win_nothing():
    code = codes.new_codes(random.Random(2), "digits", 1)[0]

    assert read(qr.png(qr.card_matrix("http://a.io", code))) == f"http://a.io/c/{code}"


def test_all_cards_made_together_have_one_size_and_their_own_code():
    made = ["0123456789", "ABCDEFGHJK", *codes.new_codes(random.Random(4), "letters", 300)]
    matrices = qr.card_matrices("http://a.wifi", made)

    assert len({each.size for each in matrices}) == 1
    assert [read(qr.png(each, 4)).rpartition("/")[2] for each in matrices] == made


def test_a_card_made_alone_has_the_mask_that_the_standard_chooses():
    assert qr.card_matrix("http://a.io", "012345678901") == qr.matrix("http://a.io/c/012345678901")


def test_no_cards_have_no_codes():
    assert qr.card_matrices(PORTAL, []) == []


@pytest.mark.parametrize("scale", [1, 3, 8])
def test_a_png_is_as_wide_as_its_modules_and_the_quiet_zone(scale):
    symbol = qr.matrix("http://login.wifi/c/012345678901")
    image = grey(qr.png(symbol, scale))
    edge = qr.QUIET_ZONE * scale

    assert image.shape == ((29 + 8) * scale,) * 2
    assert image[:edge].min() == image[:, :edge].min() == image[-edge:].min() == image[:, -edge:].min() == 255
    assert image[edge, edge] == 0  # the corner of a finder pattern


def test_the_svg_has_the_same_modules_as_the_png():
    symbol = qr.matrix("http://login.wifi/c/012345678901")
    drawn = numpy.zeros((37, 37), dtype=bool)
    path = qr.svg(symbol).partition('<path d="')[2].partition('"')[0]
    for run in path.strip("M").split("M"):
        x, rest = run.split(" ")
        y, length = rest.split("v")[0].split("h")
        drawn[int(y), int(x) : int(x) + int(length)] = True

    image = grey(qr.png(symbol, 1))
    assert (drawn == (image == 0)).all()


def test_a_matrix_refuses_bits_of_another_size():
    with pytest.raises(ValueError, match="29 modules"):
        qr.QrMatrix(29, b"\x00" * 100)
