"""How much of a guessed code is right cannot be measured: what is looked for in the index is a keyed digest."""

from __future__ import annotations

import sqlite3

from sqlalchemy import select

from bawaba.core.keyring import Keyring
from bawaba.vouchers.models import Voucher
from bawaba.vouchers.queries import code_digest
from tests.cast import Cast


def common_start(one: bytes, other: bytes) -> int:
    """How many bytes two values begin with alike: what a comparison's time could tell."""
    return next((number for number, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))


def test_a_guess_that_is_nearly_right_is_as_far_off_as_any(rt):
    right = "482109375561"
    near = [right[:-1] + digit for digit in "023456789"]
    far = [code_digest(rt.keyring, guess) for guess in near]
    assert max(common_start(code_digest(rt.keyring, right), digest) for digest in far) <= 2


def test_without_the_key_file_the_digest_of_a_code_cannot_be_made(rt):
    assert code_digest(rt.keyring, "482109375561") != code_digest(Keyring(b"\1" * 32), "482109375561")


def test_no_code_lies_readable_in_the_database(rt, cast: Cast):
    voucher = cast.make_voucher()
    stored = rt.read(lambda db: db.scalars(select(Voucher)).one())
    assert stored.code_digest == code_digest(rt.keyring, voucher.code)
    with sqlite3.connect(rt.config.sqlite_path) as database:
        dump = "\n".join(database.iterdump())
    assert voucher.code not in dump
    assert voucher.code.encode().hex() not in dump.lower()
