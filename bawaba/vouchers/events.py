"""What happens to cards and batches. No event carries a code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bawaba.core.broadcast import Audience, Broadcast

ADMINS = frozenset({"admins"})


@dataclass(frozen=True)
class VoucherCreated(Broadcast):
    """One card was made. `voucher` is what a viewer may see of it."""

    voucher: dict[str, Any]

    def message(self) -> dict[str, Any]:
        return {"type": "new_voucher", "voucher": self.voucher}

    def audience(self) -> Audience:
        return Audience(ADMINS, self.voucher["site_id"])


@dataclass(frozen=True)
class BatchProgress(Broadcast):
    """A batch grew, became ready, or failed."""

    batch_id: int
    site_id: int
    ordered_by: int | None
    quantity: int
    created: int
    state: str

    def message(self) -> dict[str, Any]:
        return {
            "type": "batch_progress",
            "batch_id": self.batch_id,
            "quantity": self.quantity,
            "created": self.created,
            "state": self.state,
        }

    def audience(self) -> Audience:
        return Audience(ADMINS, self.site_id, self.ordered_by)
