"""What RADIUS gateways (a NAS, in that world's word) understand, by make: which attributes carry which limit.

Shared by the Access-Accept that lets a guest in and the CoA that changes a session. Pure: values in, answer out. The
names are those of FreeRADIUS's dictionaries. Sources: RFC 2865 to 2869 and 5176; RouterOS manual, "RADIUS";
CoovaChilli's `dictionary.chillispot`; Wi-Fi Alliance WISPr 1.0, annex D.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from bawaba.routers.driver import Limits
from bawaba.routers.options import Networks, RouterOptions, in_words

MAKES_IN_WORDS = {
    "mikrotik": "MikroTik",
    "chilli": "CoovaChilli",
    "aruba": "Aruba",
    "cisco": "Cisco",
    "omada": "Omada",
    "unifi": "UniFi",
    "standard": "Another (standard attributes)",
}
MAKES = tuple(MAKES_IN_WORDS)
COUNTS_BYTES = frozenset({"mikrotik", "chilli"})  # the others have no attribute for a quota: we end the session
COUNTS_FROM_START = frozenset({"chilli"})  # a changed limit is compared with all that the session has used
WORD = 2**32
LONGEST_S = 21_474_720  # RouterOS takes no longer Session-Timeout; who reaches it signs in again
LEAST_INTERIM_S = 60  # RFC 2869, 5.16
LONGEST_INTERIM_S = 3600
SECRET_LEAST = 22
Attributes = dict[str, int | str]

DICTIONARY: Mapping[str, tuple[int | None, int, str]] = {  # name: vendor, number, kind of value
    "User-Name": (None, 1, "text"),
    "NAS-IP-Address": (None, 4, "address"),
    "Framed-IP-Address": (None, 8, "address"),
    "Session-Timeout": (None, 27, "integer"),
    "Idle-Timeout": (None, 28, "integer"),
    "Calling-Station-Id": (None, 31, "text"),
    "NAS-Identifier": (None, 32, "text"),
    "Acct-Session-Id": (None, 44, "text"),
    "Acct-Interim-Interval": (None, 85, "integer"),
    "Mikrotik-Recv-Limit": (14988, 1, "integer"),
    "Mikrotik-Xmit-Limit": (14988, 2, "integer"),
    "Mikrotik-Rate-Limit": (14988, 8, "text"),
    "Mikrotik-Recv-Limit-Gigawords": (14988, 14, "integer"),
    "Mikrotik-Xmit-Limit-Gigawords": (14988, 15, "integer"),
    "Mikrotik-Total-Limit": (14988, 17, "integer"),
    "Mikrotik-Total-Limit-Gigawords": (14988, 18, "integer"),
    "WISPr-Bandwidth-Max-Up": (14122, 7, "integer"),
    "WISPr-Bandwidth-Max-Down": (14122, 8, "integer"),
    "ChilliSpot-Max-Input-Octets": (14559, 1, "integer"),
    "ChilliSpot-Max-Output-Octets": (14559, 2, "integer"),
    "ChilliSpot-Max-Total-Octets": (14559, 3, "integer"),
    "ChilliSpot-Bandwidth-Max-Up": (14559, 4, "integer"),
    "ChilliSpot-Bandwidth-Max-Down": (14559, 5, "integer"),
    "ChilliSpot-Max-Input-Gigawords": (14559, 21, "integer"),
    "ChilliSpot-Max-Output-Gigawords": (14559, 22, "integer"),
    "ChilliSpot-Max-Total-Gigawords": (14559, 23, "integer"),
}


@dataclass(frozen=True, slots=True)
class Used:
    """What a session has used of its limits since it began; nothing, when it is only beginning."""

    seconds: int = 0
    up: int = 0
    down: int = 0


class NasOptions(RouterOptions):
    """The options of a router with the driver `radius`."""

    nas: Literal["mikrotik", "chilli", "aruba", "cisco", "omada", "unifi", "standard"] = Field(
        "standard",
        title="Make of the gateway",
        description="Decides which limits it is told, and in which attributes.",
        json_schema_extra=in_words(MAKES_IN_WORDS),
    )
    interim_seconds: int = Field(
        LEAST_INTERIM_S, title="Tells counters every (seconds)", ge=LEAST_INTERIM_S, le=LONGEST_INTERIM_S
    )
    mac_auth: bool = Field(
        False, title="Devices by their MAC", description="It may send a device's MAC as its user name."
    )
    message_authenticator: bool = Field(
        True,
        title="Signed packets only",
        description="Packets without Message-Authenticator are dropped: others could forge them (CVE-2024-3596).",
    )
    login_url: str = Field(
        "",
        title="Its login page",
        description="Where guests who type a code on our page are sent with it, like http://10.5.50.1/login.",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?)?$",
        max_length=200,
    )
    networks: Networks = Field(
        (),
        title="Its packets come from",
        description="Networks, where that is not its address.",
    )

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> NasOptions:
        """A router's options as they are kept. Raises `pydantic.ValidationError` for what cannot be."""
        return cls.model_validate({name: options[name] for name in cls.model_fields.keys() & options.keys()})

    @property
    def make(self) -> str:
        """The make of the gateway, one of `MAKES`."""
        return self.nas

    @property
    def interim_s(self) -> int:
        """How often it tells its counters."""
        return self.interim_seconds


