"""`/system`, `/user`, `/log` and `/file`: the router itself and who may do what on it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from bawaba.routers.simulators.routeros import rights, values, versions
from bawaba.routers.simulators.routeros.errors import BadValue, Trap
from bawaba.routers.simulators.routeros.tables import Field, Menu, Row, Single, Table, View, reference

if TYPE_CHECKING:
    from bawaba.routers.simulators.routeros.router import Router

MEGABYTE = 1024 * 1024
SWITCHED = {"disabled": Field(values.switch, "false"), "comment": Field()}


def build(router: Router, menus: Mapping[str, Menu]) -> Iterator[Menu]:
    """The system's menus; those that a version does not have are left out."""
    version = router.version
    yield _resource(router)
    yield Single("/system/identity", version, {"name": Field()}, {"name": router.settings.identity})
    yield _clock(router)
    if router.settings.board not in ("CHR", "x86"):
        yield _routerboard(router)
    yield _license(router)
    if version >= versions.V7:
        yield _device_mode(router)
    yield Table("/system/package", version, {"name": Field(), "version": Field(), "disabled": SWITCHED["disabled"]})
    yield _scripts(router)
    yield Table(
        "/system/scheduler",
        version,
        {
            "name": Field(),
            "start-date": Field(),
            "start-time": Field(),
            "interval": Field(values.duration, "0s"),
            "on-event": Field(),
            "policy": Field(),
            **SWITCHED,
        },
        key=("name",),
        required=("name",),
        duplicate="failure: item with this name already exists",
        getters={"run-count": lambda row: "0", "owner": lambda row: router.settings.username},
    )
    yield Single(
        "/system/ntp/client",
        version,
        {"enabled": Field(values.switch, "false"), "servers": Field(), "mode": Field(default="unicast")},
    )
    groups = _groups(router)
    yield groups
    yield _users(router, groups)
    yield _log(router)
    yield _files(router)
    yield _system(router)


