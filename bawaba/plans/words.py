"""A plan as people read it: 3 hours online · 1 GB · 5 Mbit/s · valid 7 days after first use."""

from __future__ import annotations

from typing import Protocol

from bawaba.plans.rules import USED_TIME
from bawaba.web.language import rate, size, translate, translate_count

LENGTHS = (
    (86_400, "%(count)s day", "%(count)s days"),
    (3_600, "%(count)s hour", "%(count)s hours"),
    (60, "%(count)s minute", "%(count)s minutes"),
    (1, "%(count)s second", "%(count)s seconds"),
)
BETWEEN = " · "
ISOLATE, ISOLATE_END = "\u2068", "\u2069"  # each part keeps its own order in a right-to-left line (Unicode UAX 9)


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


class Named(Terms, Protocol):
    """Terms that are sold under a name."""

    @property
    def name(self) -> str: ...


def plan_words(plan: Terms, language: str | None = None) -> str:
    """All that a plan buys in one line, without its price."""
    return BETWEEN.join(f"{ISOLATE}{part}{ISOLATE_END}" for part in in_words(plan, language))


def plan_more(plan: Named, language: str | None = None) -> str:
    """What stands beside a plan's name: what it buys, without what the name says already."""
    said = plan.name.strip().casefold()
    return BETWEEN.join(f"{ISOLATE}{part}{ISOLATE_END}" for part in in_words(plan, language) if part.casefold() != said)


def plan_title(plan: Named, language: str | None = None) -> str:
    """A plan's name and what it buys beyond that, in one line."""
    more = plan_more(plan, language)
    return f"{ISOLATE}{plan.name}{ISOLATE_END}" + (BETWEEN + more if more else "")


def in_words(plan: Terms, language: str | None = None) -> list[str]:
    """The same part by part, the most important first."""
    parts = [
        _time(plan, language),
        _amount(plan.quota_bytes, "%(amount)s", language),
        _amount(plan.quota_down_bytes, "%(amount)s download", language),
        _amount(plan.quota_up_bytes, "%(amount)s upload", language),
        *_rates(plan, language),
        _devices(plan, language),
        _validity(plan, language),
    ]
    return [part for part in parts if part]


def length(seconds: int, language: str | None = None) -> str:
    """A length of time to the second, for a plan is a promise: 3 hours, 1 day, 1 hour 30 minutes."""
    text = ""
    for unit, one, many in LENGTHS:
        count, seconds = divmod(seconds, unit)
        if count:
            part = translate_count(one, many, count, language)
            text = translate("%(larger)s %(smaller)s", language, larger=text, smaller=part) if text else part
    return text


def _time(plan: Terms, language: str | None) -> str:
    if plan.duration_seconds is None:
        return ""
    text = "%(length)s online" if plan.kind == USED_TIME else "%(length)s from first use"
    return translate(text, language, length=length(plan.duration_seconds, language))


def _amount(quota: int | None, text: str, language: str | None) -> str:
    return "" if quota is None else translate(text, language, amount=size(quota, language))


def _rates(plan: Terms, language: str | None) -> list[str]:
    down, up = plan.rate_down_kbps, plan.rate_up_kbps
    if down is not None and up in (None, down):
        return [rate(down, language)]
    both = ((down, "%(amount)s download"), (up, "%(amount)s upload"))
    return [translate(text, language, amount=rate(kbps, language)) for kbps, text in both if kbps is not None]


def _devices(plan: Terms, language: str | None) -> str:
    count = plan.devices_at_once
    return translate_count("%(count)s device", "%(count)s devices", count, language) if count > 1 else ""


def _validity(plan: Terms, language: str | None) -> str:
    if plan.valid_for_seconds is None:
        return ""
    return translate("valid %(length)s after first use", language, length=length(plan.valid_for_seconds, language))
