"""Sites as the API speaks of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from bawaba.sites import rules
from bawaba.sites.models import Site
from bawaba.web.input import Input


def _time_zone(name: str) -> str:
    if name not in rules.time_zones():
        raise ValueError("is not a time zone; use a name like Asia/Aden")
    return name


def _currency(code: str) -> str:
    if code not in rules.currencies():
        raise ValueError("is not a currency; use its three letters, like YER or USD")
    return code


TimeZone = Annotated[str, AfterValidator(_time_zone)]
Currency = Annotated[str, StringConstraints(to_upper=True), AfterValidator(_currency)]
Decimals = Annotated[int, Field(ge=0, le=rules.DECIMALS_MOST)]
Mode = Literal["server_held", "router_held"]
Name = Annotated[str, Field(min_length=1, max_length=120)]
Language = Annotated[str, Field(min_length=2, max_length=8, pattern=r"^[a-z]{2,3}$")]
Colour = Annotated[str, Field(pattern=r"^(#[0-9A-Fa-f]{6})?$"), StringConstraints(to_lower=True)]
TRIAL_MOST_MINUTES = 24 * 60
Host = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9.:\-\[\]]+$")]


class SiteIn(Input):
    """A new site. Without `currency_decimals` the currency's usual number is taken."""

    name: Name
    time_zone: TimeZone
    currency: Currency
    currency_decimals: Decimals | None = None
    mode: Mode = "server_held"
    language: Language = "ar"
    portal_host: Host = "login.wifi"
    wifi_name: str = Field("", max_length=64)
    support: str = Field("", max_length=120)
    device_moves_per_day: int = Field(1, ge=0, le=100)
    wrong_tries_per_minute: int = Field(10, ge=1, le=1000)
    colour: Colour = ""
    terms: str = Field("", max_length=2000)
    trial_minutes: int | None = Field(None, ge=1, le=TRIAL_MOST_MINUTES)
    trial_rate_kbps: int | None = Field(None, ge=32, le=1_000_000)


class SiteChange(Input):
    """What may be changed; what is left out stays (so the defaults here count for nothing)."""

    name: Name = ""
    time_zone: TimeZone = ""
    currency: Currency = ""
    currency_decimals: Decimals = 0
    mode: Mode = "server_held"
    language: Language = ""
    portal_host: Host = ""
    wifi_name: str = Field("", max_length=64)
    support: str = Field("", max_length=120)
    device_moves_per_day: int = Field(1, ge=0, le=100)
    wrong_tries_per_minute: int = Field(10, ge=1, le=1000)
    colour: Colour = ""
    terms: str = Field("", max_length=2000)
    trial_minutes: int | None = Field(None, ge=1, le=TRIAL_MOST_MINUTES)
    trial_rate_kbps: int | None = Field(None, ge=32, le=1_000_000)

    def changes(self) -> dict[str, Any]:
        """Only what was sent."""
        return self.model_dump(exclude_unset=True)


def site_out(site: Site) -> dict[str, Any]:
    """A site."""
    return {
        "id": site.id,
        "name": site.name,
        "time_zone": site.time_zone,
        "currency": site.currency,
        "currency_decimals": site.currency_decimals,
        "mode": site.mode,
        "language": site.language,
        "portal_host": site.portal_host,
        "wifi_name": site.wifi_name,
        "support": site.support,
        "device_moves_per_day": site.device_moves_per_day,
        "wrong_tries_per_minute": site.wrong_tries_per_minute,
        "colour": site.colour,
        "terms": site.terms,
        "trial_minutes": site.trial_minutes,
        "trial_rate_kbps": site.trial_rate_kbps,
        "created_at": site.created_at,
    }
