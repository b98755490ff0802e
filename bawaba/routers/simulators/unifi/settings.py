"""What a simulated controller is, and the switches for what no manual says."""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 1024 * 1024


@dataclass(slots=True)
class Behaviour:
    """Quirks; they may be changed while it runs."""

    delay_s: float = 0.0  # every answer comes this much later
    official_blind_s: float = 0.0  # the official API does not show a device that joined so recently
    mac_filter_broken: bool = False  # the official API's filter by MAC finds nothing
    session_s: float = 7200.0  # how long a log-in lasts
    csrf_rotates: bool = True  # every answer to a write brings another CSRF token
    csrf_on_reads: bool = True  # answers to reads bring the token that holds
    logins_a_minute: int = 20  # more of them are answered 429
    megabyte: int = MIB  # what the word `bytes` counts in: 1048576, or 1000000
    opens_after_s: float = 0.0  # the access point lets traffic through so long after the controller's yes
    errors_as_200: bool = True  # `rc: error` comes with HTTP 200, else with 400
    key_on_classic: bool = True  # the classic API takes the API key as well
    classic: bool = True  # there is a classic API
    list_shows: str = "noted"  # whom `list/user` names: "noted" (who has a note), or "blocked" (no more than those)
    stations_show_notes: bool = True  # `stat/sta` shows a client's note


@dataclass(frozen=True, slots=True)
class Settings:
    """What is decided when a controller is made."""

    unifi_os: bool = True
    version: str = "10.6.106"
    name: str = "UniFi"
    device_type: str = "UDMPRO"
    username: str = "bawaba"
    password: str = field(default="secret", repr=False)
    api_key: str = field(default="", repr=False)
    sites: tuple[str, ...] = ("default",)
    role: str = "admin"  # or "readonly": every write is refused
    two_factor: bool = False
    portal: bool = True  # the guest portal is on
    portal_auth: str = "custom"  # an external portal server; "none" and "hotspot" are its own pages
    redirect_https: bool = False
    clock_offset_s: float = 0.0
