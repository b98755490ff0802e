"""`/ip/hotspot` and all below it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from bawaba.routers.simulators.routeros import values, versions
from bawaba.routers.simulators.routeros.admission import api_login
from bawaba.routers.simulators.routeros.errors import BadValue, Trap
from bawaba.routers.simulators.routeros.guests import Cookie, Host, Session, UserRow
from bawaba.routers.simulators.routeros.hotspot import Hotspot
from bawaba.routers.simulators.routeros.limits import time_left, timeout
from bawaba.routers.simulators.routeros.tables import Field, Getter, Menu, Row, Table, View, reference

if TYPE_CHECKING:
    from bawaba.routers.simulators.routeros.router import Router

PATH = "/ip/hotspot"
LOGIN_WAYS = ("cookie", "http-chap", "http-pap", "https", "mac", "mac-cookie", "trial")
COMMENT = {"comment": Field()}
SWITCHED = {"disabled": Field(values.switch, "false"), **COMMENT}


def build(router: Router, menus: Mapping[str, Menu]) -> Iterator[Menu]:
    """The hotspot's menus; what points at another comes after it."""
    server_profiles = _server_profiles(router)
    yield server_profiles
    servers = _servers(router, menus, server_profiles)
    yield servers
    profiles = _user_profiles(router)
    yield profiles
    yield _users(router, servers, profiles)
    yield _active(router)
    yield _hosts(router)
    yield _cookies(router)
    bindings = Table(
        f"{PATH}/ip-binding",
        router.version,
        {
            "mac-address": Field(values.mac),
            "address": Field(_addresses),
            "to-address": Field(_addresses),
            "server": Field(reference(servers, "server", "all"), "all"),
            "type": Field(values.one_of("regular", "bypassed", "blocked"), "regular"),
            **SWITCHED,
        },
    )
    bindings.watchers.append(lambda menu, row, gone: router.hotspot.bindings_changed())
    yield bindings
    yield _garden(router, servers)
    yield _garden_ip(router, servers)


def _server_profiles(router: Router) -> Table:
    return Table(
        f"{PATH}/profile",
        router.version,
        {
            "name": Field(),
            "hotspot-address": Field(values.address),
            "dns-name": Field(),
            "html-directory": Field(default="flash/hotspot" if router.version.major >= 7 else "hotspot"),
            "html-directory-override": Field(),
            "rate-limit": Field(values.rates),
            "http-proxy": Field(default="0.0.0.0:0"),
            "smtp-server": Field(default="0.0.0.0"),
            "login-by": Field(values.any_of(*LOGIN_WAYS), "http-chap,cookie"),
            "http-cookie-lifetime": Field(values.duration, "3d"),
            "ssl-certificate": Field(default="none"),
            "https-redirect": Field(values.switch, "true", until=versions.NO_HTTPS_REDIRECT),
            "install-hotspot-queue": Field(values.switch, "false", since=versions.INSTALL_QUEUE),
            "split-user-domain": Field(values.switch, "false"),
            "use-radius": Field(values.switch, "false"),
            "mac-auth-mode": Field(values.text),
            "trial-uptime-limit": Field(values.duration),
            "trial-uptime-reset": Field(values.duration),
            "trial-user-profile": Field(),
        },
        key=("name",),
        required=("name",),
        duplicate="failure: already have profile with such name",
        getters={"default": _default},
    )


def _servers(router: Router, menus: Mapping[str, Menu], profiles: Table) -> Table:
    class Servers(Table):
        """Hotspot servers; device-mode may forbid them."""

        def add(self, arguments: dict[str, str]) -> str:
            if not router.hotspot_allowed:
                raise Trap("failure: not allowed by device-mode")
            return super().add(arguments)

    table = Servers(
        PATH,
        router.version,
        {
            "name": Field(default=""),
            "interface": Field(reference(menus["/interface"], "interface")),
            "address-pool": Field(reference(menus["/ip/pool"], "address-pool", "none"), "none"),
            "profile": Field(reference(profiles, "profile"), "default"),
            "idle-timeout": Field(values.duration_or_none, "5m"),
            "keepalive-timeout": Field(values.duration_or_none, "none"),
            "login-timeout": Field(values.duration_or_none, "none"),
            "addresses-per-mac": Field(values.count_or_unlimited, "2"),
            **SWITCHED,
        },
        required=("interface",),
        getters={
            "invalid": lambda row: "false" if router.hotspot_allowed else "true",
            "HTTPS": lambda row: "false",
            "ip-of-dns-name": lambda row: router.settings.address,
        },
    )
    table.verbs["reset-html"] = lambda arguments: router.reset_html()
    return table