def _resource(router: Router) -> Single:
    def load(row: Row) -> str:
        return str(min(95, 2 + len(router.hotspot.sessions) // 4))

    def free(row: Row) -> str:
        return str(900 * MEGABYTE - 20_000 * len(router.hotspot.sessions))

    return Single(
        "/system/resource",
        router.version,
        {},
        getters={
            "uptime": lambda row: values.shown_duration(router.uptime_s),
            "version": lambda row: router.version.shown,
            "build-time": lambda row: "2026-10-01 09:00:00",
            "free-memory": free,
            "total-memory": lambda row: str(1024 * MEGABYTE),
            "cpu": lambda row: "ARM64",
            "cpu-count": lambda row: "4",
            "cpu-frequency": lambda row: "864",
            "cpu-load": load,
            "free-hdd-space": lambda row: str(80 * MEGABYTE),
            "total-hdd-space": lambda row: str(128 * MEGABYTE),
            "architecture-name": lambda row: "arm64",
            "board-name": lambda row: router.settings.board,
            "platform": lambda row: "MikroTik",
        },
    )


def _clock(router: Router) -> Single:
    iso = router.version >= versions.ISO_DATES

    def date(row: Row) -> str:
        now = router.now()
        return now.strftime("%Y-%m-%d") if iso else now.strftime("%b/%d/%Y").lower()

    menu = Single(
        "/system/clock",
        router.version,
        {"time-zone-name": Field(default="UTC"), "time-zone-autodetect": Field(values.switch, "true")},
        getters={
            "time": lambda row: router.now().strftime("%H:%M:%S"),
            "date": date,
            "gmt-offset": lambda row: "+00:00",
            "dst-active": lambda row: "false",
        },
    )

    def set_clock(arguments: dict[str, str]) -> None:
        date, time = arguments.pop("date", None), arguments.pop("time", None)
        if date is not None or time is not None:
            _set_time(router, date, time)
        menu.set(arguments)

    menu.verbs["set"] = set_clock
    return menu


def _set_time(router: Router, date: str | None, time: str | None) -> None:
    now = router.now()
    date, time = date or now.strftime("%Y-%m-%d"), time or now.strftime("%H:%M:%S")
    for shape in ("%Y-%m-%d %H:%M:%S", "%b/%d/%Y %H:%M:%S"):
        try:
            wanted = datetime.strptime(f"{date} {time}", shape)  # noqa: DTZ007
        except ValueError:
            continue
        router.clock_offset_s += (wanted.replace(tzinfo=now.tzinfo) - now).total_seconds()
        return
    raise Trap("invalid value for argument date", 1)


def _routerboard(router: Router) -> Single:
    serial = f"H{zlib.crc32(router.settings.identity.encode()):09X}"
    return Single(
        "/system/routerboard",
        router.version,
        {},
        getters={
            "routerboard": lambda row: "true",
            "model": lambda row: "C52iG-5HaxD2HaxD",
            "serial-number": lambda row: serial,
            "current-firmware": lambda row: str(router.version),
            "upgrade-firmware": lambda row: str(router.version),
        },
    )


def _license(router: Router) -> Single:
    return Single(
        "/system/license",
        router.version,
        {},
        getters={
            "software-id": lambda row: "BWBA-SIM0",
            "nlevel": lambda row: str(router.settings.licence_level),
            "features": lambda row: None,
        },
    )


def _device_mode(router: Router) -> Single:
    switch = Field(values.switch, "true")
    menu = Single(
        "/system/device-mode",
        router.version,
        dict.fromkeys(("hotspot", "scheduler", "fetch", "container", "ipsec", "romon", "sniffer"), switch),
        {"hotspot": "true" if router.settings.hotspot_allowed else "false"},
        {"mode": lambda row: "advanced" if router.hotspot_allowed else "home"},
    )

    def update(arguments: dict[str, str]) -> None:
        raise Trap("failure: update not confirmed: press the button or cut the power within 5 minutes")

    menu.verbs = {"update": update}
    return menu


def _scripts(router: Router) -> Table:
    table = Table(
        "/system/script",
        router.version,
        {
            "name": Field(),
            "source": Field(),
            "policy": Field(),
            "dont-require-permissions": Field(values.switch, "false"),
            "comment": Field(),
        },
        key=("name",),
        required=("name",),
        duplicate="failure: script with this name already exists",
        getters={"run-count": lambda row: "0", "owner": lambda row: router.settings.username},
    )

    def run(arguments: dict[str, str]) -> None:
        for row in table.chosen(arguments):
            router.scripts_run.append(row.values["name"])

    table.verbs["run"] = run
    table.policies["run"] = "test"
    return table


def _groups(router: Router) -> Table:
    return Table(
        "/user/group",
        router.version,
        {"name": Field(), "policy": Field(rights.policy), "skin": Field(default="default"), "comment": Field()},
        key=("name",),
        required=("name",),
        duplicate="failure: group with the same name already exists",
        getters={"default": lambda row: row.values.get("default", "false")},
    )


def _users(router: Router, groups: Table) -> Table:
    table = Table(
        "/user",
        router.version,
        {
            "name": Field(),
            "group": Field(reference(groups, "group")),
            "password": Field(),
            "address": Field(values.networks, ""),
            **SWITCHED,
        },
        key=("name",),
        required=("name", "group"),
        duplicate="failure: user with the same name already exists",
        getters={"last-logged-in": lambda row: None, "expired": lambda row: "false"},
    )
    table.getters["password"] = lambda row: None  # never shown
    return table


def _log(router: Router) -> View:
    return View(
        "/log",
        router.version,
        {
            "time": lambda entry: entry.time,
            "topics": lambda entry: entry.topics,
            "message": lambda entry: entry.message,
        },
        lambda: router.entries,
    )


def _files(router: Router) -> Table:
    def size(row: Row) -> str:
        return str(len(row.values.get("contents", "").encode("utf-8", "surrogateescape")))

    class Files(Table):
        """Files with their text; small ones only, as over the API."""

        def check(self, written: Mapping[str, str], row: Row | None) -> None:
            super().check(written, row)
            if len(written.get("contents", "")) > 61440:
                raise Trap("failure: contents too long")

    table = Files(
        "/file",
        router.version,
        {"name": Field(_file_name), "contents": Field(), "type": Field()},
        key=("name",),
        required=("name",),
        duplicate="failure: file with this name already exists",
        getters={"size": size, "creation-time": lambda row: "2026-01-01 00:00:00"},
    )
    return table


def _file_name(value: str) -> str:
    if not value or "\0" in value:
        raise BadValue
    return value


def _system(router: Router) -> Menu:
    """`/system reboot` and `shutdown`: a menu of verbs, with nothing to print."""
    menu = View("/system", router.version, {}, lambda: ())
    menu.verbs = {
        "reboot": lambda arguments: router.reboot(),
        "shutdown": lambda arguments: router.power_off(),
    }
    menu.policies = {"reboot": "reboot", "shutdown": "reboot"}
    return menu
