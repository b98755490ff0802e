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

from bawaba.routers import nds

DEAUTH = re.compile(r"method=[a-z_]+_deauth, clientmac=.*")
LOGS = "/tmp/ndslog/binauthlog.log /run/ndslog/binauthlog.log /var/ndslog/binauthlog.log"  # by the distribution
LOG_LINES = 400


@dataclass(frozen=True, slots=True)
class Seen:
    """A device as openNDS sees it. One that is not `online` has been sent to the portal, or has gone (`ended`)."""

    mac: str
    ip: str
    online: bool
    tag: nds.Tag | None
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
        tag=nds.tag_of(str(facts.get("custom", ""))),
        started=nds.number(facts["session_start"]),
        up=nds.number(facts["upload_this_session"]) * nds.KB,
        down=nds.number(facts["download_this_session"]) * nds.KB,
    )


def _gone(line: str) -> Seen | None:
    """A session that ended, from a line of the log; `ended` is time, data, idle, or what ended it."""
    found = DEAUTH.search(line)
    said = nds.farewell(found[0]) if found is not None else None
    if said is None:
        return None
    return Seen(
        mac=said.mac,
        ip="",
        online=False,
        tag=nds.tag_of(said.custom),
        started=said.started,
        up=said.up,
        down=said.down,
        ended=said.why,
        ended_at=said.ended,
    )
