"""Makes a Linux box a gateway: DHCP and DNS for the guests, forwarding, and services that start with the machine.

Everything is worked out as files first, so that it can be shown before anything is written. What was there before is
kept and put back by `undo`.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bawaba.gateway.ruleset import DOWN_HANDLE, TABLE, UP_HANDLE
from bawaba.gateway.settings import DEFAULT_SOCKET, DEFAULT_STATE, BadSettings, Settings, is_interface

DNSMASQ = "etc/bawaba/dnsmasq.conf"
SYSCTL = "etc/sysctl.d/90-bawaba-gateway.conf"
AGENT_UNIT = "etc/systemd/system/bawaba-gateway.service"
DNS_UNIT = "etc/systemd/system/bawaba-dnsmasq.service"
UNDO = "undo.json"
UNITS = ("bawaba-gateway.service", "bawaba-dnsmasq.service")
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?")  # nothing that dnsmasq reads as more options
_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")
FORWARDING = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")


@dataclass(frozen=True)
class Wanted:
    """What the owner asked for."""

    lan: str
    wan: str
    lan_address: str = "10.77.0.1/24"
    lan6: str | None = None
    portal_ip: str | None = None
    portal_port: int = 5000
    portal_url: str | None = None
    local_name: str = "login.wifi"
    garden_hosts: tuple[str, ...] = ()
    group: str | None = None
    program: str = "/usr/local/bin/bawaba"
    dnsmasq: str = "/usr/sbin/dnsmasq"
    shaping: bool = True
    lease_hours: int = field(default=2)

    def __post_init__(self) -> None:
        faults = [
            f"{name!r} is not the name of an interface" for name in (self.lan, self.wan) if not is_interface(name)
        ]
        try:
            interface = ipaddress.IPv4Interface(self.lan_address)
            if interface.network.num_addresses < 8 or interface.ip in (interface.network[0], interface.network[-1]):
                faults.append(f"{self.lan_address} leaves no room for guests")
            if self.lan6 and ("%" in self.lan6 or ipaddress.IPv6Interface(self.lan6).network.prefixlen != 64):
                faults.append(f"{self.lan6} is not an address in a /64: phones configure themselves in no other")
        except ValueError as error:
            faults.append(str(error))
        hosts = [*self.garden_hosts, self.local_name]
        faults += [f"{host!r} is not a host name" for host in hosts if not _is_host(host)]
        if self.portal_url and not _URL.fullmatch(self.portal_url):
            faults.append("the portal's URL is http:// or https://, a host, and no more than a port and a path")
        if self.group and not _GROUP.fullmatch(self.group):
            faults.append(f"{self.group!r} is not the name of a group")
        if faults:
            raise BadSettings("; ".join(faults))
        self.agent()

    @property
    def network(self) -> ipaddress.IPv4Network:
        """The guests' network."""
        return ipaddress.IPv4Interface(self.lan_address).network

    @property
    def address(self) -> str:
        """The gateway's address in it."""
        return str(ipaddress.IPv4Interface(self.lan_address).ip)

    def agent(self) -> Settings:
        """The same as the agent's settings; raises what is wrong with them."""
        lan6 = (str(ipaddress.IPv6Interface(self.lan6).network),) if self.lan6 else ()
        return Settings(
            self.lan,
            self.wan,
            self.portal_ip or self.address,
            (str(self.network),),
            lan6 or Settings.DEFAULT_LAN6,
            self.portal_port,
            shaping=self.shaping,
        )


def files(wanted: Wanted) -> dict[str, str]:
    """Every file that a gateway needs, by its path below the root directory."""
    return {
        DNSMASQ: _dnsmasq(wanted),
        SYSCTL: "".join(f"{name} = 1\n" for name in FORWARDING[: 2 if wanted.lan6 else 1]),
        AGENT_UNIT: _agent_unit(wanted),
        DNS_UNIT: _dns_unit(wanted),
    }


def differences(new: dict[str, str], root: Path) -> str:
    """What would change on the disk, as a person reads it."""
    shown: list[str] = []
    for name, text in new.items():
        before = _read(root / name)
        shown += difflib.unified_diff(
            (before or "").encode(errors="replace").decode().splitlines(keepends=True),
            text.splitlines(keepends=True),
            f"/{name}" if before is not None else "(no such file)",
            f"/{name}",
        )
    return "".join(shown)


def apply(wanted: Wanted, root: Path, state: Path = DEFAULT_STATE) -> None:
    """Write the files, keeping what was there, and start the services where there is systemd."""
    new, kept = files(wanted), _kept(root, state)
    kept.setdefault("files", {})
    kept.setdefault("sysctl", {name: _sysctl(name) for name in FORWARDING})
    kept.setdefault("queues", {}).update({wanted.lan: DOWN_HANDLE, wanted.wan: UP_HANDLE})
    for name in new:
        kept["files"].setdefault(name, _read(root / name))
    _write(root / state.relative_to("/") / UNDO, json.dumps(kept, indent=1))
    for name, text in new.items():
        _write(root / name, text)
    if root == Path("/"):
        _run([["sysctl", "-q", "-p", f"/{SYSCTL}"]])
        if _has_systemd():
            _run([["systemctl", "daemon-reload"], ["systemctl", "enable", "--quiet", *UNITS]])
            _run([["systemctl", "restart", *UNITS]])