def _user_profiles(router: Router) -> Table:
    duration = Field(values.duration, "0s")
    table = Table(
        f"{PATH}/user/profile",
        router.version,
        {
            "name": Field(),
            "address-pool": Field(default="none"),
            "session-timeout": duration,
            "idle-timeout": Field(values.duration_or_none, "none"),
            "keepalive-timeout": Field(values.duration_or_none, "2m"),
            "status-autorefresh": Field(values.duration_or_none, "1m"),
            "shared-users": Field(values.count_or_unlimited, "1"),
            "rate-limit": Field(values.rates),
            "add-mac-cookie": Field(values.switch, "true"),
            "mac-cookie-timeout": Field(values.duration, "3d"),
            "address-list": Field(default=""),
            "parent-queue": Field(),
            "queue-type": Field(),
            "insert-queue-before": Field(),
            "incoming-filter": Field(),
            "outgoing-filter": Field(),
            "incoming-packet-mark": Field(),
            "outgoing-packet-mark": Field(),
            "open-status-page": Field(values.one_of("always", "http-login")),
            "transparent-proxy": Field(values.switch, "false"),
            "advertise": Field(values.switch),
            "advertise-url": Field(),
            "advertise-interval": Field(),
            "advertise-timeout": Field(),
            "on-login": Field(),
            "on-logout": Field(),
        },
        key=("name",),
        required=("name",),
        duplicate="failure: already have profile with such name",
        getters={"default": _default},
    )
    table.watchers.append(lambda menu, row, gone: router.hotspot.restless())
    return table


class Users(Table):
    """Hotspot users: one row a card. A session whose user is removed stays up, with the limits that it had."""

    row_class = UserRow


