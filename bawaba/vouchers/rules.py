"""What a card is worth at a given time. Pure decisions: values in, answer out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol


class CardFacts(Protocol):
    """What a card's standing follows from."""

    @property
    def status(self) -> str: ...
    @property
    def disabled_at(self) -> datetime | None: ...
    @property
    def over_at(self) -> datetime | None: ...


class PlanFacts(Protocol):
    """What a plan gives; None is no limit."""

    @property
    def kind(self) -> str: ...
    @property
    def duration_seconds(self) -> int | None: ...
    @property
    def valid_for_seconds(self) -> int | None: ...
    @property
    def shelf_life_seconds(self) -> int | None: ...


class UsedFacts(PlanFacts, Protocol):
    """A card together with its plan."""

    @property
    def over_at(self) -> datetime | None: ...
    @property
    def first_used_at(self) -> datetime | None: ...
    @property
    def ends_at(self) -> datetime | None: ...


def status_at(card: CardFacts, now: datetime) -> str:
    """unused, used, disabled or expired: disabled is what a person decided, expired what the clock did."""
    if card.disabled_at is not None:
        return "disabled"
    if is_over(card, now):
        return "expired"
    return card.status


def is_over(card: CardFacts, now: datetime) -> bool:
    """Whether its end, its validity or its shelf life is reached."""
    return card.over_at is not None and card.over_at <= now


def unused_until(plan: PlanFacts, made_at: datetime) -> datetime | None:
    """When an unused card made at `made_at` loses its worth; None when its plan sets no shelf life."""
    return made_at + timedelta(seconds=plan.shelf_life_seconds) if plan.shelf_life_seconds is not None else None


def used_until(plan: PlanFacts, first_used_at: datetime, ends_at: datetime | None) -> datetime | None:
    """The end by the clock of a card first used at `first_used_at`: its time when that runs by the wall clock, its
    validity, its fixed end, whichever is first; None when none of them is set."""
    ends = [] if ends_at is None else [ends_at]
    if plan.kind == "elapsed" and plan.duration_seconds is not None:
        ends.append(first_used_at + timedelta(seconds=plan.duration_seconds))
    if plan.valid_for_seconds is not None:
        ends.append(first_used_at + timedelta(seconds=plan.valid_for_seconds))
    return min(ends, default=None)


def end_as_used(card: UsedFacts, now: datetime) -> datetime | None:
    """The end by the clock of a card in use; of one whose time has not begun, as if it began now."""
    return card.over_at if card.first_used_at is not None else used_until(card, now, card.ends_at)


def extended(end: datetime | None, now: datetime, seconds: int) -> datetime | None:
    """An end moved on by so much; one that is over already, from now. No end stays none."""
    if end is None or not seconds:
        return end
    return max(end, now) + timedelta(seconds=seconds)


class Frozen(Protocol):
    """The columns of a card that a thaw changes."""

    status: str
    frozen_at: datetime | None
    disabled_at: datetime | None
    over_at: datetime | None
    ends_at: datetime | None
    expires_unused_at: datetime | None


def thaw(card: Frozen, now: datetime) -> None:
    """Switch a frozen card on: its ends move by the time that it was frozen, all but a fixed one."""
    if card.frozen_at is None:
        return
    held = max(timedelta(0), now - card.frozen_at)
    if card.over_at is not None:
        card.over_at = earliest(card.over_at + held, card.ends_at)
    if card.status == "unused" and card.expires_unused_at is not None:
        card.expires_unused_at += held
    card.disabled_at = card.frozen_at = None


def earliest(*times: datetime | None) -> datetime | None:
    """The first of the times that are set."""
    return min((time for time in times if time is not None), default=None)


def serial_of(batch_number: int, number: int) -> str:
    """A card's serial in its batch: B042-0173."""
    return f"B{batch_number:03d}-{number:04d}"


def single_serial(number: int) -> str:
    """The serial of a card made alone: S000173."""
    return f"S{number:06d}"


def masked(code: str) -> str:
    """A code for those who may not read it: only its last two symbols."""
    return "•" * (len(code) - 2) + code[-2:]
