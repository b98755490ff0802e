"""How RouterOS reads and writes its values: durations, addresses, switches, rates."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache

from bawaba.routers.simulators.routeros.errors import BadValue

UNITS_S = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_UNIT = re.compile(r"(\d+)(ms|[wdhms])")
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d)$")
_MAC = re.compile(r"([0-9A-Fa-f]{2})[:-]?" * 5 + r"([0-9A-Fa-f]{2})$")
_RATE = re.compile(r"\d+[kMG]?(/\d+[kMG]?)?$")

Kind = Callable[[str], str]  # what was written → what is kept and shown; raises BadValue


@lru_cache(maxsize=4096)
def duration_seconds(text: str) -> float:
    """Seconds of "1w2d3h4m5s", "03:04:05", "1d03:04:05", "90" or "500ms". Raises `ValueError`."""
    if text.isdecimal():
        return float(text)
    total, position = 0.0, 0
    while match := _UNIT.match(text, position):
        total += int(match[1]) * UNITS_S[match[2]]
        position = match.end()
    if (clock := _CLOCK.match(text, position)) is not None:
        hours, minutes, seconds = (int(part) for part in clock.groups())
        return total + hours * 3600 + minutes * 60 + seconds
    if not text or position != len(text):
        raise ValueError(f"{text!r} is no duration")
    return total


def shown_duration(seconds: float) -> str:
    """As print shows it over the API: "1h30m", "0s"; whole seconds."""
    left, parts = int(seconds), []
    for unit in ("w", "d", "h", "m", "s"):
        count, left = divmod(left, int(UNITS_S[unit]))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def text(value: str) -> str:
    """Anything."""
    return value


def switch(value: str) -> str:
    """yes or no, shown as true or false."""
    if value in ("yes", "true"):
        return "true"
    if value in ("no", "false"):
        return "false"
    raise BadValue


def duration(value: str) -> str:
    """A length of time."""
    try:
        return shown_duration(duration_seconds(value))
    except ValueError as error:
        raise BadValue from error


def duration_or_none(value: str) -> str:
    """A length of time, or `none`; zero is no time-out."""
    if value == "none":
        return value
    shown = duration(value)
    if shown == "0s":
        raise BadValue
    return shown


def count(value: str) -> str:
    """A whole number, plain digits: `1G` is the console's way of writing."""
    if not value.isascii() or not value.isdecimal() or int(value) >= 2**64:
        raise BadValue
    return str(int(value))


def count_or_unlimited(value: str) -> str:
    """A whole number above zero, or `unlimited`."""
    if value == "unlimited":
        return value
    if count(value) == "0":
        raise BadValue
    return count(value)


def mac(value: str) -> str:
    """A MAC address, shown in upper case with colons."""
    match = _MAC.match(value)
    if match is None:
        raise BadValue
    return ":".join(match.groups()).upper()


def address(value: str) -> str:
    """An IP address."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError as error:
        raise BadValue from error


def network(value: str) -> str:
    """An address or a network, like 10.0.0.0/8."""
    try:
        shown = ipaddress.ip_interface(value)
    except ValueError as error:
        raise BadValue from error
    return str(shown.ip) if "/" not in value else str(shown)


def networks(value: str) -> str:
    """Several of them, with commas; none at all is everywhere."""
    return ",".join(network(part) for part in value.split(",")) if value else ""


def rates(value: str) -> str:
    """`rx[/tx] [burst [threshold [time [priority [minimum]]]]]` in bit/s, as in `rate-limit`."""
    parts = value.split(" ")
    if not value:
        return ""
    if len(parts) > 6:
        raise BadValue
    for place, part in enumerate(parts):
        if place == 3:
            continue  # burst times are durations, in pairs
        if place == 4:
            if part not in "12345678":
                raise BadValue
        elif not _RATE.match(part):
            raise BadValue
    return value


def one_of(*names: str) -> Kind:
    """One of these words."""

    def read(value: str) -> str:
        if value not in names:
            raise BadValue
        return value

    return read


def any_of(*names: str) -> Kind:
    """Some of these words, with commas."""

    def read(value: str) -> str:
        chosen = [name for name in value.split(",") if name]
        if any(name not in names for name in chosen):
            raise BadValue
        return ",".join(chosen)

    return read


def bits_per_second(rate: str) -> tuple[int, int]:
    """The first pair of a rate limit: bit/s up (rx) and down (tx)."""
    rx, _, tx = rate.split(" ")[0].partition("/")
    return _bits(rx), _bits(tx or rx)


def _bits(part: str) -> int:
    factor = {"k": 1000, "M": 1_000_000, "G": 1_000_000_000}.get(part[-1:], 1)
    return int(part.rstrip("kMG") or 0) * factor
