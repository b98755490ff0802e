"""One simulated router: its state, its clock, and what a test or a person can do to it from outside."""

from __future__ import annotations

import fnmatch
import ipaddress
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from bawaba.core.clock import Clock, SystemClock
from bawaba.routers.simulators.routeros import menus, rights
from bawaba.routers.simulators.routeros.faults import Faults
from bawaba.routers.simulators.routeros.guests import Phone
from bawaba.routers.simulators.routeros.hotspot import Hotspot
from bawaba.routers.simulators.routeros.menus.network import SERVICES
from bawaba.routers.simulators.routeros.pages import STOCK_PAGES
from bawaba.routers.simulators.routeros.settings import Behaviour, Settings
from bawaba.routers.simulators.routeros.tables import Table
from bawaba.routers.simulators.routeros.versions import Version

LOG_LINES = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the router's log."""

    number: int
    time: str
    topics: str
    message: str


@dataclass(slots=True)
class Call:
    """A command that reached the router, as it came; `done` is False where a fault kept it from being done."""

    command: str
    arguments: dict[str, str]
    done: bool = True


class Router:
    """A router in software. Every method may be called from any thread.

    Its ports are filled in when it is served: `api_port`, `tls_port`, `web_port` and `web_tls_port` (pages and REST).
    `fingerprint` is its certificate's SHA-256, `web_url` where guests' browsers find its pages.
    """

    def __init__(
        self, settings: Settings | None = None, *, clock: Clock | None = None, behaviour: Behaviour | None = None
    ) -> None:
        self.settings = settings or Settings()
        self.behaviour = behaviour or Behaviour()
        self.clock: Clock = clock or SystemClock()
        self.version = Version.parse(self.settings.version)
        self.lock = threading.RLock()
        self.faults = Faults()
        self.calls: deque[Call] = deque(maxlen=0)  # `record()` makes room
        self.scripts_run: list[str] = []
        self.clock_offset_s = self.settings.clock_offset_s
        self.entries: deque[Entry] = deque(maxlen=LOG_LINES)
        self.moved = [0, 0]  # bytes up and down since boot
        self.api_port = self.tls_port = self.web_port = self.web_tls_port = 0
        self.fingerprint = ""
        self.web_url = f"http://{self.settings.dns_name}"
        self.powered = True
        self.on_power: list[Callable[[bool], None]] = []  # who serves it: True is on again, False is gone
        self._booted_at = self.clock.monotonic()
        self._numbers = 0
        self._leases: dict[str, int] = {}  # a MAC's row
        self.hotspot = Hotspot(self)
        self.menus = menus.build(self)
        self._furnish()
        self._scramble()

    # -- what a test or a person does

    def join(self, mac: str | None = None, ip: str | None = None) -> Phone:
        """A phone joins the guests' network and sends its first packet; MAC and address are the next free ones."""
        with self.lock:
            place = len(self.hotspot.phones) + 1
            ip = ip or str(ipaddress.ip_address(self.settings.address) + place)
            mac = mac or ":".join(f"{byte:02X}" for byte in (0x02, 0xB0, *place.to_bytes(4, "big")))
            return self.hotspot.join(mac.upper(), ip)

    def crowd(self, count: int, down: float = 0.0) -> list[Phone]:
        """So many guests, each logged in as a user of its own, receiving `down` bytes a second."""
        with self.lock:
            phones = []
            for number in range(len(self.hotspot.phones), len(self.hotspot.phones) + count):
                self.add("/ip/hotspot/user", name=f"guest{number}")
                phone = self.join()
                host = self.hotspot.host_of(phone)
                assert host is not None
                self.hotspot.login(f"guest{number}", lambda password: True, host, "http-pap")
                phone.flow(up=down / 9, down=down)
                phones.append(phone)
            return phones

    def add(self, path: str, **written: str) -> str:
        """Add an item as if on the console; underscores stand for hyphens. Returns its id."""
        with self.lock:
            return self.table(path).add({name.rstrip("_").replace("_", "-"): value for name, value in written.items()})

    def find(self, path: str, **wanted: str) -> list[dict[str, str]]:
        """The items that have these values, with all that can be shown."""
        with self.lock:
            self.hotspot.look()
            self.hotspot.settle()
            rows = [self.menus[path].show(row) for row in self.menus[path].rows()]
        named = {name.rstrip("_").replace("_", "-"): value for name, value in wanted.items()}
        return [row for row in rows if all(row.get(name) == value for name, value in named.items())]

    def fail(self, kind: str, match: str = "*", **details: Any) -> None:
        """Let something go wrong; see `faults`. Connection faults hold until `heal`."""
        with self.lock:
            self.faults.add(kind, match, **details)

    def fail_connections(self, kind: str) -> None:
        """New connections are refused, swallowed or never answered, until `heal`; open ones are reset."""
        with self.lock:
            self.faults.connection = kind
        self._tell_power(False)

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        with self.lock:
            cut, self.faults.connection = self.faults.connection, ""
            self.faults.heal()
        if cut:
            self._tell_power(True)

    def record(self, keep: int = 100_000) -> deque[Call]:
        """Remember the commands that come from now on, at most so many, and return them as they come."""
        with self.lock:
            self.calls = deque(maxlen=keep)
            return self.calls

    def count_calls(self, pattern: str) -> int:
        """How many remembered commands fit a pattern like /ip/hotspot/user/*."""
        with self.lock:
            return sum(fnmatch.fnmatch(call.command, pattern) for call in self.calls)

    def reboot(self, *, saved: bool = True) -> None:
        """Start anew, at once: sessions and hosts are gone, what was written is kept.

        `saved=False` is a power cut, which also loses the counters of open sessions.
        """
        self.power_off(saved=saved)
        self.power_on()

    def power_off(self, *, saved: bool = True) -> None:
        """Be off: connections are reset, new ones refused."""
        with self.lock:
            self.hotspot.look()
            self.hotspot.reboot(saved=saved)
            lists = self.table("/ip/firewall/address-list")
            for row in [row for row in lists.rows() if "timeout" in row.values]:  # never saved
                lists.discard(row)
            self.powered = False
        self._tell_power(False)

    def power_on(self) -> None:
        """Be on again."""
        with self.lock:
            self._booted_at = self.clock.monotonic()
            self.moved = [0, 0]
            self.entries.clear()
            self.powered = True
        self._tell_power(True)

    def change(self, **settings: Any) -> None:
        """Change what the router is made of, like `licence_level`, between boots."""
        with self.lock:
            self.settings = replace(self.settings, **settings)

    # -- what the menus ask

    @property
    def uptime_s(self) -> float:
        """Seconds since boot."""
        return self.clock.monotonic() - self._booted_at

    @property
    def hotspot_allowed(self) -> bool:
        """Whether device-mode lets the hotspot run."""
        return self.settings.hotspot_allowed

    def now(self) -> datetime:
        """The time as this router believes it to be."""
        return self.clock.now() + timedelta(seconds=self.clock_offset_s)

    def table(self, path: str) -> Table:
        """A menu that people write in."""
        menu = self.menus[path]
        assert isinstance(menu, Table)
        return menu

    def traffic(self, up: int, down: int) -> None:
        """Count what passed."""
        self.moved[0] += up
        self.moved[1] += down

    def log(self, topics: str, message: str) -> None:
        """Write a line in the router's log."""
        self._numbers += 1
        entry = Entry(self._numbers, self.now().strftime("%H:%M:%S"), topics, message)
        self.entries.append(entry)
        self.menus["/log"].changed(entry)

    def lease(self, mac: str, ip: str) -> None:
        """DHCP gave an address."""
        leases = self.table("/ip/dhcp-server/lease")
        number = self._leases.get(mac)
        row = leases.row(number) if number is not None else None
        if row is not None:
            leases.write(row, {"address": ip})
            return
        added = leases.add({"address": ip, "mac-address": mac, "server": "dhcp1", "dynamic": "yes"})
        self._leases[mac] = int(added[1:], 16)

    def reset_html(self) -> None:
        """The stock pages again."""
        files = self.table("/file")
        folder = self.hotspot.server_profile().get("html-directory", "hotspot")
        for name, contents in STOCK_PAGES.items():
            for row in list(files.named(f"{folder}/{name}")):
                files.discard(row)
            files.add({"name": f"{folder}/{name}", "contents": contents, "type": ".html file"})

    def page(self, name: str) -> str:
        """A hotspot page's source, empty where the router has none."""
        profile = self.hotspot.server_profile()
        for folder in (profile.get("html-directory-override"), profile.get("html-directory", "hotspot")):
            for row in self.table("/file").named(f"{folder}/{name}"):
                return row.values.get("contents", "")
        return ""

    def _tell_power(self, on: bool) -> None:
        for tell in list(self.on_power):
            tell(on)

    def _furnish(self) -> None:
        """What a router has after the hotspot set-up was run."""
        folder = "flash/hotspot" if self.version.major >= 7 else "hotspot"
        items: list[tuple[str, dict[str, str]]] = [
            ("/interface", {"name": "ether1", "type": "ether"}),
            ("/interface", {"name": "bridge", "type": "bridge"}),
            ("/ip/address", {"address": f"{self.settings.address}/16", "interface": "bridge"}),
            ("/ip/pool", {"name": "hs-pool-1", "ranges": "10.5.50.2-10.5.255.254"}),
            ("/ip/dhcp-server", {"name": "dhcp1", "interface": "bridge", "address-pool": "hs-pool-1"}),
            ("/ip/hotspot/profile", {"name": "default", "html-directory": folder}),
            (
                "/ip/hotspot/profile",
                {
                    "name": "hsprof1",
                    "hotspot-address": self.settings.address,
                    "dns-name": self.settings.dns_name,
                    "html-directory": folder,
                    "login-by": self.settings.login_by,
                },
            ),
            ("/ip/hotspot/user/profile", {"name": "default"}),
            ("/ip/hotspot/user", {"name": "default-trial"}),
            ("/system/package", {"name": "routeros", "version": str(self.version)}),
            *(("/user/group", {"name": name, "policy": policy}) for name, policy in rights.GROUPS.items()),
            ("/user", {"name": self.settings.username, "group": "full", "password": self.settings.password}),
        ]
        for path, written in items:
            self.table(path).add(written)
        self._add_server()
        self._add_services()
        for path, name in (
            ("/ip/hotspot/profile", "default"),
            ("/ip/hotspot/user/profile", "default"),
            ("/ip/hotspot/user", "default-trial"),
            *(("/user/group", name) for name in rights.GROUPS),
        ):
            self.table(path).named(name)[0].values["default"] = "true"
        self.reset_html()

    def _add_server(self) -> None:
        if self.hotspot_allowed:
            self.add("/ip/hotspot", name="hotspot1", interface="bridge", address_pool="hs-pool-1", profile="hsprof1")

    def _add_services(self) -> None:
        services = self.table("/ip/service")
        for name, port in SERVICES.items():
            ours = {"max-sessions": str(self.settings.max_sessions)} if "max-sessions" in services.fields else {}
            Table.add(services, {"name": name, "port": str(port), **ours})

    def _scramble(self) -> None:
        """Words come in no order that anyone may rely on."""
        chance = Random(self.settings.seed)
        for menu in self.menus.values():
            names = list(menu.getters)
            chance.shuffle(names)
            menu.getters = {name: menu.getters[name] for name in names}
