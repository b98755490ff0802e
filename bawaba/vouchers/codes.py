"""Voucher codes: making them, reading what a person typed, and how hard they are to guess.

Two styles. "digits": 11 random digits and a check digit, shown 4-4-4, for numeric keypads and for reading aloud in any
language. "letters": 10 symbols of Crockford's base 32 (no I, L, O, U), shown 5-5. A batch may put up to 4 letters or
digits in front. The prefix is part of the code and is typed with it; it adds no secrecy.
"""

from __future__ import annotations

import math
import random
import re
import unicodedata
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from bawaba.core.errors import Invalid

Style = Literal["digits", "letters"]
LETTERS: Style = "letters"

SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODES_POSSIBLE: dict[Style, int] = {"digits": 10**11, "letters": 32**10}
LONGEST_PREFIX = 4

_LONGEST_TYPED = 64
_WORD = 2**64
_MINUTES_A_YEAR = 365 * 24 * 60

_DIGITS = re.compile(r"[0-9]{12}\Z")
_LETTERS = re.compile(rf"[{SYMBOLS}]{{10}}\Z")
_PREFIX = re.compile(r"[A-Z][A-Z0-9]{0,3}\Z")
_LOOKALIKES = str.maketrans("OIL", "011")
_SEPARATORS = {
    "Zs",
    "Zl",
    "Zp",
    "Cc",
    "Cf",
    "Pd",
    "Pc",
}  # spaces, controls, bidi marks and the like, dashes, underscores
_MORE_SEPARATORS = "\u0640.\u00b7\u2022\u2212"  # tatweel, dots, bullet, minus sign

# Damm's quasigroup of order 10 (H. M. Damm, 2004): finds every single wrong digit and every swap of two neighbours.
_DAMM = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2),
    (7, 0, 9, 2, 1, 5, 4, 8, 6, 3),
    (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6),
    (6, 1, 2, 3, 0, 4, 5, 9, 7, 8),
    (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4),
    (8, 9, 4, 5, 3, 6, 2, 0, 1, 7),
    (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)


class CodeMalformed(Invalid):
    """What was typed can't be a code: wrong length, wrong symbol or wrong check digit. It costs no try."""

    code = "code_malformed"


@dataclass(frozen=True, slots=True)
class Code:
    """A well-formed code; whether such a card exists is another question."""

    text: str  # the prefix and what follows it, as it is hashed and printed, without separators
    style: Style
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Odds:
    """How a stock of live cards stands against guessing."""

    codes_possible: int
    one_try_in: int | None  # tries for one hit on average; None: there is nothing to hit
    expected_stolen_per_year: float


def new_codes(rng: random.Random, style: Style, count: int, prefix: str = "") -> list[str]:
    """Return `count` different codes; that none of them exists already is for the database to say."""
    prefix = tidy_prefix(prefix) if prefix else ""
    bodies = _digit_bodies if style == "digits" else _letter_bodies
    found: dict[str, None] = {}
    while len(found) < count:
        texts = [prefix + body for body in bodies(rng, count - len(found))]
        if style == "letters" and prefix:
            texts = [text for text in texts if not _DIGITS.match(text[-12:])]
        found.update(dict.fromkeys(texts))
    return list(found)


def normalise(text: str) -> str:
    """Return what was typed as the symbols it stands for: any script's digits, any case, any separators."""
    plain = unicodedata.normalize("NFKC", text)
    if not plain.isascii():
        plain = "".join(_ascii_digit(symbol) for symbol in plain)
    kept = (symbol for symbol in plain if not _is_separator(symbol))
    return "".join(kept).upper().translate(_LOOKALIKES)


def parse(text: str) -> Code:
    """Read a code as a person typed it; raises `CodeMalformed`.

    Twelve digits at the end always are a "digits" code with its check digit, for no "letters" code is made like that.
    """
    symbols = normalise(text[: _LONGEST_TYPED + 1])
    style: Style = "digits" if _DIGITS.match(symbols[-12:]) else "letters"
    length = 12 if style == "digits" else 10
    prefix, body = symbols[:-length], symbols[-length:]
    fits = check_digit(body[:-1]) == int(body[-1]) if style == "digits" else _LETTERS.match(body)
    if len(text) > _LONGEST_TYPED or not fits or (prefix and not _PREFIX.match(prefix)):
        raise CodeMalformed
    return Code(symbols, style, prefix)


