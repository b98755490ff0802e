"""Clocks and money of a site, checked against the world's lists."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import available_timezones

from babel.core import get_global
from babel.numbers import get_currency_precision, list_currencies

DECIMALS_MOST = 3
SERVER_HELD, ROUTER_HELD = "server_held", "router_held"
NOT_ISO = frozenset({"XXX", "XTS"})  # "no currency" and "for testing" (ISO 4217)


@lru_cache
def time_zones() -> frozenset[str]:
    """Every zone by its name in the tz database, without the special ones that are no places."""
    return frozenset(name for name in available_timezones() if not name.startswith(("posix/", "right/", "SystemV/")))


@lru_cache
def currencies() -> frozenset[str]:
    """Every currency code of ISO 4217 that is in use somewhere today."""
    today = {
        code for used in get_global("territory_currencies").values() for code, _, ended, tender in used if not ended
    }
    return (frozenset(today) & frozenset(list_currencies())) - NOT_ISO


def usual_decimals(currency: str) -> int:
    """How many decimals people write: 2 for USD, 0 for YER and IQD, 3 for JOD and KWD (Unicode CLDR)."""
    return min(get_currency_precision(currency), DECIMALS_MOST)


def decimals_for(currency: str, site_currency: str, site_decimals: int) -> int:
    """Decimals of an amount at a site: its own choice for its own currency, the usual ones for others."""
    return site_decimals if currency == site_currency else usual_decimals(currency)
