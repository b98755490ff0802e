"""The script that makes an openNDS gateway (OpenWrt, or Debian's package) one of ours, and its undo.

At FAS level 1 we reach the gateway, at level 4 it fetches its guests from us over https (openNDS manual, "FAS").
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import shlex
from dataclasses import dataclass
from urllib.parse import urlsplit

CHECK_S = 5  # how often openNDS looks at quotas and clocks
KEPT = "before-bawaba"
BINAUTH = "/usr/lib/opennds/binauth_log.sh"
RESTART = "if [ -x /etc/init.d/opennds ]; then /etc/init.d/opennds restart; else systemctl restart opennds; fi\n"
LEFT_OUT = ("fasremoteip", "fasremotefqdn")  # one of them is set, and the other must not stand there from before
NAME = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Fetching:
    """How a gateway of level 4 fetches its guests; `portal_ip` is where the portal's name leads."""

    portal_ip: str
    poll_s: int
    idle_minutes: int


@dataclass(frozen=True)
class Facts:
    """What the script is made of."""

    router_id: int
    gateway_name: str
    faskey: str
    portal_url: str
    interface: str | None = None
    fetching: Fetching | None = None  # level 4


def gateway_name(router_id: int, name: str) -> str:
    """What openNDS shall call itself: letters, digits and hyphens, and ours alone."""
    plain = NAME.sub("-", name).strip("-")
    return f"{plain[:40] or 'bawaba'}-{router_id}"


def secret_name(router_id: int, name: str) -> str:
    """A name that nobody guesses: at level 4 the gateway is known by it."""
    return f"{gateway_name(router_id, name)}-{secrets.token_hex(8)}"


def settings(facts: Facts) -> dict[str, str]:
    """The options of openNDS, by the names that its configuration has on OpenWrt and on Debian."""
    return _reached(facts) if facts.fetching is None else _fetching(facts, facts.fetching)


def _fetching(facts: Facts, how: Fetching) -> dict[str, str]:
    """Its name without the serial number that openNDS would put behind it: we know the gateway by the hash of it."""
    portal = urlsplit(facts.portal_url)
    told = {
        "gatewayname": facts.gateway_name,
        "enable_serial_number_suffix": "0",
        "fasremoteip": how.portal_ip,
        "fasremotefqdn": portal.hostname or "",
        "fasport": str(portal.port or 443),
        "faspath": "/fas/",
        "faskey": facts.faskey,
        "fas_secure_enabled": "4",
        "nat_traversal_poll_interval": str(how.poll_s),
        "checkinterval": str(CHECK_S),
        "sessiontimeout": "0",
        "authidletimeout": str(how.idle_minutes),
    }
    return told | _on_interface(facts)


def _on_interface(facts: Facts) -> dict[str, str]:
    return {"gatewayinterface": facts.interface} if facts.interface else {}


def _reached(facts: Facts) -> dict[str, str]:
    portal = urlsplit(facts.portal_url)
    host = portal.hostname or ""
    told = {
        "gatewayname": facts.gateway_name,
        "fasport": str(portal.port if portal.port and portal.scheme == "http" else 80),  # level 1 goes by http
        "faspath": "/",
        "faskey": facts.faskey,
        "fas_secure_enabled": "1",
        "checkinterval": str(CHECK_S),
        "sessiontimeout": "0",
        "authidletimeout": "0",
        "allow_preemptive_authentication": "1",
    }
    try:
        told["fasremoteip"] = str(ipaddress.IPv4Address(host))
    except ValueError:
        told["fasremotefqdn"] = host
    return told | _on_interface(facts)


def script(facts: Facts) -> str:
    """A shell script to run on the gateway as root. What was there before is kept beside it, once."""
    told = settings(facts)
    sets = "\n".join(f"  uci set opennds.@opennds[0].{name}={shlex.quote(value)}" for name, value in told.items())
    lines = "\n".join(f"{name} {value}" for name, value in told.items())
    ours = "|".join((*told, "binauth", *LEFT_OUT))
    return f"""\
#!/bin/sh
# openNDS with Bawaba as its portal (router {facts.router_id}). Run it on the gateway as root. It holds the faskey.
set -e
if command -v uci >/dev/null; then
  [ -e /etc/config/opennds.{KEPT} ] || cp /etc/config/opennds /etc/config/opennds.{KEPT}
{sets}
  uci set opennds.@opennds[0].enabled='1'
  uci commit opennds
else
  old=/etc/opennds/opennds.conf.{KEPT}
  [ -e "$old" ] || cp /etc/opennds/opennds.conf "$old"
  {{
    grep -vE '^[[:space:]]*({ours})[[:space:]]' "$old"
    cat <<'END'
{lines}
binauth {BINAUTH}
END
  }} >/etc/opennds/opennds.conf
fi
{RESTART}"""


def undo(facts: Facts) -> str:
    """Put back what was there."""
    return f"""\
#!/bin/sh
# Takes Bawaba (router {facts.router_id}) off this gateway again.
set -e
if [ -e /etc/config/opennds.{KEPT} ]; then
  mv /etc/config/opennds.{KEPT} /etc/config/opennds
elif [ -e /etc/opennds/opennds.conf.{KEPT} ]; then
  mv /etc/opennds/opennds.conf.{KEPT} /etc/opennds/opennds.conf
fi
{RESTART}"""
