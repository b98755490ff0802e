"""Interfaces, addresses, DHCP, queues, services and the firewall: what surrounds a hotspot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from bawaba.routers.simulators.routeros import values, versions
from bawaba.routers.simulators.routeros.errors import Trap
from bawaba.routers.simulators.routeros.guests import Session
from bawaba.routers.simulators.routeros.tables import Field, Getter, Menu, Table, View, reference

if TYPE_CHECKING:
    from bawaba.routers.simulators.routeros.router import Router

SWITCHED = {"disabled": Field(values.switch, "false"), "comment": Field()}
LOOSE = (  # menus that hold what they are given, for scripts that set a router up
    "/certificate", "/interface/bridge", "/interface/bridge/port", "/interface/list", "/interface/list/member",
    "/interface/wireguard", "/interface/wireguard/peers", "/ip/dhcp-server/network", "/ip/dns/static",
    "/ip/firewall/address-list", "/ip/firewall/filter", "/ip/firewall/mangle", "/ip/firewall/nat", "/ip/route",
    "/queue/tree", "/queue/type", "/radius",
)  # fmt: skip
SERVICES = {
    "telnet": 23, "ftp": 21, "www": 80, "ssh": 22, "www-ssl": 443, "api": 8728, "winbox": 8291, "api-ssl": 8729,
}  # fmt: skip


def build(router: Router, menus: Mapping[str, Menu]) -> Iterator[Menu]:
    """The network's menus."""
    version = router.version
    interfaces = _interfaces(router)
    yield interfaces
    yield Table(
        "/ip/address",
        version,
        {
            "address": Field(values.network),
            "network": Field(),
            "interface": Field(reference(interfaces, "interface")),
            **SWITCHED,
        },
        required=("address", "interface"),
        getters={"dynamic": lambda row: "false", "actual-interface": lambda row: row.values.get("interface")},
    )
    yield View(
        "/ip/arp",
        version,
        {
            "address": lambda host: host.ip,
            "mac-address": lambda host: host.mac,
            "interface": lambda host: "bridge",
            "dynamic": lambda host: "true",
            "complete": lambda host: "true",
        },
        lambda: router.hotspot.hosts.values(),
    )
    pools = Table("/ip/pool", version, {"name": Field(), "ranges": Field(), "comment": Field()}, key=("name",))
    yield pools
    yield from _dhcp(router, interfaces, pools)
    yield _queues(router)
    yield _services(router)
    for path in LOOSE:
        yield Table(path, version, {"name": Field(), **SWITCHED}, loose=True)


def _interfaces(router: Router) -> Table:
    def bytes_of(place: int) -> Getter:
        return lambda row: str(router.moved[place]) if row.values["name"] == "bridge" else "0"

    table = Table(
        "/interface",
        router.version,
        {"name": Field(), "type": Field(), "mtu": Field(values.count, "1500"), **SWITCHED},
        key=("name",),
        getters={
            "running": lambda row: "true",
            "rx-byte": bytes_of(0),
            "tx-byte": bytes_of(1),
            "actual-mtu": lambda row: "1500",
        },
    )

    def monitor(arguments: dict[str, str]) -> list[dict[str, str]]:
        if "once" not in arguments:
            raise Trap("simulated: monitor-traffic without once is not there")
        names = arguments.get("interface", "").split(",")
        if not all(table.named(name) for name in names):
            raise Trap("input does not match any value of interface", 1)
        return [{"name": name, "rx-bits-per-second": "0", "tx-bits-per-second": "0"} for name in names]

    table.verbs["monitor-traffic"] = monitor
    return table


