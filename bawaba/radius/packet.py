"""A RADIUS request as FreeRADIUS's rlm_rest tells it: JSON of attributes, each with its values."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from bawaba.core.errors import Invalid
from bawaba.routers.devices import canonical_mac
from bawaba.routers.driver import Client

NUMBER_MOST = 2**32 - 1
ECHOED = ("User-Name", "Acct-Session-Id", "Calling-Station-Id", "NAS-IP-Address", "NAS-Identifier")


@dataclass(frozen=True, slots=True)
class Packet:
    """The attributes by FreeRADIUS's names."""

    values: Mapping[str, list[Any]]

    @classmethod
    def read(cls, body: bytes) -> Packet:
        """Read `{"User-Name": {"type": "string", "value": ["…"]}, …}`. Raises `Invalid`."""
        try:
            told = orjson.loads(body)
            return cls({name: list(attribute["value"]) for name, attribute in told.items()})
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            raise Invalid(fields={"body": ["not_json"]}) from error

    def texts(self, name: str) -> list[str]:
        """All values of an attribute, as text. rlm_rest writes each byte as a character of its own."""
        return [_text(value) for value in self.values.get(name, ())]

    def text(self, name: str) -> str | None:
        """The first value, None where there is none."""
        found = self.texts(name)
        return found[0] if found else None

    def number(self, name: str) -> int:
        """The first value as a 32-bit number; 0 where there is none, or it is no number."""
        text = self.text(name) or ""
        return min(int(text), NUMBER_MOST) if text.isascii() and text.isdecimal() else 0

    def octets(self, name: str) -> list[bytes]:
        """All values of an attribute that is told as 0x…"""
        found = []
        for text in self.texts(name):
            try:
                found.append(bytes.fromhex(text.removeprefix("0x")))
            except ValueError:
                continue
        return found

    @property
    def address(self) -> str | None:
        """The device's address, where the NAS tells it."""
        try:
            return str(ipaddress.ip_address(self.text("Framed-IP-Address") or ""))
        except ValueError:
            return None

    @property
    def device(self) -> Client:
        """Who asks: by Calling-Station-Id's MAC, in whatever writing."""
        try:
            return Client(canonical_mac(self.text("Calling-Station-Id") or ""), self.address)
        except Invalid:
            return Client(None, self.address)

    @property
    def names(self) -> dict[str, str]:
        """What the NAS calls a session, to be said back to it as it is."""
        found = {name: text for name in ECHOED if (text := self.text(name))}
        return found | ({"Framed-IP-Address": self.address} if self.address else {})


def _text(value: Any) -> str:
    text = str(value)
    with contextlib.suppress(UnicodeError):  # it is text already, or no UTF-8: then each byte stays a character
        text = text.encode("latin-1").decode("utf-8")
    return text.replace("\0", "")
