"""Codes: even, different, readable as people type them, and honest about how guessable they are."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bawaba.core.errors import Invalid
from bawaba.vouchers import codes
from bawaba.vouchers.codes import CodeMalformed

DIGITS = st.text("0123456789", min_size=11, max_size=11).map(lambda body: body + str(codes.check_digit(body)))
LETTERS = st.text(codes.SYMBOLS, min_size=10, max_size=10)


@pytest.mark.parametrize(("style", "length"), [("digits", 12), ("letters", 10)])
def test_a_batch_has_exactly_as_many_different_codes_as_ordered(style, length):
    made = codes.new_codes(random.Random(7), style, 20_000)

    assert len(set(made)) == len(made) == 20_000
    assert {len(code) for code in made} == {length}
    assert all(codes.parse(code) == codes.Code(code, style) for code in made)


def test_codes_repeated_by_the_generator_are_made_again():
    class Stuck(random.Random):
        """Says the same eight bytes the first time it is asked for two codes."""

        calls = 0

        def randbytes(self, n):
            self.calls += 1
            return b"\x01" * n if self.calls == 1 else super().randbytes(n)

    assert len(set(codes.new_codes(Stuck(1), "digits", 50))) == 50


@pytest.mark.parametrize(("style", "alphabet"), [("digits", "0123456789"), ("letters", codes.SYMBOLS)])
def test_every_symbol_is_as_likely_as_any_other_at_every_place(style, alphabet):
    made = codes.new_codes(random.Random(3), style, 64_000)
    expected = len(made) / len(alphabet)

    for place in range(len(made[0])):
        seen = Counter(code[place] for code in made)
        chi_squared = sum((seen[symbol] - expected) ** 2 / expected for symbol in alphabet)
        assert chi_squared < 2.5 * len(alphabet)


def test_numbers_above_the_last_whole_multiple_are_thrown_away():
    class Top(random.Random):
        """First the highest word there is, which would favour small numbers, then a good one."""

        calls = 0

        def randbytes(self, n):
            self.calls += 1
            return b"\xff" * n if self.calls == 1 else b"\x00" * n

    assert codes.new_codes(Top(), "digits", 1) == ["000000000000"]


def test_the_check_digit_of_damms_own_example():
    assert codes.check_digit("572") == 4


@given(DIGITS, st.integers(0, 11), st.integers(1, 9))
def test_any_one_wrong_digit_is_a_typo(code, place, shift):
    wrong = str((int(code[place]) + shift) % 10)
    with pytest.raises(CodeMalformed):
        codes.parse(code[:place] + wrong + code[place + 1 :])


@given(DIGITS, st.integers(0, 10))
def test_any_two_swapped_neighbours_are_a_typo(code, place):
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    if swapped != code:
        with pytest.raises(CodeMalformed):
            codes.parse(swapped)


@given(DIGITS)
def test_a_digit_missing_or_too_many_is_a_typo(code):
    for typed in (code[:-1], code + "7", code + code):
        with pytest.raises(CodeMalformed):
            codes.parse(typed)


@pytest.mark.parametrize(
    "typed",
    [
        "0123 4567 8901",
        "0123-4567-8901",
        "٠١٢٣ ٤٥٦٧ ٨٩٠١",
        "۰۱۲۳-۴۵۶۷-۸۹۰۱",
        "०१२३४५६७८९०१",
        "０１２３４５６７８９０１",
        "\u200e0123\u2066-4567\u2069\u20118901\u200f",
        "O123.4567_89Ol",
        "٠١٢٣ـ٤٥٦٧ـ٨٩٠١\r\n",
        "\ufeff0123\u00a04567\u20098901",
    ],
)
def test_digits_are_read_in_any_script_and_with_any_separators(typed):
    assert codes.normalise(typed) == "012345678901"


@pytest.mark.parametrize("typed", ["abcde-f0123", "ABCDE F0123", "abcdefol23", "ＡＢＣＤＥ–Ｆ０１２３", "ABCDEFOI23"])
def test_letters_are_read_in_any_case_and_with_lookalikes(typed):
    assert codes.parse(typed) == codes.Code("ABCDEF0123", "letters")


@pytest.mark.parametrize(
    "typed", ["", "   ", "ABCDEFGHJU", "ABCDE", "12345678901", "كلمة السر", "0" * 5000, "ABCDEFGH+0"]
)
def test_what_can_not_be_a_code_is_malformed(typed):
    with pytest.raises(CodeMalformed):
        codes.parse(typed)


def test_ten_digits_are_a_letters_code_and_twelve_never_are():
    assert codes.parse("1234567890").style == "letters"
    assert codes.parse("572000000002").style == "digits"


@given(st.one_of(DIGITS, LETTERS), st.from_regex(r"([A-HJKMNP-Z][A-Z0-9]{0,3})?", fullmatch=True))
def test_what_is_printed_is_read_back_as_the_same_code(body, prefix):
    text = codes.normalise(prefix) + body
    if len(body) == 10 and text[-12:].isdigit() and len(text) >= 12:
        return  # such a code is never made
    read = codes.parse(codes.grouped(text))

    assert (read.text, read.prefix) == (text, codes.normalise(prefix))


def test_codes_are_shown_in_groups():
    assert codes.grouped("012345678901") == "0123-4567-8901"
    assert codes.grouped("ABCDEF0123") == "ABCDE-F0123"
    assert codes.grouped("SH0P012345678901") == "SH0P-0123-4567-8901"


def test_a_prefix_is_part_of_every_code_of_the_batch():
    made = codes.new_codes(random.Random(1), "digits", 100, prefix="shop")

    assert all(code.startswith("SH0P") and codes.parse(code).prefix == "SH0P" for code in made)


def test_no_letters_code_with_a_prefix_looks_like_a_digits_code():
    class Zeros(random.Random):
        """Ten zeros first, which after the prefix A12 would end in twelve digits."""

        calls = 0

        def randbytes(self, n):
            self.calls += 1
            return b"\x00" * n if self.calls == 1 else super().randbytes(n)

    [code] = codes.new_codes(Zeros(5), "letters", 1, prefix="A12")

    assert codes.parse(code) == codes.Code(code, "letters", "A12")


@pytest.mark.parametrize("prefix", ["12", "OMAR", "ABCDE", "A+", "مقهى"])
def test_a_prefix_that_could_be_misread_is_refused(prefix):
    with pytest.raises(Invalid) as refusal:
        codes.new_codes(random.Random(1), "digits", 1, prefix=prefix)
    assert "prefix" in refusal.value.details["fields"]


def test_the_odds_are_those_of_the_arithmetic():
    digits = codes.guessing_odds("digits", 10_000)
    letters = codes.guessing_odds("letters", 10_000)

    assert digits.one_try_in == 10_000_000
    assert digits.expected_stolen_per_year == pytest.approx(0.5256)
    assert letters.expected_stolen_per_year == pytest.approx(4.67e-5, rel=0.01)
    assert codes.guessing_odds("letters", 0) == codes.Odds(32**10, None, 0.0)


def test_the_check_table_is_totally_anti_symmetric():
    def after(*digits):
        return codes.check_digit("".join(map(str, digits)))

    for state, x, y in itertools.product(range(10), repeat=3):
        if x != y:
            assert after(state, x) != after(state, y)
            assert after(state, x, y) != after(state, y, x)
