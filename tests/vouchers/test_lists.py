"""Lists of cards: whatever is asked for, every card once, on whichever page."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from bawaba.core.actor import Actor
from bawaba.core.runtime import Runtime
from bawaba.vouchers import queries, rules
from bawaba.vouchers.models import Batch, Voucher
from bawaba.web.paging import PageRequest
from tests.cast import Cast, person

SIZE = 3


def all_pages(rt: Runtime, actor: Actor, **wanted: Any) -> list[Voucher]:
    """What somebody sees who turns every page."""
    seen: list[Voucher] = []
    after: int | None = None
    for _ in count():
        rows = rt.read(
            queries.list_cards, actor, PageRequest(SIZE, after), rt.clock.now(), keyring=rt.keyring, **wanted
        )
        seen += [voucher for voucher, _version in rows[:SIZE]]
        if len(rows) <= SIZE:
            return seen
        after = seen[-1].id
    raise AssertionError


@pytest.fixture
def cards(cast: Cast) -> list[Voucher]:
    """Cards of every standing, some in a batch, at one site; two of them end in the same instant."""
    version = cast.make_plan()
    facts = {"plan_version_id": version.id, "code_style": "digits", "price_minor": 1, "currency": "YER"}
    batch = cast._add(
        Batch(site_id=cast.site.id, number=1, state="ready", quantity=9, created_at=cast.now, **facts),
    )
    standings: list[dict[str, Any]] = [
        {},
        {"status": "used"},
        {"disabled_at": cast.now},
        {"over_at": cast.now - timedelta(hours=1)},
        {"over_at": cast.now - timedelta(hours=1), "status": "used"},
        {"over_at": cast.now - timedelta(minutes=3), "disabled_at": cast.now},
        {"over_at": cast.now - timedelta(days=2)},
        {"over_at": cast.now + timedelta(days=2)},
    ]
    made = [
        cast.make_voucher(version=version, card={**standing, **batched})
        for batched in ({}, {"batch_id": batch.id})
        for standing in standings
    ]
    return [cast.row(Voucher, card.id) for card in made]


@pytest.mark.parametrize("status", [None, *queries.STATUSES])
@pytest.mark.parametrize("of_batch", [False, True])
@pytest.mark.parametrize("sites", [1, 2])
def test_every_card_is_on_one_page_and_on_one_only(
    rt: Runtime, cast: Cast, cards: list[Voucher], status: str | None, of_batch: bool, sites: int
):
    elsewhere = [cast.make_voucher(site_id=cast.make_site().id).id for _ in range(sites - 1)]
    batch_id = cards[-1].batch_id if of_batch else None
    here = {
        card.id
        for card in cards
        if status in (None, rules.status_at(card, rt.clock.now())) and (not of_batch or card.batch_id == batch_id)
    }

    for actor in (person("admin"), person("operator", frozenset({cast.site.id}))):
        seen = [card.id for card in all_pages(rt, actor, status=status, batch_id=batch_id)]
        also = elsewhere if actor.site_ids is None and status in (None, "unused") and not of_batch else []
        assert sorted(seen) == sorted([*here, *also])
        if status != "expired":
            assert seen == sorted(seen, reverse=True)


def test_the_latest_end_comes_first_among_expired_cards(rt: Runtime, cards: list[Voucher]):
    ends = [card.over_at for card in all_pages(rt, person("admin"), status="expired")]

    assert ends == sorted(ends, reverse=True) and len(ends) == 6  # type: ignore[type-var]


@pytest.mark.parametrize("sites", [1, 2])
def test_a_search_by_serial_goes_through_in_order(rt: Runtime, cast: Cast, cards: list[Voucher], sites: int):
    for _ in range(sites - 1):
        cast.make_site()

    serials = [card.serial for card in all_pages(rt, person("admin"), q="s")]

    assert serials == sorted(card.serial for card in cards)
