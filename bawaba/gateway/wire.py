"""What the manager and the gateway agent say to each other: one JSON object a line over a Unix socket.

A request is `{"id": 7, "verb": "apply" | "dump" | "health", …}`, its answer `{"id": 7, "ok": true, …}` or `{"id": 7,
"ok": false, "reason": …, "message": …}`; answers may overtake each other. `apply` carries `ops`, a list of the
operations below, and is answered by as many `results`. Everything is checked here, to the letter, before any of it
becomes text for `nft`, so nothing that comes through the socket can say more than these nouns allow.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

T = TypeVar("T")
MAX_REQUEST_BYTES = 16 * 1024 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_OPERATIONS = 65536
FIRST_TRUSTED_MARK = 0xFFFFF000  # session marks stay below; the rest is ours, for trusted devices
MAX_SECONDS = 3650 * 86400
MAX_BYTES = 2**62
MAX_KBPS = 100_000_000

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_KEY = re.compile(r"[A-Za-z0-9._:-]{1,32}")
_OWNER = re.compile(r"[A-Za-z0-9]{0,8}")


class BadValue(ValueError):
    """A request says something that we don't take."""


@dataclass(frozen=True, slots=True)
class Admit:
    """Let a device in under a session mark, or give a session its new limits. `None` is no limit.

    Bytes are what may still pass, counted on from the counters of this mark that a `dump` or a `remove` last gave away.
    """

    mark: int
    mac: str
    key: str
    owner: str = ""
    rev: int = 0
    seconds: float | None = None
    bytes_total: int | None = None
    bytes_up: int | None = None
    bytes_down: int | None = None
    rate_up_kbps: int | None = None
    rate_down_kbps: int | None = None


@dataclass(frozen=True, slots=True)
class Remove:
    """End a session, named by its mark or by the device that is in under it."""

    mark: int | None = None
    mac: str | None = None


@dataclass(frozen=True, slots=True)
class Devices:
    """All the devices that are online without a card, and all that are refused."""

    trusted: tuple[str, ...]
    blocked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opening:
    """A place that guests reach before they sign in."""

    network: str
    protocol: str
    first_port: int
    last_port: int


@dataclass(frozen=True, slots=True)
class Garden:
    """The whole walled garden."""

    entries: tuple[Opening, ...]


@dataclass(frozen=True, slots=True)
class Sync:
    """All the sessions of one owner: who is missing here has to go."""

    owner: str
    sessions: tuple[Admit, ...]


Operation = Admit | Remove | Devices | Garden | Sync


