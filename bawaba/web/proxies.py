"""Who is really asking: the far end of the connection, or whom a trusted proxy names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

Scope = Mapping[str, Any]
Headers = list[tuple[bytes, bytes]]

FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-real-ip"})
WEB_SCHEME = {"ws": "http", "wss": "https"}
SCHEMES = frozenset({"http", "https"})
HOST = re.compile(r"[A-Za-z0-9.\-_]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request came from, and by which name it reached us. `headers` are safe to hand on."""

    address: str
    port: int
    scheme: str
    host: str
    headers: Headers

    @property
    def origin(self) -> str:
        """What a browser would call the site that it reached us by."""
        return f"{self.scheme}://{self.host}".lower()


class Proxies:
    """The addresses that may say who the client is; what anybody else says about it is ignored."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(item, strict=False) for item in trusted]

    def caller(self, scope: Scope) -> Caller:
        """Read the caller of a request, and clean its headers.

        Headers with an underscore are dropped (in WSGI `X_User` and `X-User` become one), and so are the proxies'
        own: what they say is in the answer.
        """
        address, port = scope.get("client") or ("", 0)
        address = plain_address(address)
        scheme: str = scope["scheme"]
        scheme = WEB_SCHEME.get(scheme, scheme)
        host = ""
        said: dict[bytes, bytes] = {}
        headers: Headers = []
        for pair in scope["headers"]:
            name, value = pair
            if name in FORWARDED:
                said[name] = said[name] + b"," + value if name in said else value
            elif b"_" not in name:
                headers.append(pair)
                if name == b"host":
                    host = value.decode("latin-1")
        if said and self.trusts(address):
            address, port = self._client(said, address), 0
            scheme = _last(said, b"x-forwarded-proto", scheme, SCHEMES.__contains__)
            host = _last(said, b"x-forwarded-host", host, HOST.fullmatch)
        return Caller(address, port, scheme, host, headers)

    def trusts(self, address: str) -> bool:
        """May this address say who the client is?"""
        if not self._networks:
            return False
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def _client(self, said: dict[bytes, bytes], nearest: str) -> str:
        """Walk the chain from our side; the first address that is no proxy of ours is the client."""
        for entry in reversed(said.get(b"x-forwarded-for", b"").decode("latin-1").split(",")):
            try:
                nearest = plain_address(str(ip_address(_without_port(entry.strip()))))
            except ValueError:
                break
            if not self.trusts(nearest):
                break
        return nearest


def plain_address(address: str) -> str:
    """An IPv4 address that arrived on an IPv6 socket, written as IPv4; anything else as it is."""
    if address.startswith("::ffff:"):
        mapped = IPv6Address(address).ipv4_mapped
        return str(mapped) if mapped else address
    return address


def _without_port(entry: str) -> str:
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _last(said: dict[bytes, bytes], name: bytes, otherwise: str, fits: Any) -> str:
    """The nearest proxy's word, if it is a sane one."""
    word = said.get(name, b"").decode("latin-1").rpartition(",")[2].strip()
    return word if word and fits(word) else otherwise
