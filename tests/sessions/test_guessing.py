"""The caps on wrong codes hold for whoever holds a card of their own, too."""

from __future__ import annotations

from random import Random

from bawaba.core.errors import Problem
from bawaba.sessions import redeem as redeeming
from bawaba.vouchers import codes
from tests.cast import PHONE


def answer_to(rt, cast, code: str) -> str:
    """What the phone is told."""
    try:
        return redeeming.redeem(rt, code, cast.guest(PHONE)).status
    except Problem as refusal:
        return refusal.code


def test_typing_ones_own_card_again_does_not_buy_more_guesses(rt, cast):
    own = cast.make_voucher()
    answer_to(rt, cast, own.code)
    guesses = codes.new_codes(Random(99), "digits", 40)
    told = []
    for number, guess in enumerate(guesses):
        if number % 4 == 0:
            answer_to(rt, cast, own.code)
        told.append(answer_to(rt, cast, guess))

    assert told.count("voucher_unknown") == 5
    assert told[5:] == ["too_many_tries"] * 35


def test_a_new_card_makes_the_slips_before_it_forgotten(rt, cast):
    guesses = codes.new_codes(Random(99), "digits", 8)
    first = [answer_to(rt, cast, guess) for guess in guesses[:4]]
    assert answer_to(rt, cast, cast.make_voucher().code) == "online"

    assert first + [answer_to(rt, cast, guess) for guess in guesses[4:]] == ["voucher_unknown"] * 8
