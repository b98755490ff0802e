"""Languages: catalogues of sentences, and times, money and sizes in words.

A language is a folder `translations/<code>/` of .po files (portal.po is all that guests need). English is the source.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_datetime, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from flask import g, has_request_context
from werkzeug.datastructures import LanguageAccept

CATALOGUES = Path(__file__).parent / "translations"
SOURCE = "en"
SPOKEN: ContextVar[str] = ContextVar("spoken", default=SOURCE)
RIGHT_TO_LEFT = frozenset({"ar", "fa", "ur", "ckb", "he", "ps"})
UNITS = ((1024**4, "TB"), (1024**3, "GB"), (1024**2, "MB"), (1024, "kB"))


@lru_cache
def languages() -> tuple[str, ...]:
    """Every language there is a catalogue for; English needs none."""
    return (SOURCE, *sorted(folder.name for folder in CATALOGUES.iterdir() if folder.is_dir()))


@lru_cache
def catalogue(language: str) -> NullTranslations:
    """The sentences of one language; English sentences stand for what is missing."""
    if language == SOURCE:
        return NullTranslations()
    merged: GNUTranslations | None = None
    for path in sorted((CATALOGUES / language).glob("*.po")):
        compiled = io.BytesIO()
        with path.open("rb") as file:
            write_mo(compiled, read_po(file, locale=language))
        compiled.seek(0)
        part = GNUTranslations(compiled)
        if merged is None:
            merged = part
        else:
            merged._catalog.update({k: v for k, v in part._catalog.items() if k})  # type: ignore[attr-defined]
    return merged or NullTranslations()


def current() -> str:
    """The language of this request, or of the command that `speak` was told about."""
    return str(g.get("language", SOURCE)) if has_request_context() else SPOKEN.get()


def speak(language: str) -> None:
    """Use a language from now on where there is no request: in a command."""
    SPOKEN.set(language)


def translate(sentence: str, language: str | None = None, **values: Any) -> str:
    """`sentence` in the reader's language, with %(names)s filled in."""
    text = catalogue(language or current()).gettext(sentence)
    return text % values if values else text


def translate_count(one: str, many: str, count: int, language: str | None = None, **values: Any) -> str:
    """The plural that fits `count` (Arabic has six), with %(count)s and other names filled in."""
    shown = number(count, language or current())
    return catalogue(language or current()).ngettext(one, many, count) % {"count": shown, **values}


def own_name(language: str) -> str:
    """What a language calls itself: العربية, Bahasa Indonesia (Unicode CLDR)."""
    return str(Locale.parse(language).get_display_name(language) or language)


def direction(language: str) -> str:
    """Which way its script runs: rtl or ltr."""
    return "rtl" if language in RIGHT_TO_LEFT else "ltr"


def choose(asked: str | None, accepted: LanguageAccept | None, fallback: str, among: Sequence[str] = ()) -> str:
    """The language to speak: the one asked for, else what the browser prefers, else `fallback`."""
    known = tuple(among) or languages()
    if asked in known:
        return str(asked)
    return (accepted.best_match(known) if accepted else None) or (fallback if fallback in known else SOURCE)


@lru_cache
def locale(language: str) -> Locale:
    """Babel's locale; Western digits in Arabic too, for codes and prices are read that way on routers and phones."""
    return Locale.parse("ar_AE" if language == "ar" else language)


def number(value: float, language: str | None = None) -> str:
    """A number with the language's grouping."""
    return format_decimal(value, locale=locale(language or current()))


def money(minor: int, currency: str, decimals: int, language: str | None = None) -> str:
    """An amount in minor units, with the site's own number of decimals: 1500 YER, 3.50 USD."""
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    return f"{format_decimal(minor / 10**decimals, pattern, locale=locale(language or current()))} {currency}"


def moment(at: datetime, zone: str, language: str | None = None) -> str:
    """A date and time on the site's clock."""
    pattern = translate("d MMM y, HH:mm", language)
    return format_datetime(at, pattern, tzinfo=ZoneInfo(zone), locale=locale(language or current()))


def day(at: datetime, zone: str, language: str | None = None) -> str:
    """A day on the site's calendar."""
    return format_datetime(at, "d MMM y", tzinfo=ZoneInfo(zone), locale=locale(language or current()))


def clock_time(at: datetime, zone: str, language: str | None = None) -> str:
    """A time of day on the site's clock."""
    return format_time(at, "HH:mm", tzinfo=ZoneInfo(zone), locale=locale(language or current()))


def size(value: int, language: str | None = None) -> str:
    """Bytes as people say them, rounded down: never more than there is."""
    for unit, name in UNITS:
        if value >= unit:
            scaled = math.floor(value / unit * 10) / 10
            return f"{number(scaled, language)} {name}"
    return f"{number(value, language)} B"


def span(seconds: float, language: str | None = None) -> str:
    """A length of time in its two largest units, rounded down: 2 h 59 min."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, one, many in (
        (86400, "%(count)s day", "%(count)s days"),
        (3600, "%(count)s h", "%(count)s h"),
        (60, "%(count)s min", "%(count)s min"),
        (1, "%(count)s s", "%(count)s s"),
    ):
        count, left = divmod(left, unit)
        if count and len(parts) < 2:
            parts.append(translate_count(one, many, count, language))
        elif parts:
            break
    if len(parts) == 2:
        return translate("%(larger)s %(smaller)s", language, larger=parts[0], smaller=parts[1])
    return "".join(parts) or translate_count("%(count)s s", "%(count)s s", 0, language)


def rate(kbps: int, language: str | None = None) -> str:
    """A speed: 512 kbit/s, 5 Mbit/s."""
    return f"{number(kbps / 1000, language)} Mbit/s" if kbps >= 1000 else f"{number(kbps, language)} kbit/s"
