"""How the box is: its load, what its kernel can do, and what is wrong with it, in words that its owner understands."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

from bawaba.gateway import kernel
from bawaba.gateway.kernel import KernelError
from bawaba.gateway.ruleset import TABLE
from bawaba.gateway.settings import Settings
from bawaba.gateway.shaping import Shaper


class Load:
    """The processor's load between two looks."""

    def __init__(self) -> None:
        self._before = _ticks()

    def percent(self) -> float:
        """How busy it was since the last look."""
        now = _ticks()
        busy, total = now[0] - self._before[0], now[1] - self._before[1]
        self._before = now
        return round(100.0 * busy / total, 1) if total > 0 else 0.0


def uptime_s() -> int:
    """Seconds since the machine started."""
    return int(float(Path("/proc/uptime").read_text(encoding="ascii").split()[0]))


def memory_percent() -> float:
    """Memory in use, without what the kernel could give back."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    sizes = {name: int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}
    return round(100.0 * (1 - sizes["MemAvailable"] / sizes["MemTotal"]), 1)


def interfaces() -> list[str]:
    """The names of this box's network interfaces, without its loopback."""
    return sorted(
        name
        for name in os.listdir("/sys/class/net")
        if Path("/sys/class/net", name, "ifindex").exists() and name != "lo"
    )


def forwards(family: str) -> bool:
    """Whether the kernel passes packets on (`ipv4` or `ipv6`)."""
    names = {"ipv4": "ipv4/ip_forward", "ipv6": "ipv6/conf/all/forwarding"}
    try:
        return Path("/proc/sys/net", names[family]).read_text(encoding="ascii").strip() == "1"
    except OSError:
        return False


async def abilities(shaper: Shaper) -> dict[str, Any]:
    """What this box can do."""
    try:
        nft = (await kernel.run("nft", "--version")).split(" (")[0].strip()
    except KernelError:
        nft = "missing"
    return {"kernel": platform.release(), "nft": nft, "htb": shaper.works, "fq_codel": shaper.fair}


async def problems(settings: Settings, shaper: Shaper) -> list[str]:
    """What keeps guests from being served well."""
    found = []
    for interface in (settings.lan, settings.wan, settings.mgmt):
        if interface and not Path("/sys/class/net", interface).exists():
            found.append(f"there is no interface {interface}")
    if not forwards("ipv4"):
        found.append("net.ipv4.ip_forward is 0: nothing is passed on to the internet")
    if not shaper.works:
        why = shaper.complaint if settings.shaping else "shaping was switched off"
        found.append(f"speed limits are not kept: {why}")
    if os.geteuid() != 0:
        found.append("the agent is not root")
    return found + await _rival_firewalls()


async def _rival_firewalls() -> list[str]:
    """Other tables that drop what passes through, whatever ours allows: a firewall's, or Docker's."""
    try:
        listing = json.loads(await kernel.run("nft", "-j", "list", "chains"))["nftables"]
    except (KernelError, ValueError, KeyError):
        return ["nft does not list its chains"]
    chains = [item["chain"] for item in listing if "chain" in item]
    return [
        f"table {chain['family']} {chain['table']} drops what it does not know on its way through"
        for chain in chains
        if chain.get("hook") == "forward"
        and chain.get("policy") == "drop"
        and f"{chain['family']} {chain['table']}" != TABLE
    ]


def _ticks() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, sum(fields)
