"""The same by the official Network API, where there is no other: it knows clients by UUID, counts no bytes until an
authorisation ends, and has no place for a mark. Whose a session is, is kept in this process; after a restart of ours
the device is told as a stranger, and authorised anew with what is left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bawaba.routers.driver import (
    Client,
    Grant,
    Health,
    Info,
    Note,
    Owned,
    Reason,
    Result,
    RouterRejected,
    RouterSession,
    Unsupported,
)
from bawaba.routers.drivers.unifi import probing, units
from bawaba.routers.drivers.unifi.box import Box, Held, understood
from bawaba.routers.drivers.unifi.client import Row
from bawaba.routers.drivers.unifi.refusals import is_rejected

PAGE = 200
PAGES_MOST = 500
TRY_AGAIN_S = 0.6
TRIES = 6
GRANT, REVOKE = "AUTHORIZE_GUEST_ACCESS", "UNAUTHORIZE_GUEST_ACCESS"
UNCOUNTED = "The official API counts a guest's bytes only when the session ends."
SENTENCES = (UNCOUNTED,)


@dataclass(frozen=True, slots=True)
class Seen:
    """A client as the API shows it."""

    id: str
    mac: str
    ip: str | None
    is_guest: bool
    authorized: bool


async def admit(box: Box, grant: Grant, client: Client) -> RouterSession:
    """Let a device in; asked twice, the newer limits hold."""
    limits = units.native(grant.limits, box.clock.now())
    seen = await _find_soon(box, client)
    if not seen.is_guest:
        raise RouterRejected("the device is not in a hotspot network")
    held = box.memory.held.get(seen.mac)
    if held is not None and (held.key, held.rev) == (grant.key, grant.rev):
        if seen.authorized:
            return _session(box, held, seen.mac, seen)
        if _ended(box, held) == "data":
            raise RouterRejected("its data is used up", Reason.LIMIT_REACHED)
    answer = await _act(box, seen.id, {"action": GRANT, **_sent(limits)})
    if held is not None:
        held = _with_usage(held, answer)
    if held is None or held.key != grant.key:
        if held is not None:
            box.memory.keep_replaced(held.key, _last(held, seen.mac, seen, "replaced"))
        held = Held(grant.key, grant.rev, epoch=max(box.now_ms(), held.epoch + 1 if held else 0))
    end_ms = box.now_ms() + 60_000 * limits.minutes
    box.memory.held[seen.mac] = held = replace(held, rev=grant.rev, end_ms=end_ms, quota=limits.quota)
    await _leave_other_devices(box, grant.key, seen.mac)
    return _session(box, held, seen.mac, replace(seen, authorized=True))


async def _leave_other_devices(box: Box, key: str, mac: str) -> None:
    for other in [other for other, held in box.memory.held.items() if held.key == key and other != mac]:
        await _put_out(box, other)


def _sent(limits: units.Native) -> dict[str, int]:
    """Rates are the client's here: it receives what comes down (UniFi API reference)."""
    named = {
        "timeLimitMinutes": limits.minutes,
        "dataUsageLimitMBytes": limits.megabytes,
        "rxRateLimitKbps": limits.down_kbps,
        "txRateLimitKbps": limits.up_kbps,
    }
    return {name: value for name, value in named.items() if value is not None}


async def kick(box: Box, target: RouterSession | Client) -> RouterSession | None:
    """End a device's session; what it has used is told now."""
    client = target if isinstance(target, Client) else target.client
    key = None if isinstance(target, Client) else target.key
    macs = [mac for mac, held in box.memory.held.items() if held.key == key] if key is not None else []
    last = box.memory.replaced.pop(key, None) if key is not None else None
    if last is None and not macs and client.mac is not None and (key is None or client.mac not in box.memory.held):
        macs = [client.mac]
    for mac in macs:
        last = await _put_out(box, mac, key) or last
    return last


