"""What happens to routers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bawaba.core.broadcast import Audience, Broadcast

OPERATORS = frozenset({"operators"})


@dataclass(frozen=True)
class RouterStatusChanged(Broadcast):
    """A router came up, missed a poll, went down, or was looked at again."""

    router_id: int
    site_id: int
    name: str
    status: str
    online: int = 0
    last_seen_at: datetime | None = None
    error: str | None = None
    health: dict[str, Any] = field(default_factory=dict)

    def message(self) -> dict[str, Any]:
        return {
            "type": "router_status",
            "router_id": self.router_id,
            "name": self.name,
            "status": self.status,
            "sessions": self.online,
            "last_seen_at": self.last_seen_at,
            "error": self.error,
            "health": self.health,
        }

    def audience(self) -> Audience:
        return Audience(OPERATORS, self.site_id)


@dataclass(frozen=True)
class CardsBrought(Broadcast):
    """A router took some of the cards it is to hold; how far it is, the error list says."""

    router_id: int
    site_id: int
    taken: int

    def message(self) -> dict[str, Any]:
        return {"type": "router_cards", "router_id": self.router_id, "taken": self.taken}

    def audience(self) -> Audience:
        return Audience(OPERATORS, self.site_id)


@dataclass(frozen=True)
class JobFailed(Broadcast):
    """A promise to a router could not be kept yet (`state` open) or needs a person (`state` failed)."""

    job_id: int
    router_id: int
    site_id: int
    kind: str
    state: str
    error: str

    def message(self) -> dict[str, Any]:
        return {
            "type": "router_job",
            "id": self.job_id,
            "router_id": self.router_id,
            "kind": self.kind,
            "state": self.state,
            "last_error": self.error,
        }

    def audience(self) -> Audience:
        return Audience(OPERATORS, self.site_id)
