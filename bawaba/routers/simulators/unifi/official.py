"""The official Network API below `/integration/v1`: plain JSON, pages, and UUIDs for everything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bawaba.routers.simulators.unifi.settings import Settings
from bawaba.routers.simulators.unifi.site import Guest, Phone, Refused, Site

FILTER = re.compile(r"([A-Za-z.]+)\.eq\('([^']*)'\)")
ISO = "%Y-%m-%dT%H:%M:%SZ"


@dataclass
class Failed(Exception):
    """An answer in the API's form of an error."""

    status: int
    code: str
    message: str


def answer(
    sites: Mapping[str, Site], settings: Settings, method: str, path: str, query: Mapping[str, str], sent: Any
) -> dict[str, Any]:
    """The JSON for a request. Raises `Failed`."""
    words = path.split("/")
    if method != "GET" and settings.role == "readonly":
        raise Failed(403, "api.authorization.insufficient-permissions", "not allowed")
    match method, words:
        case "GET", ["info"]:
            return {"applicationVersion": settings.version}
        case "GET", ["sites"]:
            rows = [{"id": site.uuid, "internalReference": name, "name": name} for name, site in sites.items()]
            return _page(rows, query, {"internalReference": lambda row: row["internalReference"]})
        case "GET", ["sites", uuid, "clients"]:
            return _clients(_site(sites, uuid), query)
        case "POST", ["sites", uuid, "clients", client_id, "actions"]:
            return _act(_site(sites, uuid), client_id, sent)
    raise Failed(404, "api.not-found", "no such endpoint")


def _site(sites: Mapping[str, Site], uuid: str) -> Site:
    found = next((site for site in sites.values() if site.uuid == uuid), None)
    if found is None:
        raise Failed(404, "api.site.not-found", "no such site")
    return found


def _visible(site: Site) -> list[Phone]:
    blind = site.behaviour.official_blind_s
    return [phone for phone in site.online() if site.now() - phone.joined_at >= blind]


def _clients(site: Site, query: Mapping[str, str]) -> dict[str, Any]:
    rows = [_client(site, phone) for phone in _visible(site)]
    fields = {
        "macAddress": lambda row: "" if site.behaviour.mac_filter_broken else row["macAddress"],
        "access.type": lambda row: row["access"]["type"],
    }
    return _page(rows, query, fields)


def _client(site: Site, phone: Phone) -> dict[str, Any]:
    kind: dict[str, Any] = {"type": "GUEST", "authorized": bool(site.active(phone.mac))}
    return {
        "type": "WIRELESS",
        "id": site.client_id(phone.mac),
        "name": phone.mac,
        "macAddress": phone.mac,
        "ipAddress": phone.ip,
        "connectedAt": _iso(phone.joined_at),
        "access": kind if phone.is_guest else {"type": "DEFAULT"},
    }


def _page(rows: list[dict[str, Any]], query: Mapping[str, str], fields: Mapping[str, Any]) -> dict[str, Any]:
    if wanted := query.get("filter"):
        match = FILTER.fullmatch(wanted)
        if match is None or match[1] not in fields:
            raise Failed(400, "api.request.invalid-filter", f"cannot filter by {wanted}")
        rows = [row for row in rows if fields[match[1]](row) == match[2]]
    offset, limit = int(query.get("offset", 0)), int(query.get("limit", 25))
    if not 0 <= limit <= 200:
        raise Failed(400, "api.request.invalid-limit", "limit is 0 to 200")
    shown = rows[offset : offset + limit]
    return {"offset": offset, "limit": limit, "count": len(shown), "totalCount": len(rows), "data": shown}


def _act(site: Site, client_id: str, sent: Any) -> dict[str, Any]:
    phone = next((phone for phone in _visible(site) if site.client_id(phone.mac) == client_id), None)
    if phone is None:
        raise Failed(404, "api.client.not-found", "no such client")
    if not phone.is_guest:
        raise Failed(422, "api.client.guest-access.not-a-guest", "the client is not in a hotspot network")
    match sent.get("action"):
        case "AUTHORIZE_GUEST_ACCESS":
            names = ("txRateLimitKbps", "rxRateLimitKbps", "dataUsageLimitMBytes")
            numbers = [sent.get(name) for name in names]
            try:
                guest, before = site.authorize(phone.mac, sent.get("timeLimitMinutes", 480), *numbers)
            except Refused as refused:
                raise Failed(400, "api.request.argument-type-mismatch", str(refused)) from refused
            replaced = {"revokedAuthorization": _authorization(site, before)} if before else {}
            return {"action": sent["action"], "grantedAuthorization": _authorization(site, guest)} | replaced
        case "UNAUTHORIZE_GUEST_ACCESS":
            revoked = site.revoke(phone.mac)
            told = {"revokedAuthorization": _authorization(site, revoked)} if revoked else {}
            return {"action": sent["action"]} | told
    raise Failed(400, "api.request.unknown-action", "unknown action")


def _authorization(site: Site, guest: Guest) -> dict[str, Any]:
    ended = min(site.now(), guest.end)
    return {
        "authorizedAt": _iso(guest.start),
        "expiresAt": _iso(guest.end),
        "authorizationMethod": "API",
        "usage": {
            "durationSec": int(ended - guest.start),
            "rxBytes": guest.used_down,
            "txBytes": guest.used_up,
            "bytes": guest.used_up + guest.used_down,
        },
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(ISO)
