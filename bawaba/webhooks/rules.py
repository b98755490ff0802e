"""Signing, which addresses may be told, and when a message is tried again."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from datetime import timedelta
from urllib.parse import urlsplit

from bawaba.notifications.rules import is_public

REDEEMED, ENDED, DOWN, READY = "voucher.redeemed", "session.ended", "router.down", "batch.ready"
KINDS = (REDEEMED, ENDED, DOWN, READY)
TEST = "webhook.test"
FIRST_RETRY_S, LONGEST_RETRY_S = 10.0, 3600.0
FIRST_REST_S, LONGEST_REST_S = 10.0, 300.0
GIVE_UP_AFTER = timedelta(days=1)
SWITCH_OFF_AFTER = timedelta(days=3)


def signature(secret: str, timestamp: int, body: str) -> str:
    """The `X-Bawaba-Signature` of a message: HMAC-SHA256 over its Unix time, a dot and its body, in hex."""
    signed = f"{timestamp}.{body}".encode()
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def url_fault(url: str, allow_private: bool) -> str | None:
    """What is wrong with an address, in a sentence's end; None for a good one."""
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole or parts.scheme not in {"http", "https"}:
        return "must be a whole address like https://shop.example/bawaba"
    if parts.username is not None or parts.fragment:
        return "must hold neither a user name nor a #"
    if parts.scheme == "http" and not allow_private:
        return "must begin with https:// unless it may be inside our own network"
    return None


def may_be_told(address: str, allow_private: bool) -> bool:
    """Whether a connection to an IP address is allowed: on the internet; inside where an admin allows it, but never
    link-local (where clouds keep their machines' secrets), multicast or unspecified (RFC 6890)."""
    if not allow_private:
        return is_public(address)
    found = ipaddress.ip_address(address.partition("%")[0])
    plain = getattr(found, "ipv4_mapped", None) or found
    return not (plain.is_link_local or plain.is_multicast or plain.is_unspecified)


def retry_wait_s(attempts: int, jitter: float) -> float:
    """Seconds until a message is tried again: doubling, an hour at most, spread by `jitter` (0 to 1)."""
    return float(min(FIRST_RETRY_S * 2 ** min(attempts - 1, 12), LONGEST_RETRY_S) * (0.75 + jitter / 2))


def rest_s(failures: int) -> float:
    """Seconds for which a webhook that gave no answer so often is left alone."""
    return float(min(FIRST_REST_S * 2 ** min(failures - 1, 10), LONGEST_REST_S))