def tidy_prefix(text: str) -> str:
    """Return a batch's prefix as it will stand on the cards; raises `Invalid`.

    It begins with a letter (so that digits alone are never taken for a prefix and a code) and is at most 4 long.
    O, I and L become 0 and 1 as they do in every code, and so can't be the first.
    """
    prefix = normalise(text)
    if not _PREFIX.match(prefix):
        raise Invalid(fields={"prefix": ["prefix_malformed"]})
    return prefix


def grouped(code: str) -> str:
    """Return a code as it is printed: AB-1234-5678-9012 or 5Z3KQ-9TH2M."""
    digits = bool(_DIGITS.match(code[-12:]))
    length, step = (12, 4) if digits else (10, 5)
    prefix, body = code[:-length], code[-length:]
    groups = [body[at : at + step] for at in range(0, length, step)]
    return "-".join([prefix, *groups] if prefix else groups)


def check_digit(digits: str) -> int:
    """Return the Damm check digit of a string of ASCII digits."""
    state = 0
    for digit in digits:
        state = _DAMM[state][int(digit)]
    return state


def guessing_odds(style: Style, live_cards: int, wrong_tries_per_minute: float = 10) -> Odds:
    """Return what a guesser who tries all year at the site's cap may expect.

    For N live cards in a space S and r tries a year, N × r / S cards are hit.
    """
    possible = CODES_POSSIBLE[style]
    tries = wrong_tries_per_minute * _MINUTES_A_YEAR
    one_in = math.ceil(possible / live_cards) if live_cards else None
    return Odds(possible, one_in, live_cards * tries / possible)


def _digit_bodies(rng: random.Random, count: int) -> Iterator[str]:
    """Yield "digits" codes: 11 evenly random digits, and their check digit.

    Damm's leading zeros change nothing, so the 11 digits are read as four groups of three.
    """
    table = _damm_by_three()
    for number in _even_numbers(rng, 10**11, count):
        high, low = divmod(number, 1_000_000)
        state = table[table[high // 1000] * 1000 + high % 1000]
        state = table[table[state * 1000 + low // 1000] * 1000 + low % 1000]
        yield f"{number:011d}{state}"


def _letter_bodies(rng: random.Random, count: int) -> Iterator[str]:
    """Yield "letters" codes: 50 evenly random bits, two symbols for each ten of them."""
    pairs = _symbol_pairs()
    for number in _even_numbers(rng, 32**10, count):
        yield (
            pairs[number >> 40]
            + pairs[number >> 30 & 1023]
            + pairs[number >> 20 & 1023]
            + pairs[number >> 10 & 1023]
            + pairs[number & 1023]
        )


def _even_numbers(rng: random.Random, below: int, count: int) -> Iterator[int]:
    """Yield `count` numbers from 0 to below - 1, each as likely as any other.

    Words of 64 bits come from the generator in one block. The few above the last whole multiple of `below` are thrown
    away, for they would make small numbers likelier.
    """
    limit = _WORD - _WORD % below
    while count:
        words = array("Q", rng.randbytes(8 * count))
        numbers = [word % below for word in words if word < limit]
        yield from numbers
        count -= len(numbers)


@cache
def _damm_by_three() -> tuple[int, ...]:
    """Damm's state after three more digits, at [state × 1000 + the digits]."""
    return tuple(
        _DAMM[_DAMM[_DAMM[state][group // 100]][group // 10 % 10]][group % 10]
        for state in range(10)
        for group in range(1000)
    )


@cache
def _symbol_pairs() -> tuple[str, ...]:
    return tuple(first + second for first in SYMBOLS for second in SYMBOLS)


def _ascii_digit(symbol: str) -> str:
    """٠ to ٩, ۰ to ۹ and every other script's decimal digits as 0 to 9; all else as it is."""
    return str(unicodedata.decimal(symbol)) if symbol.isdecimal() else symbol


def _is_separator(symbol: str) -> bool:
    return unicodedata.category(symbol) in _SEPARATORS or symbol in _MORE_SEPARATORS