def _users(router: Router, servers: Table, profiles: Table) -> Table:
    def used(place: int) -> Getter:
        return lambda row: str(router.hotspot.used(row)[place])

    table = Users(
        f"{PATH}/user",
        router.version,
        {
            "name": Field(),
            "password": Field(sensitive=True),
            "server": Field(reference(servers, "server", "all"), "all"),
            "profile": Field(reference(profiles, "profile"), "default"),
            "mac-address": Field(values.mac),
            "address": Field(values.address),
            "routes": Field(),
            "email": Field(),
            "limit-uptime": Field(values.duration),
            "limit-bytes-in": Field(values.count),
            "limit-bytes-out": Field(values.count),
            "limit-bytes-total": Field(values.count),
            "totp-secret": Field(since=versions.V7, until=versions.OTP_SECRET, sensitive=True),
            "otp-secret": Field(since=versions.OTP_SECRET, sensitive=True),
            **SWITCHED,
        },
        key=("name", "server"),
        required=("name",),
        duplicate="failure: already have user with this name for this server",
        getters={
            "uptime": lambda row: values.shown_duration(router.hotspot.used(row)[0]),
            "bytes-in": used(1),
            "bytes-out": used(2),
            "packets-in": lambda row: str(router.hotspot.used(row)[1] // 800),
            "packets-out": lambda row: str(router.hotspot.used(row)[2] // 1200),
            "dynamic": lambda row: "false",
            "default": _default,
        },
    )

    def reset(arguments: dict[str, str]) -> None:
        for row in table.chosen(arguments):
            row.uptime_s, row.up, row.down = 0.0, 0, 0
            table.changed(row)

    table.watchers.append(lambda menu, row, gone: router.hotspot.user_changed(row))
    table.verbs["reset-counters"] = reset
    table.verbs["reset-counters-all"] = lambda arguments: (
        reset({"numbers": ",".join(_ids(table))}) if len(table) else None
    )
    return table


def _active(router: Router) -> View:
    hotspot = router.hotspot

    def left(session: Session, way: str) -> str | None:
        limit = session.limits_at_login.get(way)
        return None if limit is None else str(limit)

    menu = View(
        f"{PATH}/active",
        router.version,
        {
            "server": lambda session: _server_name(hotspot),
            "user": lambda session: session.name,
            "domain": lambda session: None,
            "address": lambda session: session.host.ip,
            "mac-address": lambda session: session.host.mac,
            "uptime": lambda session: values.shown_duration(hotspot.now() - session.started),
            "idle-time": lambda session: values.shown_duration(hotspot.now() - session.moved_at),
            "session-time-left": lambda session: _optional(time_left(session, hotspot.now())),
            "idle-timeout": lambda session: _optional(timeout(session.profile.values, "idle-timeout", "none") or None),
            "keepalive-timeout": lambda session: _optional(
                timeout(session.profile.values, "keepalive-timeout", "2m") or None
            ),
            "bytes-in": lambda session: str(session.up),
            "bytes-out": lambda session: str(session.down),
            "packets-in": lambda session: str(session.up // 800),
            "packets-out": lambda session: str(session.down // 1200),
            "limit-bytes-in": lambda session: left(session, "in"),
            "limit-bytes-out": lambda session: left(session, "out"),
            "limit-bytes-total": lambda session: left(session, "total"),
            "login-by": lambda session: session.login_by,
            "radius": lambda session: "false",
            "blocked": lambda session: "false",
        },
        lambda: hotspot.sessions.values(),
    )

    def remove(arguments: dict[str, str]) -> None:
        for session in menu.chosen(arguments):
            hotspot.end(session, "admin reset")

    def login(arguments: dict[str, str]) -> None:
        for name in arguments:
            if name not in ("user", "password", "ip", "mac-address", "domain"):
                raise Trap(f"unknown parameter {name}")
        api_login(hotspot, arguments)

    menu.verbs = {"remove": remove, "login": login}
    return menu


def _hosts(router: Router) -> View:
    hotspot = router.hotspot

    def counter(way: str) -> Callable[[Host], str]:
        return lambda host: str(getattr(host.session, way, 0))

    menu = View(
        f"{PATH}/host",
        router.version,
        {
            "mac-address": lambda host: host.mac,
            "address": lambda host: host.ip,
            "to-address": lambda host: host.ip,
            "server": lambda host: _server_name(hotspot),
            "uptime": lambda host: values.shown_duration(hotspot.now() - host.since),
            "idle-time": lambda host: values.shown_duration(hotspot.now() - host.seen_at),
            "bytes-in": counter("up"),
            "bytes-out": counter("down"),
            "authorized": lambda host: _word(host.session is not None),
            "bypassed": lambda host: _word(hotspot.binding(host.phone) == "bypassed"),
            "blocked": lambda host: _word(hotspot.binding(host.phone) == "blocked"),
            "DHCP": lambda host: "true",
            "dynamic": lambda host: "true",
            "found-by": lambda host: f"UDP :68 -> :67 {host.ip}",
        },
        lambda: hotspot.hosts.values(),
    )

    def remove(arguments: dict[str, str]) -> None:
        for host in menu.chosen(arguments):
            hotspot.remove_host(host)

    def make_binding(arguments: dict[str, str]) -> None:
        kind = arguments.pop("type", "regular")
        for host in menu.chosen(arguments):
            router.table(f"{PATH}/ip-binding").add({"mac-address": host.mac, "address": host.ip, "type": kind})

    menu.verbs = {"remove": remove, "make-binding": make_binding}
    return menu


def _cookies(router: Router) -> View:
    hotspot = router.hotspot

    def rows() -> list[Cookie]:
        return [cookie for cookie in hotspot.cookies.values() if cookie.expires_at > hotspot.now()]

    menu = View(
        f"{PATH}/cookie",
        router.version,
        {
            "user": lambda cookie: cookie.user,
            "domain": lambda cookie: None,
            "mac-address": lambda cookie: cookie.mac,
            "expires-in": lambda cookie: values.shown_duration(cookie.expires_at - hotspot.now()),
            "mac-cookie": lambda cookie: _word(cookie.is_mac_cookie),
        },
        rows,
    )

    def remove(arguments: dict[str, str]) -> None:
        for cookie in menu.chosen(arguments):
            del hotspot.cookies[cookie.number]
            menu.changed(cookie, gone=True)

    menu.verbs = {"remove": remove}
    return menu


def _garden(router: Router, servers: Table) -> Table:
    return Table(
        f"{PATH}/walled-garden",
        router.version,
        {
            "server": Field(reference(servers, "server", "all")),
            "src-address": Field(values.network),
            "dst-host": Field(),
            "dst-port": Field(),
            "path": Field(),
            "method": Field(),
            "action": Field(values.one_of("allow", "deny"), "allow"),
            **SWITCHED,
        },
        getters={"hits": lambda row: "0", "dynamic": lambda row: "false", "dst-address": lambda row: None},
    )


def _garden_ip(router: Router, servers: Table) -> Table:
    return Table(
        f"{PATH}/walled-garden/ip",
        router.version,
        {
            "server": Field(reference(servers, "server", "all")),
            "src-address": Field(values.network),
            "dst-address": Field(values.network),
            "dst-address-list": Field(),
            "dst-host": Field(),
            "dst-port": Field(),
            "protocol": Field(),
            "action": Field(values.one_of("accept", "drop", "reject"), "accept"),
            **SWITCHED,
        },
        getters={"dynamic": lambda row: "false", "invalid": lambda row: "false"},
    )


def _default(row: Row) -> str | None:
    return row.values.get("default", "false")


def _server_name(hotspot: Hotspot) -> str | None:
    server = hotspot.server()
    return server.values.get("name") if server else None


def _optional(seconds: float | None) -> str | None:
    return None if seconds is None else values.shown_duration(max(0.0, seconds))


def _word(fact: bool) -> str:
    return "true" if fact else "false"


def _ids(table: Table) -> list[str]:
    return [f"*{row.number:X}" for row in table.rows()]


def _addresses(value: str) -> str:
    """An address, a network or a range."""
    first, dash, last = value.partition("-")
    try:
        return f"{values.address(first)}-{values.address(last)}" if dash else values.network(value)
    except ValueError as error:
        raise BadValue from error