async def _put_out(box: Box, mac: str, key: str | None = None) -> RouterSession | None:
    seen = await _find(box, mac)
    held = box.memory.held.get(mac)
    if seen is None or (held is None and not seen.authorized):
        if held is not None and held.end_ms > box.now_ms():
            raise RouterRejected("the controller does not see this device, and so cannot end its right", Reason.BUSY)
        box.memory.held.pop(mac, None)
        return None if held is None else _last(held, mac, seen, "kicked")
    answer = await _act(box, seen.id, {"action": REVOKE})
    fresh = Held(key or "", 0, epoch=box.now_ms())
    ended = _with_usage(held or fresh, answer)
    box.memory.held.pop(mac, None)
    return _last(ended, mac, seen, "kicked")


async def drop(box: Box, keys: Sequence[str]) -> list[Result]:
    """Take rights away. One that is not there is fine."""
    results = []
    for key in keys:
        macs = [mac for mac, held in box.memory.held.items() if held.key == key]
        try:
            for mac in macs:
                await _put_out(box, mac)
            results.append(Result(key, ok=True, changed=bool(macs)))
        except RouterRejected as error:
            results.append(Result(key, ok=False, error=error))
    return results


async def sessions(box: Box) -> list[RouterSession]:
    """Whom the controller lets through, and our sessions that ended."""
    here = {seen.mac: seen for seen in await _clients(box, guests=True)}
    ours = [_session(box, held, mac, here.get(mac)) for mac, held in box.memory.held.items()]
    others = [seen for mac, seen in here.items() if seen.authorized and mac not in box.memory.held]
    return ours + [RouterSession(o.mac, None, None, Client(o.mac, o.ip), None, 0, 0, 0) for o in others]


def _session(box: Box, held: Held, mac: str, seen: Seen | None) -> RouterSession:
    down, raw = held.down, {"uncounted": "true"}
    if (seen is not None and not seen.authorized) or held.end_ms <= box.now_ms():
        raw["ended"] = _ended(box, held)
        if raw["ended"] == "data":
            down += held.quota or 0  # nobody says which way: most of it was down
    elif seen is None:
        raw["away"] = "true"
    device = Client(mac, seen.ip if seen is not None else None)
    return RouterSession(held.key, held.key, None, device, None, 0, held.up, down, held.epoch, raw)


def _ended(box: Box, held: Held) -> str:
    """Why an authorisation that we gave does not hold any more: before its time, only its data can be used up."""
    return "data" if held.quota is not None and held.end_ms > box.now_ms() else "over"


def _last(held: Held, mac: str, seen: Seen | None, why: str) -> RouterSession:
    device = Client(mac, seen.ip if seen is not None else None)
    raw = {"ended": why}
    return RouterSession(held.key or mac, held.key or None, None, device, None, 0, held.up, held.down, held.epoch, raw)


def _with_usage(held: Held, answer: Row) -> Held:
    """What is known of a session once an authorisation of it has ended."""
    with understood():
        usage = (answer.get("revokedAuthorization") or {}).get("usage") or {}
        up, down = max(0, int(usage.get("txBytes") or 0)), max(0, int(usage.get("rxBytes") or 0))
    return replace(held, up=held.up + up, down=held.down + down)


async def owned(box: Box) -> list[Owned]:
    """The sessions that this process knows."""
    seen = {session.key: session for session in await sessions(box) if session.key is not None}
    held = ((mac, one) for mac, one in box.memory.held.items() if one.key in seen)
    return [
        Owned(one.key, one.rev, mac, "ended" not in seen[one.key].raw, None, seen[one.key].up, seen[one.key].down)
        for mac, one in held
    ]


async def health(box: Box) -> Health:
    """Whether it answers, and how many guests it lets through."""
    guests = await _clients(box, guests=True)
    box.memory.boot = box.memory.boot or box.now_ms()
    return Health(sessions=sum(1 for guest in guests if guest.authorized), boot=box.memory.boot)


async def probe(box: Box) -> Info:
    """What it is, and whether the site is there."""
    about = await box.api.official("GET", "info")
    await _clients(box, guests=True)
    notes = (Note(UNCOUNTED), Note(probing.ROUNDED))
    return Info(str(about.get("applicationVersion", "?")), "UniFi Network", probing.skew(box), notes=notes)


