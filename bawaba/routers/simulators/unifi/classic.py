"""The classic API below `/api/s/<site>/`: answers in `meta` and `data`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bawaba.routers.simulators.unifi.settings import Settings
from bawaba.routers.simulators.unifi.site import Refused, Site

Rows = list[dict[str, Any]]


def answer(site: Site, settings: Settings, method: str, path: str, query: Mapping[str, str], sent: Any) -> Rows:
    """The rows for a request. Raises `Refused`."""
    if method == "GET":
        return _read(site, settings, path.split("/"), query)
    if settings.role == "readonly":
        raise Refused("api.err.NoPermission")
    return _written(site, method, path.split("/"), sent)


def _read(site: Site, settings: Settings, words: list[str], query: Mapping[str, str]) -> Rows:
    match words:
        case ["stat", "sta"]:
            return [site.station(phone) for phone in site.online()]
        case ["stat", "sta", mac]:
            found = [site.station(phone) for phone in site.online() if phone.mac == mac]
            if not found:
                raise Refused("api.err.UnknownStation")
            return found
        case ["list" | "rest", "user"]:
            noted = site.behaviour.list_shows == "noted"
            return [site.client(user) for user in site.users.values() if user.blocked or (noted and user.note)]
        case ["stat", "guest"]:
            since = site.now() - 3600 * int(query.get("within", 24))
            return [site.guest(guest) for guest in site.guests if guest.start >= since]
        case ["stat", "sysinfo"]:
            return []  # the controller's own answer
        case ["get", "setting"]:
            return [_guest_access(settings), {"key": "country", "code": "887"}]
    raise Refused("api.err.NotFound")


def _written(site: Site, method: str, words: list[str], sent: Any) -> Rows:
    match method, words:
        case "PUT", ["rest", "user", user_id]:
            return [_note(site, user_id, sent)]
        case "POST", ["group", "user"]:
            return [_made(site, row["data"]) for row in sent["objects"]]
        case "POST", ["cmd", "stamgr"]:
            return _command(site, sent)
    raise Refused("api.err.NotFound")


def _note(site: Site, user_id: str, sent: Any) -> dict[str, Any]:
    user = next((user for user in site.users.values() if user.id == user_id), None)
    if user is None:
        raise Refused("api.err.IdInvalid")
    user.note = str(sent.get("note", user.note))
    return site.client(user)


def _made(site: Site, sent: Any) -> dict[str, Any]:
    if sent["mac"].lower() in site.users:
        return {"meta": {"rc": "error", "msg": "api.err.MacUsed"}, "data": []}
    user = site.user(sent["mac"])
    user.note = sent.get("note", "")
    return {"meta": {"rc": "ok"}, "data": [site.client(user)]}


def _command(site: Site, sent: Any) -> Rows:
    mac = str(sent.get("mac", "")).lower()
    match sent.get("cmd"):
        case "authorize-guest":
            numbers = (sent.get("up"), sent.get("down"), sent.get("bytes"))
            guest, _ = site.authorize(mac, int(sent.get("minutes", 0)), *numbers)
            return [{name: value for name, value in site.guest(guest).items() if name != "expired"}]
        case "unauthorize-guest":
            site.revoke(mac)
        case "kick-sta":
            site.kick(mac)
        case "block-sta" | "unblock-sta" as word:
            site.block(mac, word == "block-sta")
            return [site.client(site.user(mac))]
        case _:
            raise Refused("api.err.UnknownCommand")
    return []


def _guest_access(settings: Settings) -> dict[str, Any]:
    return {
        "key": "guest_access",
        "portal_enabled": settings.portal,
        "auth": settings.portal_auth,
        "custom_ip": "10.20.0.2",
        "redirect_https": settings.redirect_https,
        "x_password": "not for us",
    }
