"""Caps hold when everybody asks in the same moment, over threads and over two processes."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from sqlalchemy import func, select

from bawaba.sessions.guessing import DEVICE_TRIES, SITE_BURST
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import codes
from tests.cast import PHONE, phones

PROCESSES, THREADS = 2, 20
Asked = Callable[..., Counter[str]]


@pytest.fixture
def all_at_once(rt, cast, config) -> Asked:
    """Asks with (code, mac) pairs, dealt out to two processes with twenty threads each; how often which answer came."""
    command = [sys.executable, "-m", "tests.sessions.crowd", str(config.data_dir), config.sqlalchemy_url]

    def ask(pairs: list[tuple[str, str]], later_s: int = 0) -> Counter[str]:
        words = [*command, str(cast.router.id), str(later_s)]
        crowds = [
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)
        ]
        for number, crowd in enumerate(crowds):
            tell(crowd, "".join(f"{code} {mac}\n" for code, mac in pairs[number::PROCESSES]))
        for crowd in crowds:
            assert crowd.stdout is not None and crowd.stdout.readline() == "ready\n"
        for crowd in crowds:
            tell(crowd, "go\n")
        return Counter(line for crowd in crowds for line in crowd.communicate(timeout=60)[0].split())

    return ask


def tell(crowd: subprocess.Popen[str], text: str) -> None:
    assert crowd.stdin is not None
    crowd.stdin.write(text)
    crowd.stdin.flush()


def wrong_codes(count: int) -> list[str]:
    return codes.new_codes(Random(99), "digits", count)


def test_one_phone_that_guesses_from_everywhere_gets_five_tries(all_at_once):
    answers = all_at_once([(code, PHONE) for code in wrong_codes(120)])

    assert answers["voucher_unknown"] == DEVICE_TRIES
    assert answers["too_many_tries"] == 120 - DEVICE_TRIES


def test_many_phones_that_guess_are_stopped_at_the_sites_cap(all_at_once):
    """What was under way when the first burst was over is answered still; from then on the cap is exact."""
    guesses = list(zip(wrong_codes(200), phones(200), strict=True))
    burst = all_at_once(guesses[:140])
    minute_later = all_at_once(guesses[140:], later_s=60)

    assert SITE_BURST <= burst["voucher_unknown"] < SITE_BURST + PROCESSES * THREADS
    assert minute_later["voucher_unknown"] in (9, 10) and minute_later.total() == 60
    assert minute_later["too_many_tries"] >= 50


def test_a_card_for_three_phones_lets_three_of_forty_in(all_at_once, cast, rt):
    card = cast.make_voucher(devices_at_once=3)
    answers = all_at_once([(card.code, mac) for mac in phones(40)])

    live = rt.read(lambda db: db.scalar(select(func.count(GuestSession.id)).where(GuestSession.ended_at.is_(None))))
    assert live == 3 and answers["too_many_devices"] == 37


def test_a_card_that_three_phones_may_ever_use_is_used_by_three(all_at_once, cast, rt):
    card = cast.make_voucher(devices_at_once=10, devices_ever=3)
    answers = all_at_once([(card.code, mac) for mac in phones(40)])

    assert answers["online"] + answers["opening"] == 3 and answers["too_many_devices"] == 37
