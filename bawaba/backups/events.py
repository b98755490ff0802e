"""What happens to backups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bawaba.core.broadcast import ADMINS, Audience, Broadcast


@dataclass(frozen=True)
class BackupProgress(Broadcast):
    """A backup or a restore went on, was confirmed, or failed. `progress` is of its step, in thousandths."""

    backup_id: int | None
    state: str
    step: str
    progress: int

    def message(self) -> dict[str, Any]:
        return {
            "type": "backup_progress",
            "backup_id": self.backup_id,
            "state": self.state,
            "step": self.step,
            "progress": self.progress,
        }

    def audience(self) -> Audience:
        return Audience(frozenset({ADMINS}))
