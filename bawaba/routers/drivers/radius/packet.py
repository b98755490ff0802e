"""RADIUS packets for dynamic authorisation (RFC 5176): written, signed, and read with their signature checked."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import struct
from collections.abc import Iterator, Mapping

from bawaba.routers.nas import DICTIONARY

DISCONNECT, COA = 40, 43
ACKS, NAKS = {DISCONNECT: 41, COA: 44}, {DISCONNECT: 42, COA: 45}
VENDOR_SPECIFIC, MESSAGE_AUTHENTICATOR, ERROR_CAUSE = 26, 80, 101
HEADER_BYTES = 20
UNSIGNED = bytes(16)
VALUE_MOST = 253
Attributes = Mapping[str, int | str]


class Forged(ValueError):
    """A packet that does not make sense, or was not signed with our secret."""


def request(code: int, number: int, attributes: Attributes, secret: bytes) -> bytes:
    """A request with its Message-Authenticator first, signed (RFC 5176, 2.3 and 3.4): both are counted over zeros."""
    body = bytes([MESSAGE_AUTHENTICATOR, 18]) + UNSIGNED + b"".join(_encoded(attributes))
    header = struct.pack("!BBH", code, number, HEADER_BYTES + len(body))
    seal = hmac.digest(secret, header + UNSIGNED + body, "md5")
    body = body[:2] + seal + body[18:]
    return header + _md5(header + UNSIGNED + body + secret) + body


def answer(packet: bytes, asked: bytes, secret: bytes) -> tuple[int, int | None]:
    """The code of an answer to `asked`, and its Error-Cause. Raises `Forged`."""
    if len(packet) < HEADER_BYTES or len(packet) < (length := int.from_bytes(packet[2:4], "big")):
        raise Forged("cut short")
    packet = packet[: max(length, HEADER_BYTES)]
    header, signature, body = packet[:4], packet[4:HEADER_BYTES], packet[HEADER_BYTES:]
    authenticator = asked[4:HEADER_BYTES]
    if packet[1] != asked[1] or not hmac.compare_digest(signature, _md5(header + authenticator + body + secret)):
        raise Forged("signed with another secret")
    cause: int | None = None
    for place, number, value in _attributes(body):
        if number == MESSAGE_AUTHENTICATOR:
            unsealed = body[: place + 2] + UNSIGNED + body[place + 18 :]
            if not hmac.compare_digest(value, hmac.digest(secret, header + authenticator + unsealed, "md5")):
                raise Forged("sealed with another secret")
        elif number == ERROR_CAUSE and len(value) == 4:
            cause = int.from_bytes(value, "big")
    return packet[0], cause


def _encoded(attributes: Attributes) -> Iterator[bytes]:
    for name, value in attributes.items():
        vendor, number, kind = DICTIONARY[name]
        content = _value(kind, value)
        plain = bytes([number, len(content) + 2]) + content
        if vendor is None:
            yield plain
        else:
            yield bytes([VENDOR_SPECIFIC, len(plain) + 6]) + vendor.to_bytes(4, "big") + plain


def _value(kind: str, value: int | str) -> bytes:
    if kind == "integer":
        return int(value).to_bytes(4, "big")
    if kind == "address":
        return ipaddress.IPv4Address(value).packed
    return str(value).encode("utf-8", "surrogateescape")[: VALUE_MOST - 6]


def _attributes(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Where each attribute begins, its number and its value."""
    place = 0
    while place < len(body):
        if place + 2 > len(body) or not 2 <= (length := body[place + 1]) <= len(body) - place:
            raise Forged("an attribute is cut short")
        yield place, body[place], body[place + 2 : place + length]
        place += length


def _md5(content: bytes) -> bytes:
    """RADIUS signs with MD5 (RFC 2865, 3); the Message-Authenticator is what can be relied on."""
    return hashlib.md5(content, usedforsecurity=False).digest()
