"""Decisions about routers. Pure: values in, answer out."""

from __future__ import annotations

import socket
from dataclasses import fields
from ipaddress import IPv4Address, ip_address

from bawaba.routers.driver import Limits

FRESH_S = 60  # a router that has just started may not have read everything yet
LEAST_SHARE = 0.5
BROADCAST = IPv4Address("255.255.255.255")


def may_remove(listed: int, listed_before: int, uptime_s: int | None) -> bool:
    """Whether a list of what lies on a router is good enough to take things away by it: not in the router's first
    minute, and not when the list came back empty or less than half as long as the last one."""
    if uptime_s is not None and uptime_s < FRESH_S:
        return False
    return listed > 0 and listed >= listed_before * LEAST_SHARE


def differs(wanted: Limits, seen: Limits | None) -> bool:
    """Whether limits on a router are other ones than they should be. What the router does not tell (None) is taken as
    right; dates are left out, for routers hold durations."""
    if seen is None:
        return False
    names = [field.name for field in fields(Limits) if field.name not in ("until", "devices")]
    return any(getattr(seen, name) is not None and getattr(seen, name) != getattr(wanted, name) for name in names)


def is_no_router(address: str) -> bool:
    """Whether an address, in any way of writing it, is one where no router of an owner can be: unspecified, multicast,
    broadcast, or link-local, where clouds keep their machines' secrets (RFC 3927, RFC 6890)."""
    try:
        found = ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        try:
            found = ip_address(socket.inet_aton(address))  # also 0xA9FEA9FE and 2852039166
        except (OSError, ValueError):
            return False
    plain = getattr(found, "ipv4_mapped", None) or found
    return bool(plain.is_unspecified or plain.is_multicast or plain.is_link_local or plain == BROADCAST)
