"""Trusted and blocked devices: IP bindings with our tag. The owner's own bindings are never touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bawaba.routers.driver import GatewayError
from bawaba.routers.drivers.routeros import words
from bawaba.routers.drivers.routeros.box import ACTIVE, BINDING, COOKIE, HOST, USER, USER_NAMES, Box, understood
from bawaba.routers.drivers.routeros.client import LIST_S, Row, command, reading

TRUSTED, BLOCKED = "bypassed", "blocked"
KEY = "device:"


async def set_devices(box: Box, trusted: Sequence[str], blocked: Sequence[str]) -> None:
    """Make our bindings exactly these. Who is blocked now is put out."""
    wanted = dict.fromkeys(trusted, TRUSTED) | dict.fromkeys(blocked, BLOCKED)
    (bindings,) = await box.api.read(reading(BINDING, ".id,mac-address,type,comment,disabled"), deadline_s=LIST_S)
    with understood():
        ours = [row for row in bindings if (tag := box.tag_of(row)) is not None and tag.key.startswith(KEY)]
        right = {device: row[".id"] for row in ours if _is_right(row, wanted, device := _device(row))}
        stale = [row[".id"] for row in ours if row[".id"] not in right.values()]
    adds = [_binding(box, device, kind) for device, kind in wanted.items() if device not in right]
    for answer in await box.api.ask_all(adds) if adds else []:
        if isinstance(answer, GatewayError):
            raise answer
    await box.remove(BINDING, stale)
    if blocked:
        await _put_out(box, set(blocked))


def _device(row: Row) -> str:
    return words.mac(row.get("mac-address")) or ""


def _is_right(row: Row, wanted: Mapping[str, str], device: str) -> bool:
    return wanted.get(device) == row.get("type") and not words.is_true(row.get("disabled"))


def _binding(box: Box, device: str, kind: str) -> tuple[str, ...]:
    tag = words.Tag(box.install, f"{KEY}{device}", 1)
    values = {"mac-address": device.upper(), "type": kind, "comment": str(tag)}
    return command(f"{BINDING}/add", values | ({"server": box.options.server} if box.options.server else {}))


async def _put_out(box: Box, devices: set[str]) -> None:
    """End the sessions of these devices; their users stay until their last counters have been told."""
    active, cookies, hosts, users = await box.api.read(
        reading(ACTIVE, ".id,mac-address"),
        reading(COOKIE, ".id,mac-address"),
        reading(HOST, ".id,mac-address"),
        reading(USER, USER_NAMES, f"?email={words.mark(box.install, 'session')}"),
        deadline_s=LIST_S,
    )
    with understood():
        held = [row[".id"] for row in users if _device(row) in devices and box.tag_of(row) is not None]
        await box.disable(USER, held)
        for path, rows in ((COOKIE, cookies), (ACTIVE, active), (HOST, hosts)):
            await box.remove(path, [row[".id"] for row in rows if _device(row) in devices])
