"""What `ndsctl` and the log of BinAuth say, in our words (openNDS manual, "Using ndsctl" and "BinAuth").

Volumes of `ndsctl json` are kB of 1,024 bytes, those of the log are bytes; `download` and `incoming` are the guest's
down. Times are the gateway's own clock, in seconds since 1970.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KB = 1024
TAG = re.compile(r"bw1\.([0-9A-Za-z]{1,16})\.([0-9A-Za-z-]{1,60})\.(\d{1,9})")
DEAUTH = re.compile(r"method=([a-z_]+)_deauth, (clientmac=.*)")
LOGS = "/tmp/ndslog/binauthlog.log /run/ndslog/binauthlog.log /var/ndslog/binauthlog.log"  # by the distribution
LOG_LINES = 400


@dataclass(frozen=True, slots=True)
class Tag:
    """Whose session it is: it stands in `custom`. A shell on the gateway reads it: letters, digits, dots, hyphens."""

    install: str
    key: str
    rev: int

    def __str__(self) -> str:
        return f"bw1.{self.install}.{self.key.replace(':', '-', 1)}.{self.rev}"


def tag_of(custom: str) -> Tag | None:
    """The tag in `custom`; None for what is not ours."""
    found = TAG.fullmatch(custom)
    return Tag(found[1], found[2].replace("-", ":", 1), int(found[3])) if found else None


@dataclass(frozen=True, slots=True)
class Seen:
    """A device as openNDS sees it. One that is not `online` has been sent to the portal, or has gone (`ended`)."""

    mac: str
    ip: str
    online: bool
    tag: Tag | None
    started: int
    up: int
    down: int
    ended: str = ""
    ended_at: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one look at the gateway tells. `now` is its clock."""

    now: int
    version: str
    clients: tuple[Seen, ...]
    gone: tuple[Seen, ...]

    def online(self) -> list[Seen]:
        """Who is signed in."""
        return [client for client in self.clients if client.online]

    def client(self, mac: str) -> Seen | None:
        """A device by its MAC."""
        return next((client for client in self.clients if client.mac == mac), None)


def snapshot(now: str, document: str, log: str) -> Snapshot:
    """One look: the gateway's clock, what `ndsctl json` printed, and the end of the log. Raises `ValueError`,
    `KeyError` or `TypeError` where that makes no sense."""
    told = json.loads(document)
    listed: Mapping[str, Mapping[str, Any]] = told.get("clients", {})
    clients = tuple(_client(mac.lower(), facts) for mac, facts in listed.items())
    version = next((str(facts["version"]) for facts in listed.values() if "version" in facts), "")
    gone: dict[tuple[str, int], Seen] = {}
    for line in log.splitlines():
        if (seen := _gone(line)) is not None:
            gone[seen.mac, seen.started] = seen
    return Snapshot(int(now), version, clients, tuple(gone.values()))


def _client(mac: str, facts: Mapping[str, Any]) -> Seen:
    return Seen(
        mac=mac,
        ip=str(facts["ip"]),
        online=facts["state"] == "Authenticated",
        tag=tag_of(str(facts.get("custom", ""))),
        started=_number(facts["session_start"]),
        up=_number(facts["upload_this_session"]) * KB,
        down=_number(facts["download_this_session"]) * KB,
    )


def _gone(line: str) -> Seen | None:
    """A session that ended, from a line of the log; `ended` is time, data, idle, or what ended it."""
    found = DEAUTH.search(line)
    if found is None:
        return None
    facts = dict(pair.partition("=")[::2] for pair in found[2].split(", "))
    try:
        return Seen(
            mac=facts["clientmac"].lower(),
            ip="",
            online=False,
            tag=tag_of(facts.get("custom", "")),
            started=_number(facts["session_start"]),
            up=_number(facts["bytes_outgoing"]),
            down=_number(facts["bytes_incoming"]),
            ended=_why(found[1]),
            ended_at=_number(facts["session_end"]),
        )
    except (KeyError, ValueError):
        return None


def _why(method: str) -> str:
    """9.10 says downquota_deauth, 10.3 download_quota_deauth: what they end with counts."""
    if method.endswith("quota"):
        return "data"
    return {"timeout": "time", "idle": "idle"}.get(method, method)


def _number(text: Any) -> int:
    return 0 if text in ("null", None, "") else int(float(text))