def limits_for(make: str, limits: Limits, used: Used, now: datetime) -> Attributes:
    """The attributes that carry what is still allowed to a NAS of this make: rounded down, never to 0 (that is "no
    limit" to most), and every limit each time, for some forget those that are not sent again."""
    counted = used if make in COUNTS_FROM_START else Used()
    attributes: Attributes = {}
    seconds = seconds_left(limits, now)
    if seconds is not None:
        attributes["Session-Timeout"] = max(1, min(int(seconds) + counted.seconds, LONGEST_S))
    if make == "mikrotik":
        return attributes | _mikrotik(limits)
    if make == "chilli":
        return attributes | _chilli(limits, counted)
    return attributes | _wispr(limits)


def seconds_left(limits: Limits, now: datetime) -> float | None:
    """How long a right still holds; None without an end."""
    ends: list[float] = [] if limits.uptime_s is None else [limits.uptime_s]
    if limits.until is not None:
        ends.append((limits.until - now).total_seconds())
    return min(ends) if ends else None


def is_spent(limits: Limits, now: datetime) -> bool:
    """Whether nothing is left, so that nobody must be let in."""
    left = (seconds_left(limits, now), limits.bytes_total, limits.bytes_up, limits.bytes_down)
    return any(value is not None and value <= 0 for value in left)


def bytes_of(low: int, high: int | None) -> int:
    """A counter from its two words (RFC 2869, 5.1)."""
    return (high or 0) * WORD + low


def _words(name: str, high_name: str, value: int | None) -> Attributes:
    """A 64-bit limit as its two words: the upper one is sent when it is 0 too, else an old one would go on holding."""
    return {} if value is None else {name: value % WORD, high_name: value // WORD}


def _mikrotik(limits: Limits) -> Attributes:
    """`Rate-Limit` is rx/tx as the router sees it: the guest's upload first; 0 there is no limit."""
    attributes = _words("Mikrotik-Total-Limit", "Mikrotik-Total-Limit-Gigawords", limits.bytes_total)
    attributes |= _words("Mikrotik-Recv-Limit", "Mikrotik-Recv-Limit-Gigawords", limits.bytes_up)
    attributes |= _words("Mikrotik-Xmit-Limit", "Mikrotik-Xmit-Limit-Gigawords", limits.bytes_down)
    if limits.rate_up_kbps or limits.rate_down_kbps:
        up, down = (f"{rate}k" if rate else "0" for rate in (limits.rate_up_kbps, limits.rate_down_kbps))
        attributes["Mikrotik-Rate-Limit"] = f"{up}/{down}"
    return attributes


def _chilli(limits: Limits, used: Used) -> Attributes:
    quotas = (
        ("Total", limits.bytes_total, used.up + used.down),
        ("Input", limits.bytes_up, used.up),
        ("Output", limits.bytes_down, used.down),
    )
    attributes: Attributes = {}
    for word, left, counted in quotas:
        most = None if left is None else left + counted
        attributes |= _words(f"ChilliSpot-Max-{word}-Octets", f"ChilliSpot-Max-{word}-Gigawords", most)
    rates = {"ChilliSpot-Bandwidth-Max-Up": limits.rate_up_kbps, "ChilliSpot-Bandwidth-Max-Down": limits.rate_down_kbps}
    attributes |= {name: rate for name, rate in rates.items() if rate}
    return attributes | _wispr(limits)


def _wispr(limits: Limits) -> Attributes:
    """Rates in bit/s; 32 bits hold 4.29 Gbit/s."""
    rates = {"WISPr-Bandwidth-Max-Up": limits.rate_up_kbps, "WISPr-Bandwidth-Max-Down": limits.rate_down_kbps}
    return {name: min(rate * 1000, WORD - 1) for name, rate in rates.items() if rate}
