"""A plan as people read it: 3 h · 1 GB · 5 Mbit/s · within 7 days."""

from __future__ import annotations

from typing import Protocol

from bawaba.plans.rules import USED_TIME
from bawaba.web.language import rate, size, span, translate, translate_count


class Terms(Protocol):
    """What a plan gives; None is no limit."""

    @property
    def kind(self) -> str: ...
    @property
    def duration_seconds(self) -> int | None: ...
    @property
    def quota_bytes(self) -> int | None: ...
    @property
    def quota_up_bytes(self) -> int | None: ...
    @property
    def quota_down_bytes(self) -> int | None: ...
    @property
    def rate_down_kbps(self) -> int | None: ...
    @property
    def rate_up_kbps(self) -> int | None: ...
    @property
    def devices_at_once(self) -> int: ...
    @property
    def valid_for_seconds(self) -> int | None: ...


def in_words(plan: Terms, language: str | None = None) -> list[str]:
    """What the plan buys, the most important first, in the reader's language."""
    words: list[str] = []
    if plan.duration_seconds is not None:
        text = "%(span)s online" if plan.kind == USED_TIME else "%(span)s from first use"
        words.append(translate(text, language, span=span(plan.duration_seconds, language)))
    for quota, text in (
        (plan.quota_bytes, "%(size)s"),
        (plan.quota_down_bytes, "%(size)s down"),
        (plan.quota_up_bytes, "%(size)s up"),
    ):
        if quota is not None:
            words.append(translate(text, language, size=size(quota, language)))
    if plan.valid_for_seconds is not None:
        words.append(translate("within %(span)s", language, span=span(plan.valid_for_seconds, language)))
    fastest = plan.rate_down_kbps or plan.rate_up_kbps
    if fastest is not None:
        words.append(rate(fastest, language))
    if plan.devices_at_once > 1:
        words.append(translate_count("%(count)s device", "%(count)s devices", plan.devices_at_once, language))
    return words


def plan_words(plan: Terms, language: str | None = None) -> str:
    """The same in one line; each part keeps its own order inside a right-to-left one (Unicode UAX 9, isolates)."""
    return " · ".join(f"\u2068{part}\u2069" for part in in_words(plan, language))