async def locate(box: Box, ip: str | None, mac: str | None) -> Client | None:
    """Who has an address among those that are connected now."""
    if mac is not None:
        found = await _find(box, mac)
        return None if found is None else Client(found.mac, found.ip)
    return next((Client(seen.mac, seen.ip) for seen in await _clients(box) if seen.ip == ip), None)


async def set_devices(box: Box, trusted: Sequence[str], blocked: Sequence[str]) -> None:
    """This API can neither; with nothing to do that is no fault."""
    if trusted or blocked:
        raise Unsupported("the official API can neither trust nor block devices")


# --- asking


async def _find_soon(box: Box, client: Client) -> Seen:
    """A client. One that has just joined is shown some seconds late."""
    if client.mac is None:
        raise RouterRejected("this gateway knows devices by their MAC", Reason.UNKNOWN_CLIENT)
    for left in range(TRIES - 1, -1, -1):
        found = await _find(box, client.mac)
        if found is not None:
            return found
        if left:
            await asyncio.sleep(TRY_AGAIN_S)
    raise RouterRejected("the controller does not show this device yet", Reason.UNKNOWN_CLIENT)


async def _find(box: Box, mac: str) -> Seen | None:
    """A client by its MAC. On some versions the filter finds nobody: then all are looked through, from then on."""
    if not box.memory.mac_filter_broken:
        found = await _clients(box, f"macAddress.eq('{mac}')")
        if found:
            return next((seen for seen in found if seen.mac == mac), None)
    listed = next((seen for seen in await _clients(box) if seen.mac == mac), None)
    box.memory.mac_filter_broken |= listed is not None
    return listed


async def _clients(box: Box, wanted: str = "", *, guests: bool = False) -> list[Seen]:
    rows = await _paged(box, f"sites/{await _site(box)}/clients", "access.type.eq('GUEST')" if guests else wanted)
    with understood():
        return [_seen(row) for row in rows if row.get("macAddress")]


def _seen(row: Row) -> Seen:
    access: dict[str, Any] = row.get("access") or {}
    ip = row.get("ipAddress")
    is_guest = access.get("type") == "GUEST"
    return Seen(
        str(row["id"]), str(row["macAddress"]).lower(), ip, is_guest, is_guest and bool(access.get("authorized"))
    )


async def _paged(box: Box, path: str, wanted: str) -> list[Row]:
    """All rows of a list, page by page."""
    rows: list[Row] = []
    for _ in range(PAGES_MOST):
        query: dict[str, Any] = {"offset": len(rows), "limit": PAGE} | ({"filter": wanted} if wanted else {})
        page = await box.api.official("GET", path, query=query)
        with understood():
            data = list(page["data"])
            total = int(page["totalCount"])
        rows += data
        if not data or len(rows) >= total:
            break
    return rows


async def _site(box: Box) -> str:
    """The site's UUID, by its short name."""
    if not box.memory.site_uuid:
        name = box.api.way.site
        rows = await _paged(box, "sites", f"internalReference.eq('{name}')")
        with understood():
            found = [str(row["id"]) for row in rows if row.get("internalReference") == name]
        if not found:
            sites = ", ".join(str(row.get("internalReference")) for row in await _paged(box, "sites", ""))
            raise RouterRejected(str(Note(probing.NO_SITE, name=name, sites=sites)), Reason.NOT_FOUND)
        box.memory.site_uuid = found[0]
    return box.memory.site_uuid


async def _act(box: Box, client_id: str, sent: Row) -> Row:
    path = f"sites/{await _site(box)}/clients/{client_id}/actions"
    try:
        return await box.api.official("POST", path, dict(sent))
    except RouterRejected as error:
        if is_rejected(error, Reason.NOT_FOUND):
            raise RouterRejected("the controller does not show this device", Reason.UNKNOWN_CLIENT) from error
        raise
