"""What happens to notifications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bawaba.core.broadcast import ADMINS, OPERATORS, Audience, Broadcast


@dataclass(frozen=True)
class NotificationChanged(Broadcast):
    """Something began or is over that people should know of. The words are fetched in the reader's language."""

    notification_id: int
    kind: str
    severity: str
    site_id: int | None
    is_over: bool

    def message(self) -> dict[str, Any]:
        return {
            "type": "notification",
            "id": self.notification_id,
            "kind": self.kind,
            "severity": self.severity,
            "over": self.is_over,
        }

    def audience(self) -> Audience:
        room = ADMINS if self.site_id is None else OPERATORS
        return Audience(frozenset({room}), self.site_id)
