"""What a router is, whether we may do what we have to, and what about it will bite its owner later."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

from bawaba.routers.driver import (
    GatewayError,
    Info,
    Note,
    RouterAuthFailed,
    RouterRejected,
    RouterUnreachable,
    Unsupported,
)
from bawaba.routers.drivers.routeros import words
from bawaba.routers.drivers.routeros.box import ACTIVE, PROFILE, USER, Box, answer_error, understood
from bawaba.routers.drivers.routeros.client import LIST_S, Reply, Row, command, reading

NOBODY = "*FFFFFF"
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
SAFE_PORTAL_VERSION = (7, 19, 2)
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
QUESTIONS = {
    "resource": ("/system/resource", "version,board-name,uptime"),
    "identity": ("/system/identity", "name"),
    "clock": ("/system/clock", "date,time,gmt-offset"),
    "license": ("/system/license", "nlevel,level"),
    "device-mode": ("/system/device-mode", "mode,hotspot"),
    "servers": ("/ip/hotspot", "name,interface,profile,disabled,invalid"),
    "server-profiles": ("/ip/hotspot/profile", "name,login-by,use-radius"),
    "active": (ACTIVE, ".id"),
    "filter": ("/ip/firewall/filter", "action,disabled"),
    "ipv6": ("/ipv6/address", "address,interface,disabled"),
    "profiles": (PROFILE, "name"),
}
NO_HOTSPOT = "No hotspot is set up on this router. Make one: IP, Hotspot, Hotspot Setup."
OTHER_HOTSPOT = "There is no hotspot named %(name)s on this router."
HOTSPOT_OFF = "The hotspot %(name)s is switched off or not valid."
DEVICE_MODE = "Device mode forbids the hotspot. Allow it at the router itself: /system/device-mode/update hotspot=yes."
NO_PAP = "The hotspot's profile %(name)s does not allow HTTP PAP: the router cannot let guests in by itself."
USES_RADIUS = "The hotspot's profile %(name)s asks RADIUS as well. Use one of the two."
LICENCE = "Licence level %(level)s: %(online)s of %(most)s guests are online."
FASTTRACK = "FastTrack is on: speed limits do not hold for connections that it has taken over."
IPV6 = "%(interface)s has IPv6: guests get past the portal by it. Switch it off there."
OLD_PORTAL = "RouterOS before 7.19.2 has a known fault in its login page (CVE-2025-6563). Update it."
SENTENCES = (
    NO_HOTSPOT, OTHER_HOTSPOT, HOTSPOT_OFF, DEVICE_MODE, NO_PAP, USES_RADIUS, LICENCE, FASTTRACK, IPV6, OLD_PORTAL,
)  # fmt: skip


async def probe(box: Box) -> Info:
    """Look at everything once. A menu that this version does not have is a normal answer."""
    answers = await box.api.ask_all([reading(path, names) for path, names in QUESTIONS.values()], LIST_S)
    if isinstance(answers[0], GatewayError) and not isinstance(answers[0], RouterAuthFailed):
        raise answers[0]
    for answer in answers:
        if isinstance(answer, RouterUnreachable):
            raise answer
    seen = {
        name: answer.rows if isinstance(answer, Reply) else [] for name, answer in zip(QUESTIONS, answers, strict=True)
    }
    with understood():
        resource = seen["resource"][0] if seen["resource"] else {}
        return Info(
            version=resource.get("version", "?"),
            board=" ".join(filter(None, (resource.get("board-name", "?"), _identity(seen["identity"])))),
            skew_s=skew(seen["clock"], box.clock.now()),
            missing_rights=tuple(await _missing_rights(box, answers)),
            notes=tuple(_notes(box, seen)),
        )


def _identity(rows: Sequence[Row]) -> str:
    return f"({rows[0]['name']})" if rows and rows[0].get("name") else ""


async def _missing_rights(box: Box, answers: Sequence[Reply | GatewayError]) -> list[str]:
    """Which rights our account lacks. Writing is tried on a row that nobody has."""
    missing = ["read"] if isinstance(answers[0], RouterAuthFailed) else []
    tried = (await box.api.ask_all([command(f"{USER}/remove", {".id": NOBODY})]))[0]
    error = answer_error(tried)
    if isinstance(error, RouterAuthFailed):
        missing.append("write")
    elif error is not None and not isinstance(error, RouterRejected | Unsupported):
        raise error
    return missing


def _notes(box: Box, seen: Mapping[str, Sequence[Row]]) -> Iterator[Note]:
    servers = [row for row in seen["servers"] if box.options.server in (None, row.get("name"))]
    if seen["device-mode"] and seen["device-mode"][0].get("hotspot") in ("no", "false"):
        yield Note(DEVICE_MODE)
    if not servers:
        yield Note(OTHER_HOTSPOT, name=box.options.server) if box.options.server else Note(NO_HOTSPOT)
    for row in servers:
        if words.is_true(row.get("disabled")) or words.is_true(row.get("invalid")):
            yield Note(HOTSPOT_OFF, name=row.get("name", ""))
    yield from _profile_notes(box, seen["server-profiles"], {row.get("profile") for row in servers})
    yield from _ceiling(seen["license"], len(seen["active"]))
    if any(r.get("action") == "fasttrack-connection" and not words.is_true(r.get("disabled")) for r in seen["filter"]):
        yield Note(FASTTRACK)
    for interface in sorted({row.get("interface", "") for row in servers}):
        if any(_is_public(row) for row in seen["ipv6"] if row.get("interface") == interface):
            yield Note(IPV6, interface=interface)
    version = version_of(seen["resource"])
    if (7,) <= version < SAFE_PORTAL_VERSION:
        yield Note(OLD_PORTAL)


def _profile_notes(box: Box, profiles: Sequence[Row], in_use: set[str | None]) -> Iterator[Note]:
    for row in profiles:
        if row.get("name") not in in_use:
            continue
        if "http-pap" not in row.get("login-by", "").split(",") and box.options.sign_in == "router":
            yield Note(NO_PAP, name=row["name"])
        if words.is_true(row.get("use-radius")):
            yield Note(USES_RADIUS, name=row["name"])


def _ceiling(rows: Sequence[Row], online: int) -> Iterator[Note]:
    most = words.ceiling(rows)
    if most is not None:
        yield Note(LICENCE, level=rows[0]["nlevel"], online=online, most=most)


def _is_public(row: Row) -> bool:
    if words.is_true(row.get("disabled")):
        return False
    return not ipaddress.ip_interface(row.get("address", "::1")).ip.is_link_local


def version_of(rows: Sequence[Row]) -> tuple[int, ...]:
    """The version as numbers, like (7, 19, 2)."""
    match = _VERSION.match(rows[0].get("version", "")) if rows else None
    return tuple(int(part or 0) for part in match.groups()) if match else ()


def skew(rows: Sequence[Row], now: datetime) -> float | None:
    """The router's clock minus ours, in seconds; None where it does not say."""
    if not rows or not rows[0].get("date") or not rows[0].get("time"):
        return None
    local = datetime.combine(_date(rows[0]["date"]), time.fromisoformat(rows[0]["time"]), UTC)
    return (local - _offset(rows[0].get("gmt-offset", "")) - now).total_seconds()


def _date(text: str) -> date:
    """2026-11-24, or nov/24/2026 before 7.10."""
    if "/" not in text:
        return date.fromisoformat(text)
    month, day, year = text.split("/")
    return date(int(year), MONTHS.index(month.lower()) + 1, int(day))


def _offset(text: str) -> timedelta:
    """+03:00, or the same as a number of seconds that has run over (old versions, west of Greenwich)."""
    match = re.fullmatch(r"([+-]?)(\d{2}):(\d{2})", text)
    if match is None:
        return timedelta(0)
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return -offset if match[1] == "-" else offset
