"""What the agent has to know about the box it runs on."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

DEFAULT_SOCKET = Path("/run/bawaba/gateway.sock")
DEFAULT_STATE = Path("/var/lib/bawaba-gateway")
ANY6 = ("2000::/3", "fc00::/7")  # whatever a provider may hand out
_INTERFACE = re.compile(r"[A-Za-z0-9._-]{1,15}")


class BadSettings(ValueError):
    """The agent cannot work with what it was told."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the guests are, where the internet is, and where the portal listens."""

    lan: str
    wan: str
    portal_ip: str
    lan4: tuple[str, ...]
    lan6: tuple[str, ...] = ANY6
    portal_port: int = 5000
    mgmt: str | None = None  # the link to the manager's own box; None where the manager lives on the gateway
    shaping: bool = True
    socket: Path = DEFAULT_SOCKET
    owner: str | None = None
    group: str | None = None
    state_dir: Path = DEFAULT_STATE

    DEFAULT_LAN6: ClassVar[tuple[str, ...]] = ANY6

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise BadSettings("; ".join(faults))

    def _faults(self) -> list[str]:
        names = [name for name in (self.lan, self.wan, self.mgmt) if name is not None]
        faults = [f"{name!r} is not the name of an interface" for name in names if not is_interface(name)]
        if len(set(names)) < len(names):
            faults.append("LAN, WAN and MGMT are different interfaces")
        if not 1 <= self.portal_port <= 65535:
            faults.append(f"{self.portal_port} is not a port")
        if not _is_ipv4(self.portal_ip):
            faults.append(f"{self.portal_ip!r} is not the portal's IPv4 address")
        for version, networks in ((4, self.lan4), (6, self.lan6)):
            faults += [f"{net!r} is not an IPv{version} network" for net in networks if not _is_network(net, version)]
        if not self.lan4:
            faults.append("the guests' IPv4 network is missing")
        return faults


def is_interface(name: str) -> bool:
    """Whether this can be the name of a network interface."""
    return bool(_INTERFACE.fullmatch(name))


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str, version: int) -> bool:
    if "%" in text:  # a scope, which could be any text
        return False
    try:
        return ipaddress.ip_network(text).version == version
    except ValueError:
        return False