def undo(root: Path, state: Path = DEFAULT_STATE) -> list[str]:
    """Put back what `apply` found, and return the files that were touched."""
    kept = _kept(root, state)
    if not kept:
        raise BadSettings("there is nothing to undo: no earlier `gateway init --apply` is remembered")
    if root == Path("/") and _has_systemd():
        _run([["systemctl", "disable", "--now", "--quiet", *UNITS]], must=False)
    for name, text in kept["files"].items():
        if text is None:
            (root / name).unlink(missing_ok=True)
        else:
            _write(root / name, text)
    if root == Path("/"):
        _run([["sysctl", "-q", "-w", f"{name}={value}"] for name, value in kept["sysctl"].items() if value], must=False)
        _run([["nft", "delete", "table", *TABLE.split()]], must=False)
        queues = kept.get("queues", {}).items()
        _run(
            [["tc", "qdisc", "del", "dev", device, "root", "handle", f"{ours}:"] for device, ours in queues], must=False
        )
        if _has_systemd():
            _run([["systemctl", "daemon-reload"]], must=False)
    (root / state.relative_to("/") / UNDO).unlink()
    return list(kept["files"])


def _dnsmasq(wanted: Wanted) -> str:
    first, last = _pool(wanted)
    portal = wanted.portal_ip or wanted.address
    url = urlsplit(wanted.portal_url or "")
    names = dict.fromkeys(name for name in (wanted.local_name, url.hostname) if name and not _is_address(name))
    lines = [
        "# Written by `bawaba gateway init`; run it again instead of editing.",
        f"interface={wanted.lan}",
        "except-interface=lo",
        "bind-dynamic",
        "domain-needed",
        "bogus-priv",
        "cache-size=10000",
        "dns-forward-max=1000",
        "dhcp-authoritative",
        f"dhcp-range={first},{last},{wanted.network.netmask},{wanted.lease_hours}h",
        f"dhcp-lease-max={int(last) - int(first) + 1}",
        f"dhcp-option=option:router,{wanted.address}",
        f"dhcp-option=option:dns-server,{wanted.address}",
        f"dhcp-leasefile={DEFAULT_STATE}/leases",
    ]
    for name in names:
        lines += [f"address=/{name}/{portal}", f"local=/{name}/"]
    if url.scheme == "https":
        lines.append(f"dhcp-option-force=114,{wanted.portal_url}".rstrip("/") + "/capport/api")
    if wanted.lan6:
        lines += ["enable-ra", f"dhcp-range=::,constructor:{wanted.lan},ra-only"]
    table = TABLE.replace(" ", "#")
    lines += [f"nftset=/{host}/4#{table}#named4,6#{table}#named6" for host in wanted.garden_hosts]
    return "\n".join(lines) + "\n"


def _agent_unit(wanted: Wanted) -> str:
    settings = wanted.agent()
    options = [
        f"--socket {DEFAULT_SOCKET}",
        f"--lan {wanted.lan}",
        f"--wan {wanted.wan}",
        f"--portal-ip {settings.portal_ip}",
        f"--portal-port {settings.portal_port}",
        *(f"--lan4 {network}" for network in settings.lan4),
        *(f"--lan6 {network}" for network in settings.lan6),
        *([f"--group {wanted.group}"] if wanted.group else []),
        *([] if wanted.shaping else ["--no-shaping"]),
    ]
    addresses = [wanted.lan_address, *([wanted.lan6] if wanted.lan6 else [])]
    before = [f"ip link set dev {wanted.lan} up"]
    before += [f"ip address replace {address} dev {wanted.lan}" for address in addresses]
    return f"""[Unit]
Description=Bawaba gateway agent: lets guests in, counts and limits what they use
Wants=network-pre.target
After=network-pre.target nftables.service

[Service]
{chr(10).join(f"ExecStartPre={command}" for command in before)}
ExecStart={wanted.program} gateway-agent {" ".join(options)}
Restart=always
RestartSec=1
RuntimeDirectory=bawaba
RuntimeDirectoryPreserve=yes
StateDirectory={DEFAULT_STATE.name}
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6

[Install]
WantedBy=multi-user.target
"""


def _dns_unit(wanted: Wanted) -> str:
    return f"""[Unit]
Description=Bawaba gateway: addresses and names for guests
Wants=bawaba-gateway.service
After=bawaba-gateway.service

[Service]
ExecStart={wanted.dnsmasq} --keep-in-foreground --conf-file=/{DNSMASQ}
Restart=always
RestartSec=1
StateDirectory={DEFAULT_STATE.name}

[Install]
WantedBy=multi-user.target
"""


def network_of(address: str, prefix: int) -> str:
    """The network that an address is in."""
    return str(ipaddress.IPv4Interface(f"{address}/{prefix}").network)


def _pool(wanted: Wanted) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
    """The longest run of addresses on one side of the gateway's own."""
    own, network = ipaddress.IPv4Address(wanted.address), wanted.network
    below, above = (network[1], own - 1), (own + 1, network[-2])
    return max(below, above, key=lambda run: int(run[1]) - int(run[0]))


def _is_host(name: str) -> bool:
    labels = name.split(".")
    return len(name) < 254 and all(
        0 < len(label) < 64 and label.replace("-", "").isalnum() and label.isascii() and label[0] != "-"
        for label in labels
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _kept(root: Path, state: Path) -> dict[str, dict[str, str | None]]:
    text = _read(root / state.relative_to("/") / UNDO)
    kept: dict[str, dict[str, str | None]] = json.loads(text) if text else {}
    return kept


def _read(path: Path) -> str | None:
    """The file to the byte: what is no UTF-8 is kept as surrogates."""
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return None


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(errors="surrogateescape"))


def _sysctl(name: str) -> str | None:
    return (_read(Path("/proc/sys", *name.split("."))) or "").strip() or None


def _has_systemd() -> bool:
    return Path("/run/systemd/system").exists()


def _run(commands: Iterable[Sequence[str]], must: bool = True) -> None:
    for command in commands:
        try:
            subprocess.run(command, check=must, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            words = getattr(error, "stderr", None) or error
            raise BadSettings(f"{' '.join(command)}: {words}") from error