def encode(message: Mapping[str, Any]) -> bytes:
    """One line for the socket."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The object on a line."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadValue("not a JSON object") from error
    if not isinstance(message, dict):
        raise BadValue("not a JSON object")
    return message


def operation(message: object) -> Operation:
    """Read one operation of an `apply`; every value is checked."""
    fields = _object(message)
    name = fields.pop("op", None)
    reader = _READERS.get(name) if isinstance(name, str) else None
    if reader is None:
        raise BadValue(f"op is one of {', '.join(_READERS)}")
    answer = reader(fields)
    if fields:
        raise BadValue(f"{name} has no {', '.join(sorted(map(str, fields)))[:80]}")
    return answer


def message(operation: Operation) -> dict[str, Any]:
    """The operation as it goes over the socket; what is `None` is left out."""
    name = type(operation).__name__.lower()
    if isinstance(operation, Sync):
        sessions = [_given(asdict(session)) for session in operation.sessions]
        return {"op": name, "owner": operation.owner, "sessions": sessions}
    return {"op": name, **_given(asdict(operation))}


def mac_address(value: object) -> str:
    """A MAC of one device, lower-case with colons."""
    if not isinstance(value, str) or not _MAC.fullmatch(value):
        raise BadValue("a MAC is six pairs of small hexadecimal digits with colons")
    if int(value[:2], 16) & 1 or value == "00:00:00:00:00:00":
        raise BadValue("a MAC of a group of devices, or of none")
    return value


def session_mark(value: object) -> int:
    """The 32-bit number of a session."""
    return _whole("mark", value, 1, FIRST_TRUSTED_MARK - 1)


def ip_address(value: object) -> str:
    """An IPv4 or IPv6 address in its one right spelling."""
    if not isinstance(value, str) or "%" in value:
        raise BadValue("not an IP address")
    try:
        return str(ipaddress.ip_address(value))
    except ValueError as error:
        raise BadValue("not an IP address") from error


def ip_network(value: object) -> str:
    """An IPv4 or IPv6 network in its one right spelling. What follows a `%` (a scope) could be any text."""
    if not isinstance(value, str) or "%" in value:
        raise BadValue("not an address or a CIDR network")
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise BadValue("not an address or a CIDR network") from error


def _admit(fields: dict[str, Any]) -> Admit:
    return Admit(
        mark=session_mark(fields.pop("mark", None)),
        mac=mac_address(fields.pop("mac", None)),
        key=_text("key", _KEY, fields.pop("key", None)),
        owner=_text("owner", _OWNER, fields.pop("owner", "")),
        rev=_whole("rev", fields.pop("rev", 0), 0, 2**31 - 1),
        seconds=_seconds(fields.pop("seconds", None)),
        bytes_total=_limit("bytes_total", fields, MAX_BYTES),
        bytes_up=_limit("bytes_up", fields, MAX_BYTES),
        bytes_down=_limit("bytes_down", fields, MAX_BYTES),
        rate_up_kbps=_limit("rate_up_kbps", fields, MAX_KBPS),
        rate_down_kbps=_limit("rate_down_kbps", fields, MAX_KBPS),
    )


def _remove(fields: dict[str, Any]) -> Remove:
    mark, mac = fields.pop("mark", None), fields.pop("mac", None)
    if (mark is None) == (mac is None):
        raise BadValue("remove takes a mark or a mac")
    return Remove(None if mark is None else session_mark(mark), None if mac is None else mac_address(mac))


def _devices(fields: dict[str, Any]) -> Devices:
    trusted, blocked = (_list(name, fields.pop(name, []), mac_address) for name in ("trusted", "blocked"))
    return Devices(tuple(dict.fromkeys(trusted)), tuple(dict.fromkeys(blocked)))


def _garden(fields: dict[str, Any]) -> Garden:
    return Garden(tuple(_list("entries", fields.pop("entries", None), _opening)))


def _opening(value: object) -> Opening:
    fields = _object(value)
    network = ip_network(fields.pop("network", None))
    protocol = fields.pop("protocol", "tcp")
    if protocol not in ("tcp", "udp"):
        raise BadValue("protocol is tcp or udp")
    first = _whole("first_port", fields.pop("first_port", None), 1, 65535)
    last = _whole("last_port", fields.pop("last_port", first), first, 65535)
    if fields:
        raise BadValue(f"an entry has no {', '.join(sorted(map(str, fields)))[:80]}")
    return Opening(network, protocol, first, last)


def _sync(fields: dict[str, Any]) -> Sync:
    owner = _text("owner", _OWNER, fields.pop("owner", ""))
    sessions = _list("sessions", fields.pop("sessions", None), lambda value: _admit(_object(value)))
    if any(session.owner != owner for session in sessions):
        raise BadValue("a sync is of one owner's sessions")
    for name in ("mark", "mac"):
        if len({getattr(session, name) for session in sessions}) < len(sessions):
            raise BadValue(f"a {name} twice in one sync")
    return Sync(owner, tuple(sessions))


_READERS: dict[str, Callable[[dict[str, Any]], Operation]] = {
    "admit": _admit,
    "remove": _remove,
    "devices": _devices,
    "garden": _garden,
    "sync": _sync,
}


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadValue("not an object")
    return dict(value)


def _list(name: str, value: object, read: Callable[[object], T]) -> list[T]:
    if not isinstance(value, list) or len(value) > MAX_OPERATIONS:
        raise BadValue(f"{name} is a list of at most {MAX_OPERATIONS}")
    return [read(item) for item in value]


def _text(name: str, pattern: re.Pattern[str], value: object) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise BadValue(f"{name} does not look like {pattern.pattern}")
    return value


def _whole(name: str, value: object, lowest: int, highest: int) -> int:
    if type(value) is not int or not lowest <= value <= highest:
        raise BadValue(f"{name} is a whole number from {lowest} to {highest}")
    return value


def _limit(name: str, fields: dict[str, Any], highest: int) -> int | None:
    value = fields.pop(name, None)
    return None if value is None else _whole(name, value, 1, highest)


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not 0.001 <= value <= MAX_SECONDS:  # type: ignore[operator]
        raise BadValue(f"seconds is a number from 0.001 to {MAX_SECONDS}")
    return float(value)  # type: ignore[arg-type]


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
