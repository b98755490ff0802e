"""Cards and batches as the API speaks of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from bawaba.core.config import Config
from bawaba.plans.models import PlanVersion
from bawaba.vouchers import rules
from bawaba.vouchers.models import Batch, PrintRun, Voucher
from bawaba.web.input import Id, Input

QUANTITY_MOST = 100_000
PRICE_MOST = 10**12


class CardsIn(Input):
    """What one card and a batch have in common. Without `price_minor` it is the plan's price."""

    plan_id: Id
    code_style: Literal["digits", "letters"] | None = None
    prefix: str = Field("", max_length=4)
    price_minor: int | None = Field(None, ge=0, le=PRICE_MOST)
    note: str = Field("", max_length=200)


class VoucherIn(CardsIn):
    """One card. `ends_at` is a fixed end, like a hotel's check-out."""

    ends_at: AwareDatetime | None = None


class BulkIn(CardsIn):
    """A batch."""

    quantity: int = Field(ge=1, le=QUANTITY_MOST)


def voucher_out(
    voucher: Voucher, version: PlanVersion, now: datetime, shown_code: str, router_sync: str | None, config: Config
) -> dict[str, Any]:
    """A card; `shown_code` is masked for those who may not read codes."""
    readable = "•" not in shown_code
    return {
        "id": voucher.id,
        "site_id": voucher.site_id,
        "serial": voucher.serial,
        "code": shown_code,
        "status": rules.status_at(voucher, now),
        "plan_id": version.plan_id,
        "plan_version": version.version,
        "plan_name": version.name,
        "batch_id": voucher.batch_id,
        "created_at": voucher.created_at,
        "expires_unused_at": voucher.expires_unused_at,
        "first_used_at": voucher.first_used_at,
        "ends_at": voucher.ends_at,
        "over_at": voucher.over_at,
        "used_seconds": voucher.used_seconds,
        "bytes_up": voucher.bytes_up,
        "bytes_down": voucher.bytes_down,
        "price_minor": voucher.price_minor,
        "currency": voucher.currency,
        "note": voucher.note,
        "extra_seconds": voucher.extra_seconds,
        "extra_bytes": voucher.extra_bytes,
        "frozen_at": voucher.frozen_at,
        "moved_to": voucher.moved_to,
        "qr_url": f"/api/vouchers/{voucher.id}/qr.png",
        "portal_url": f"{config.portal_url}/c/{shown_code}" if readable else None,
        "router_sync": router_sync or "not_needed",
    }


def batch_out(batch: Batch, version: PlanVersion | None, router_sync: str) -> dict[str, Any]:
    """A batch."""
    return {
        "id": batch.id,
        "site_id": batch.site_id,
        "number": batch.number,
        "label": f"B{batch.number:03d}",
        "plan_id": version.plan_id if version else None,
        "plan_name": version.name if version else None,
        "quantity": batch.quantity,
        "created": batch.created,
        "state": batch.state,
        "error": batch.error,
        "code_style": batch.code_style,
        "price_minor": batch.price_minor,
        "currency": batch.currency,
        "note": batch.note,
        "router_sync": router_sync,
        "created_at": batch.created_at,
        "ready_at": batch.ready_at,
        "disabled_at": batch.disabled_at,
    }


def print_run_out(run: PrintRun) -> dict[str, Any]:
    """An entry of the print journal."""
    return {
        "id": run.id,
        "layout": run.layout,
        "from_serial": run.from_serial,
        "to_serial": run.to_serial,
        "cards": run.cards,
        "printed_by": run.printed_by,
        "printed_at": run.printed_at,
    }