def _dhcp(router: Router, interfaces: Table, pools: Table) -> Iterator[Menu]:
    version = router.version
    options = Table(
        "/ip/dhcp-server/option",
        version,
        {
            "name": Field(),
            "code": Field(values.count),
            "value": Field(),
            "force": Field(values.switch, "false"),
            "comment": Field(),
        },
        key=("name",),
        required=("name", "code"),
        duplicate="failure: option with this name already exists",
        getters={"raw-value": lambda row: row.values.get("value", "").strip("'").encode().hex()},
    )
    yield options
    sets = Table(
        "/ip/dhcp-server/option/sets", version, {"name": Field(), "options": Field(), "comment": Field()}, key=("name",)
    )
    yield sets
    servers = Table(
        "/ip/dhcp-server",
        version,
        {
            "name": Field(),
            "interface": Field(reference(interfaces, "interface")),
            "address-pool": Field(reference(pools, "address-pool", "static-only"), "static-only"),
            "lease-time": Field(values.duration, "30m"),
            "dhcp-option-set": Field(reference(sets, "dhcp-option-set", "none"), "none"),
            **SWITCHED,
        },
        key=("name",),
        getters={"invalid": lambda row: "false"},
    )
    yield servers
    yield Table(
        "/ip/dhcp-server/lease",
        version,
        {
            "address": Field(values.address),
            "mac-address": Field(values.mac),
            "server": Field(reference(servers, "server", "all"), "all"),
            "host-name": Field(),
            "dynamic": Field(values.switch, "false"),
            **SWITCHED,
        },
        getters={
            "status": lambda row: "bound",
            "active-address": lambda row: row.values.get("address"),
            "active-mac-address": lambda row: row.values.get("mac-address"),
            "expires-after": lambda row: "25m",
        },
    )


class Queues(Table):
    """Simple queues: those that people wrote, and one for each session with a rate, made when it logged in."""

    def __init__(self, router: Router, version: versions.Version, fields: Mapping[str, Field]) -> None:
        super().__init__("/queue/simple", version, fields, key=("name",))
        self._router = router
        written = {name: _of_rows_only(get) for name, get in self.getters.items() if name != ".id"}
        self.getters |= written | {
            "name": lambda row: f"<hotspot-{row.name}>" if isinstance(row, Session) else row.values.get("name"),
            "target": lambda row: f"{row.host.ip}/32" if isinstance(row, Session) else row.values.get("target"),
            "max-limit": self._limit,
            "dynamic": lambda row: "true" if isinstance(row, Session) else "false",
            "disabled": lambda row: "false" if isinstance(row, Session) else row.values.get("disabled", "false"),
            "bytes": lambda row: f"{row.up}/{row.down}" if isinstance(row, Session) else "0/0",
        }

    def rows(self) -> Any:
        sessions = self._router.hotspot.sessions.values()
        return chain(super().rows(), (session for session in sessions if session.rate))

    def row(self, number: int) -> Any:
        return super().row(number) or next((row for row in self.rows() if row.number == number), None)

    def set(self, arguments: dict[str, str]) -> None:
        """Change queues; a session's own is changed until it logs out."""
        for row in self.chosen(dict(arguments)):
            limit = self.read({k: v for k, v in arguments.items() if k not in (".id", "numbers")})
            if isinstance(row, Session):
                row.rate = limit.get("max-limit", row.rate)
                self.changed(row)
            else:
                self.write(row, limit)

    def guard(self, row: Any) -> None:
        if isinstance(row, Session):
            raise Trap("failure: can not remove dynamic queue")

    def _limit(self, row: Any) -> str:
        rate = row.rate if isinstance(row, Session) else row.values.get("max-limit", "0/0")
        up, down = values.bits_per_second(rate)
        return f"{up}/{down}"


def _of_rows_only(get: Getter) -> Getter:
    return lambda row: None if isinstance(row, Session) else get(row)


def _queues(router: Router) -> Table:
    return Queues(
        router,
        router.version,
        {
            "name": Field(),
            "target": Field(),
            "max-limit": Field(values.rates, "0/0"),
            "limit-at": Field(values.rates, "0/0"),
            "priority": Field(default="8/8"),
            "parent": Field(default="none"),
            "queue": Field(default="default-small/default-small"),
            **SWITCHED,
        },
    )


def _services(router: Router) -> Table:
    def same_row_only(arguments: dict[str, str]) -> None:
        raise Trap("no such command", 0)

    table = Table(
        "/ip/service",
        router.version,
        {
            "name": Field(),
            "port": Field(values.count),
            "address": Field(values.networks, ""),
            "certificate": Field(),
            "tls-version": Field(values.one_of("any", "only-1.2"), "any"),
            "vrf": Field(since=versions.V7),
            "max-sessions": Field(values.count, "20", since=versions.MAX_SESSIONS),
            **SWITCHED,
        },
        key=("name",),
        getters={"invalid": lambda row: "false"},
    )
    table.verbs["add"] = table.verbs["remove"] = same_row_only
    return table
