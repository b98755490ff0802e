"""An installation with something to lose, and the owner's identity."""

from __future__ import annotations

import pytest

from bawaba.backups import key
from bawaba.core.actor import SYSTEM
from bawaba.core.runtime import Runtime
from bawaba.vouchers import making, qr
from tests.cast import Cast


@pytest.fixture
def identity(rt: Runtime, cast: Cast) -> str:
    """The owner's identity; with it, twenty cards and one stored picture."""
    cards = [cast.make_voucher() for _ in range(20)]
    making.store(rt).put_single(cards[0].id, qr.card_matrices("http://login.wifi", [cards[0].code])[0])
    return key.make(rt, SYSTEM).identity
