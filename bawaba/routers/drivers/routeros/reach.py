"""How a router is reached: over TLS with a certificate that is known by its fingerprint, or in clear where the way is
private by itself."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import ipaddress
import socket
import ssl
import struct
from dataclasses import dataclass, field
from pathlib import Path

from bawaba.routers.driver import RouterAuthFailed, UnknownCertificate

PLAIN_PORT, TLS_PORT = 8728, 8729
SIOCGIFADDR = 0x8915  # Linux, netdevice(7)
TUNNEL_TYPES = {"65534", "512", "768", "776", "778"}  # ARPHRD: none (WireGuard, tun), PPP, IPIP, SIT, GRE


@dataclass(frozen=True)
class Way:
    """Where a router's API is, and with what to sign in. `pin` is the SHA-256 of its certificate, bare hex."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    tls: bool = True
    pin: str = ""
    plain_anywhere: bool = False
    old_login: bool = False


def context() -> ssl.SSLContext:
    """TLS that takes any certificate: it is judged by its fingerprint, before the password is sent."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    return tls


def fingerprint(certificate: bytes) -> str:
    """The SHA-256 of a certificate (DER), as people compare it: AA:BB:…"""
    return hashlib.sha256(certificate).digest().hex(":").upper()


def bare(pin: str) -> str:
    """A fingerprint without its colons and spaces, in lower case."""
    return pin.replace(":", "").replace(" ", "").lower()


def check_certificate(way: Way, certificate: bytes | None) -> None:
    """See that this is the router that the owner knows. Raises `UnknownCertificate` where it is not."""
    if certificate is None:
        raise RouterAuthFailed("the router showed no certificate; make one for its service api-ssl")
    shown = fingerprint(certificate)
    if not way.pin:
        raise UnknownCertificate(f"not known yet; its certificate has the fingerprint {shown}", shown, changed=False)
    if not hmac.compare_digest(bare(shown), way.pin):
        raise UnknownCertificate(f"another certificate than before, with the fingerprint {shown}", shown, changed=True)


def check_plain(way: Way, local: str, peer: str) -> None:
    """Refuse to send a password in clear over a network that others may listen to. Raises `RouterAuthFailed`."""
    if not (way.plain_anywhere or is_private(local, peer)):
        raise RouterAuthFailed(
            "the password would go in clear over the network: use TLS, or a tunnel, or set the option allow_plain"
        )


def is_private(local: str, peer: str) -> bool:
    """Whether what goes from our address to this one stays on this machine or in a tunnel."""
    return ipaddress.ip_address(peer.partition("%")[0]).is_loopback or _interface_type(local) in TUNNEL_TYPES


def _interface_type(local: str) -> str:
    """The kind of the interface that has this IPv4 address, as Linux numbers it; empty where it is not known."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asker, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                if socket.inet_ntoa(answer[20:24]) == local:
                    return Path("/sys/class/net", name, "type").read_text().strip()
            except OSError:  # an interface without an IPv4 address
                continue
    return ""
