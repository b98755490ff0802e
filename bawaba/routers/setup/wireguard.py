"""A WireGuard tunnel between a router and a manager that sits elsewhere (wg(8), wg-quick(8)).

The keys are derived from the key file, so that the script says the same each time it is asked for and nothing more has
to be kept. The router opens the tunnel; only the manager's end needs an address that the internet reaches.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bawaba.core.errors import field_fault
from bawaba.core.keyring import Keyring

NETWORK = "10.213.{high}.{low}"
MANAGER_IP = NETWORK.format(high=0, low=1)
DEFAULT_PORT = 51820
MOST = 250 * 254


@dataclass(frozen=True)
class Tunnel:
    """Both ends. Keys are in WireGuard's base64; the private ones are secrets."""

    router_private: str
    router_public: str
    router_ip: str
    manager_private: str
    manager_public: str
    manager_ip: str
    endpoint_host: str
    endpoint_port: int

    def manager_config(self) -> str:
        """The manager's end for wg-quick(8): the interface, and this router as a peer."""
        return (
            f"[Interface]\nPrivateKey = {self.manager_private}\nAddress = {self.manager_ip}/16\n"
            f"ListenPort = {self.endpoint_port}\n\n"
            f"[Peer]\nPublicKey = {self.router_public}\nAllowedIPs = {self.router_ip}/32\n"
        )


def tunnel(keyring: Keyring, router_id: int, endpoint: str) -> Tunnel:
    """The tunnel of a router. `endpoint` is where the manager is reached from the internet: a host, or host:port."""
    host, port = _endpoint(endpoint)
    if router_id > MOST:
        raise field_fault("wireguard", "there are no more addresses for tunnels")
    router, manager = _key(keyring, f"router {router_id}"), _key(keyring, "manager")
    high, low = divmod(router_id, 254)
    address = NETWORK.format(high=high + 1, low=low + 1)
    return Tunnel(*_both(router), address, *_both(manager), MANAGER_IP, host, port)


def _key(keyring: Keyring, end: str) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(keyring.digest("wireguard", end.encode()))


def _both(key: X25519PrivateKey) -> tuple[str, str]:
    private, public = key.private_bytes_raw(), key.public_key().public_bytes_raw()
    return base64.b64encode(private).decode(), base64.b64encode(public).decode()


def _endpoint(text: str) -> tuple[str, int]:
    host, separator, port = text.strip().rpartition(":")
    if not separator:
        host, port = text.strip(), str(DEFAULT_PORT)
    plain = host.replace(".", "").replace("-", "")
    if not (plain.isascii() and plain.isalnum()) or not (port.isdigit() and 0 < int(port) < 65536):
        raise field_fault(
            "wireguard", "must be a host or host:port that the internet reaches, like hotspot.example:51820"
        )
    return host, int(port)
