"""What a guest reaches before logging in: both walled gardens."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bawaba.routers.simulators.routeros.router import Router

ACTIONS = {"allow": True, "accept": True, "deny": False, "drop": False, "reject": False}


def open_for(router: Router, host: str, address: str | None, port: int) -> bool:
    """Whether a host is reached without a session. Plain HTTP (port 80) meets the garden of Host headers too."""
    for path in ("/ip/hotspot/walled-garden/ip", *(["/ip/hotspot/walled-garden"] if port == 80 else [])):
        for row in router.table(path).rows():
            if _fits(row.values, host, address, port, by_address=path.endswith("/ip")):
                return ACTIONS[row.values.get("action", "allow")]
    return False


def _fits(rule: Mapping[str, str], host: str, address: str | None, port: int, *, by_address: bool) -> bool:
    if rule.get("disabled") == "true" or str(port) not in (rule.get("dst-port") or str(port)).split(","):
        return False
    if wanted := rule.get("dst-host"):
        return _host_fits(wanted, host)  # makes rows of its own from DNS; dst-address is then ignored
    if by_address and (network := rule.get("dst-address")):
        return address is not None and ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    return True


def _host_fits(wanted: str, host: str) -> bool:
    """A bare name does not cover those below it; `*` and `?` do, and a leading colon makes it a regular expression."""
    if wanted.startswith(":"):
        return re.search(wanted[1:], host) is not None
    return fnmatch.fnmatch(host.lower(), wanted.lower())
