"""Changing cards over the API."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from pydantic import Field

from bawaba.accounts.idempotency import idempotent, once
from bawaba.plans.rules import QUOTA_MOST_BYTES, SPAN_MOST_SECONDS
from bawaba.sessions import care, checking
from bawaba.vouchers import making
from bawaba.vouchers.api import card_answer
from bawaba.vouchers.queries import Card, get_card
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import Input, body, takes

bp = APIBlueprint("care_api", __name__)


class ExtendIn(Input):
    """More time, more data or both, and why."""

    seconds: int = Field(0, ge=0, le=SPAN_MOST_SECONDS)
    bytes: int = Field(0, ge=0, le=QUOTA_MOST_BYTES)
    reason: str = Field(min_length=1, max_length=200)


class AddIn(Input):
    """The card that is added, by its code or serial."""

    card: str = Field(min_length=1, max_length=200)


class ReplaceIn(Input):
    """Why a card is replaced."""

    reason: str = Field(min_length=1, max_length=200)


class CheckIn(Input):
    """A code, a serial, or what a scanner reads off a card."""

    card: str = Field(min_length=1, max_length=200)


def _must_be_there(voucher_id: int) -> None:
    """404 comes before 422."""
    runtime().read(get_card, actor(), voucher_id)


def _answer(card: Card) -> dict[str, Any]:
    voucher, version = card
    return card_answer(voucher, version, making.sync_of(runtime(), [voucher.id]).get(voucher.id))


def _show(voucher_id: int) -> dict[str, Any]:
    return _answer(runtime().read(get_card, actor(), voucher_id))


@bp.post("/api/cards/check")
@requires("cards:check")
@takes(CheckIn)
def check() -> dict[str, Any]:
    """How a card stands: what is left, and when it was used. Wrong codes count against the caller's cap."""
    rt = runtime()
    found = checking.check(rt, actor(), body(CheckIn).card)
    seen = rt.read(checking.look, actor(), found, rt.clock.now())
    return {
        "id": seen.voucher.id,
        "serial": seen.voucher.serial,
        "status": seen.status,
        "frozen": seen.voucher.frozen_at is not None,
        "plan_name": seen.version.name,
        "remaining_seconds": seen.left.seconds,
        "remaining_bytes": seen.left.bytes_total,
        "first_used_at": seen.voucher.first_used_at,
        "over_at": seen.voucher.over_at,
        "online": seen.online,
    }


@bp.post("/api/vouchers/<int:voucher_id>/extend")
@requires("cards:change")
@takes(ExtendIn)
@idempotent(again=_show, status=200)
def extend(voucher_id: int) -> dict[str, Any]:
    """Give a card more time or data; a repeat with the same `Idempotency-Key` gives nothing more."""
    _must_be_there(voucher_id)
    wanted = body(ExtendIn)
    return _answer(care.extend(runtime(), actor(), voucher_id, wanted.seconds, wanted.bytes, wanted.reason, once()))


@bp.post("/api/vouchers/<int:voucher_id>/add")
@requires("cards:change")
@takes(AddIn)
def add(voucher_id: int) -> dict[str, Any]:
    """Put what is left on another card of the same sort onto this one."""
    _must_be_there(voucher_id)
    other_id = checking.check(runtime(), actor(), body(AddIn).card)
    return _answer(care.add_card(runtime(), actor(), voucher_id, other_id))


@bp.post("/api/vouchers/<int:voucher_id>/freeze")
@requires("cards:change")
def freeze(voucher_id: int) -> dict[str, Any]:
    """Switch a card off with its clock stopped."""
    return _answer(care.freeze(runtime(), actor(), voucher_id))


@bp.post("/api/vouchers/<int:voucher_id>/unfreeze")
@requires("cards:change")
def unfreeze(voucher_id: int) -> dict[str, Any]:
    """Let a frozen card go on with what it had."""
    return _answer(care.unfreeze(runtime(), actor(), voucher_id))


@bp.post("/api/vouchers/<int:voucher_id>/replace")
@requires("cards:change")
@takes(ReplaceIn)
def replace(voucher_id: int) -> tuple[dict[str, Any], int]:
    """Make a card in place of a lost one; a repeat is told 409 `card_moved` with the new card's id."""
    _must_be_there(voucher_id)
    return _answer(care.replace(runtime(), actor(), voucher_id, body(ReplaceIn).reason)), 201
