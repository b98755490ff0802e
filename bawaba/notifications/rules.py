"""Which addresses a message may go to, how much a thing matters, and when a failed message is tried again."""

from __future__ import annotations

import ipaddress

SEVERITIES = ("info", "warning", "critical")
FIRST_RETRY_S, LONGEST_RETRY_S, TRIES = 10.0, 1800.0, 12  # together about four hours
ON_THIS_MACHINE = frozenset(
    ["dbus", "gio", "glib", "gnome", "growl", "kde", "macosx", "qt", "syslog", "windows"]
)  # ways that would speak to the server's own desktop or log


def carries(least: str, severity: str) -> bool:
    """Whether a channel for `least` and above carries a message of this severity."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)


def is_public(address: str) -> bool:
    """Whether an IP address is out on the internet: not private, loopback, link-local or set aside (RFC 6890)."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    return found.is_global and not found.is_multicast and (mapped is None or is_public(str(mapped)))


def retry_wait_s(attempts: int, jitter: float) -> float:
    """Seconds until a message is tried again: doubling, half an hour at most, spread by `jitter` (0 to 1)."""
    return float(min(FIRST_RETRY_S * 2 ** min(attempts - 1, 10), LONGEST_RETRY_S) * (0.75 + jitter / 2))
