"""What a controller is, whether we may do what we have to, and what about it will bite its owner later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bawaba.routers.driver import Info, Note, Reason, RouterAuthFailed, RouterRejected, Unsupported
from bawaba.routers.drivers.unifi.box import Box, understood
from bawaba.routers.drivers.unifi.client import Row
from bawaba.routers.drivers.unifi.refusals import LoggedOut, is_rejected
from bawaba.routers.drivers.unifi.watching import sysinfo

NO_SITE = "There is no site named %(name)s on this controller. It has: %(sites)s."
PORTAL_OFF = "The hotspot's portal is off: guests are online without a card. Switch it on: Hotspot, Landing Page."
OWN_PORTAL = "The hotspot shows the controller's own page. Set External Portal Server and this server's address there."
HTTPS_REDIRECT = "HTTPS redirection is on: phones show a warning instead of your page. Switch it off there."
ROUNDED = "UniFi counts whole minutes and whole megabytes; Bawaba ends sessions exactly, at its next look."
SENTENCES = (NO_SITE, PORTAL_OFF, OWN_PORTAL, HTTPS_REDIRECT, ROUNDED)


async def probe(box: Box) -> Info:
    """Look at everything once. What the account may not see is left out."""
    sites = await _optional(box, "self/sites", site=False)
    name = box.api.way.site
    named = [row for row in sites if row.get("name") == name]
    if sites and not named:
        words = ", ".join(str(row.get("name")) for row in sites)
        raise RouterRejected(str(Note(NO_SITE, name=name, sites=words)), Reason.NOT_FOUND)
    about = await sysinfo(box)
    await box.stations()  # the site is there, and we may read it
    settings = await _optional(box, "get/setting")
    return Info(
        version=str(about.get("version", "?")),
        board=_board(about),
        skew_s=skew(box),
        missing_rights=("write",) if any(row.get("role") == "readonly" for row in named) else (),
        notes=tuple(_notes(next((row for row in settings if row.get("key") == "guest_access"), {}))),
    )


async def _optional(box: Box, path: str, *, site: bool = True) -> Sequence[Row]:
    """Rows that not every account and version shows."""
    try:
        return await box.api.classic("GET", path, site=site)
    except Unsupported:
        return []
    except RouterRejected as error:
        if not is_rejected(error, Reason.NOT_FOUND, Reason.BAD_VALUE, Reason.OTHER) or "NoSiteContext" in str(error):
            raise
        return []
    except RouterAuthFailed as error:
        if isinstance(error, LoggedOut) or "NoPermission" not in str(error):
            raise
        return []


def _board(about: Mapping[str, Any]) -> str:
    kind, name = about.get("ubnt_device_type") or "UniFi Network", about.get("name")
    return f"{kind} ({name})" if name else str(kind)


def skew(box: Box) -> float | None:
    """The controller's clock minus ours, in seconds, to the second; None where it does not say."""
    with understood():
        return None if box.api.date is None else (box.api.date - box.clock.now()).total_seconds()


def _notes(access: Row) -> Iterator[Note]:
    if access:
        if access.get("portal_enabled") is False:
            yield Note(PORTAL_OFF)
        elif access.get("auth", "custom") != "custom":
            yield Note(OWN_PORTAL)
        if access.get("redirect_https"):
            yield Note(HTTPS_REDIRECT)
    yield Note(ROUNDED)
