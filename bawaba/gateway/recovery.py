"""Reads a table that is already in the kernel, so that an agent that was killed or updated goes on where it was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from bawaba.gateway.kernel import Meters, counts, quotas_in
from bawaba.gateway.plan import SETTLED_S, UNSETTLED_S
from bawaba.gateway.sessions import Book, remembered
from bawaba.gateway.transaction import CAPS, quota_name
from bawaba.gateway.wire import FIRST_TRUSTED_MARK


@dataclass
class Found:
    """What was in the table."""

    version: str
    epoch: int
    book: Book
    meters: Meters


def read(listing: Iterable[dict[str, Any]], now: float) -> Found | None:
    """Make a book of nft's listing of our table; None when the table is not one of ours."""
    listing = list(listing)
    sets = {
        item[kind]["name"]: item[kind].get("elem", []) for item in listing for kind in ("set", "map") if kind in item
    }
    version, epoch = _made(sets.get("made", []))
    if not version:
        return None
    up, down = counts(sets["up"]), counts(sets["down"])
    meters = {mark: (up.get(mark, 0), down.get(mark, 0)) for mark in up.keys() | down.keys()}
    book = Book(
        trusted=tuple(mac for mac, _ in sets["trusted"]),
        trusted_mark=max((mark for mark in meters if mark >= FIRST_TRUSTED_MARK), default=FIRST_TRUSTED_MARK),
        blocked=tuple(sets["blocked"]),
        garden=tuple(_opening(item) for name in ("garden4", "garden6") for item in sets[name]),
    )
    quotas = quotas_in(listing)
    live = {_value(item) for item in sets["live"]}
    devices = {_value(mac): mark for mac, mark in sets["client"]}
    for item in sets["about"]:
        mark, about = item["elem"]["val"], item["elem"].get("comment", "")
        session = remembered(mark, about)
        if session is None:
            continue
        limits = {cap: quotas[quota_name(cap, mark)][0] for cap in CAPS if quota_name(cap, mark) in quotas}
        session = replace(session, told=meters.get(mark, (0, 0)), caps=limits)
        if session.ended:
            session = replace(session, ended_at=now, forget_at=now + (SETTLED_S if session.settled else UNSETTLED_S))
        elif mark not in live or devices.get(session.mac) != mark:
            reason = "time" if session.over(now) else "data" if limits else "removed"
            at = session.ends if reason == "time" and session.ends is not None else now
            session = replace(session, ended=reason, ended_at=at, class_id=0, forget_at=now + UNSETTLED_S)
        book.keep(session)
    return Found(version, epoch, book, meters)


def _made(elements: list[Any]) -> tuple[str, int]:
    for item in elements:
        version, _, epoch = str(item.get("elem", {}).get("comment", "")).partition(" ")
        if epoch.isdigit():
            return version, int(epoch)
    return "", 0


def _value(item: Any) -> Any:
    return item["elem"]["val"] if isinstance(item, dict) else item


def _opening(item: Any) -> str:
    return " . ".join(_text(part) for part in _value(item)["concat"])


def _text(part: Any) -> str:
    if isinstance(part, dict) and "prefix" in part:
        return f"{part['prefix']['addr']}/{part['prefix']['len']}"
    if isinstance(part, dict) and "range" in part:
        return "-".join(map(str, part["range"]))
    return str(part)
