"""What each gateway's redirect calls the guest's router and device, in one table; and what our own pages carry on.

Whatever a redirect says came through the guest's hands. Here it is only put into our words; `guests.identify` asks the
router. Where a guest had wanted to go (`link-orig`, `userurl`, `originurl`, `url`) is left out: after signing in the
browser comes back to us and to nowhere else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlencode

LONGEST = {"token": 512}
LONGEST_OTHER = 200
OURS = ("router", "at", "client_mac", "client_ip", "token")  # `at`: the gateway's own name for itself


@dataclass(frozen=True)
class Dialect:
    """How one make speaks. A redirect with all of `marks` is of this make; `token` are the words that its driver needs
    to let the guest's browser in. The names are tried in order."""

    marks: tuple[str, ...]
    at: tuple[str, ...]
    client_mac: tuple[str, ...]
    client_ip: tuple[str, ...]
    token: tuple[str, ...] = ()


DIALECTS = (
    Dialect(  # openNDS, FAS levels 1 and 4: the text inside of `fas`
        ("hid", "clientmac"), ("gatewayname",), ("clientmac",), ("clientip",), ("hid", "gatewayaddress")
    ),
    Dialect(  # openNDS, FAS level 0
        ("tok", "authaction"), ("gatewayname",), ("clientmac",), ("clientip",), ("tok", "authaction")
    ),
    Dialect(  # RouterOS manual, HotSpot customisation: $(link-login-only), $(identity), $(server-name), …
        ("link-login-only",),
        ("identity", "server-name"),
        ("mac", "mac-esc"),
        ("ip",),
        ("link-login-only", "chap-id", "chap-challenge"),
    ),
    Dialect(  # UniFi Network, external portal: /guest/s/<site>/?ap=&id=&t=&url=&ssid=
        ("ap", "id"), ("site",), ("id",), (), ("ap", "ssid")
    ),
    Dialect(  # CoovaChilli, UAM
        ("uamip", "uamport"), ("nasid",), ("mac",), ("ip",), ("uamip", "uamport", "challenge", "sessionid")
    ),
    Dialect(  # a page that somebody wrote for a gateway of another make
        (), ("nasid", "gatewayname"), ("mac", "clientmac", "id"), ("ip", "clientip"), ("tok", "hid")
    ),
)


def translated(said: Mapping[str, str]) -> dict[str, str]:
    """A redirect in our words. Our own words stand as they are; what is empty, too long or unprintable is left out."""
    words = {name: said[name] for name in OURS if said.get(name)}
    if fas := said.get("fas"):
        said = {**said, **_opennds(fas)}
    spoken = next(dialect for dialect in DIALECTS if all(said.get(mark) for mark in dialect.marks))
    words = {**_in_our_words(said, spoken), **words}
    return {name: text for name, text in words.items() if _is_sane(name, text)}


def site_ref(token: str | None) -> dict[str, str]:
    """What the driver is told of the redirect: the words that `token` holds, or the whole of it under its own name."""
    if not token:
        return {}
    return dict(parse_qsl(token)) or {"token": token}


def _in_our_words(said: Mapping[str, str], spoken: Dialect) -> dict[str, str]:
    named = {name: said[name] for name in spoken.token if said.get(name)}
    words = {
        "at": _first(said, spoken.at),
        "client_mac": _first(said, spoken.client_mac),
        "client_ip": _first(said, spoken.client_ip),
        "token": urlencode(named) if spoken.marks else _first(said, spoken.token),
    }
    return {name: text for name, text in words.items() if text}


def _first(said: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((said[name] for name in names if said.get(name)), "")


def _opennds(fas: str) -> dict[str, str]:
    """The words of openNDS's `fas`: base64 of `name=value` joined by ", " (openNDS manual, Forward Authentication
    Service). `gatewayname` is URL-encoded and ends with the node's MAC, which is not part of the name."""
    try:
        plain = fas.replace(" ", "+")  # openNDS does not URL-encode it
        text = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return {}
    pairs = (part.partition("=") for part in text.split(", "))
    words = {name: value for name, _, value in pairs if value and value != "(null)"}
    if "gatewayname" in words:
        words["gatewayname"] = unquote(words["gatewayname"]).partition(" Node:")[0].strip()
    return words


def _is_sane(name: str, text: str) -> bool:
    return 0 < len(text) <= LONGEST.get(name, LONGEST_OTHER) and text.isprintable()
