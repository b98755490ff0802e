"""Finding a card by its code and marking it used: of two guests racing for it, the database lets one be first."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from bawaba.core import outward
from bawaba.core.errors import Problem
from bawaba.core.statement import Statement
from bawaba.vouchers import rules
from bawaba.vouchers.errors import VoucherDisabled, VoucherExpired, VoucherUsed, WrongSite

COLUMNS = (
    "id site_id batch_id plan_version_id serial status disabled_at ends_at over_at first_used_at used_seconds bytes_up "
    "bytes_down devices_seen moved_on moves_that_day frozen_at moved_to is_free "
    "plan_id plan_name kind duration_seconds quota_bytes quota_up_bytes quota_down_bytes rate_up_kbps rate_down_kbps "
    "devices_at_once devices_ever valid_for_seconds shelf_life_seconds idle_timeout_seconds"
)
SELECT_CARD = """
SELECT v.id, v.site_id, v.batch_id, v.plan_version_id, v.serial, v.status, v.disabled_at, v.ends_at, v.over_at,
  v.first_used_at, v.used_seconds, v.bytes_up, v.bytes_down, v.devices_seen, v.moved_on, v.moves_that_day,
  v.frozen_at, v.moved_to, v.is_free,
  p.plan_id, p.name, p.kind, p.duration_seconds + v.extra_seconds, p.quota_bytes + v.extra_bytes,
  p.quota_up_bytes, p.quota_down_bytes, p.rate_up_kbps,
  p.rate_down_kbps, p.devices_at_once, p.devices_ever, p.valid_for_seconds + v.extra_seconds, p.shelf_life_seconds,
  p.idle_timeout_seconds
FROM voucher v JOIN plan_version p ON p.id = v.plan_version_id
"""
TIMES = ("disabled_at", "ends_at", "over_at", "first_used_at", "frozen_at")
READY = "(v.batch_id IS NULL OR EXISTS (SELECT 1 FROM batch b WHERE b.id = v.batch_id AND b.state = 'ready'))"
LOCK = "{lock v}"

BY_CODE = Statement(f"{SELECT_CARD} WHERE v.code_digest = :digest AND {READY} {LOCK}", COLUMNS, TIMES)
BY_ID = Statement(f"{SELECT_CARD} WHERE v.id = :id {LOCK}", COLUMNS, TIMES)
OF_SESSION = Statement(
    f"{SELECT_CARD} WHERE v.id = (SELECT voucher_id FROM guest_session WHERE id = :session_id) {LOCK}", COLUMNS, TIMES
)
LOOK_BY_ID = Statement(f"{SELECT_CARD} WHERE v.id = :id", COLUMNS, TIMES)
LOOK_BY_CODE = Statement(f"{SELECT_CARD} WHERE v.code_digest = :digest AND {READY}", COLUMNS, TIMES)
CLAIM = Statement(
    "UPDATE voucher SET status = 'used', claimed_at = :now, over_at = ends_at, devices_seen = 1 "
    "WHERE id = :id AND status = 'unused'"
)  # from here on its shelf life is no matter
CONFIRM = Statement(
    "UPDATE voucher SET first_used_at = :now, over_at = :over_at WHERE id = :id AND first_used_at IS NULL"
)
BOOK = Statement(
    "UPDATE voucher SET bytes_up = bytes_up + :up, bytes_down = bytes_down + :down, "
    "used_seconds = used_seconds + :seconds WHERE id = :id",
    many="UPDATE voucher v SET bytes_up = v.bytes_up + n.up, bytes_down = v.bytes_down + n.down, "
    "used_seconds = v.used_seconds + n.seconds FROM unnest(CAST(:id AS bigint[]), CAST(:up AS bigint[]), "
    "CAST(:down AS bigint[]), CAST(:seconds AS bigint[])) AS n(id, up, down, seconds) WHERE v.id = n.id",
)
ANOTHER_DEVICE = Statement("UPDATE voucher SET devices_seen = devices_seen + 1 WHERE id = :id")
MOVED = Statement("UPDATE voucher SET moved_on = :today, moves_that_day = :moves WHERE id = :id")


def validate_voucher(card: Any, site_id: int, now: datetime) -> Problem | None:
    """Whether a card may be used here and now, apart from what is left on it: the first refusal that fits, or None."""
    if card.site_id != site_id:
        return WrongSite()
    if card.disabled_at is not None:
        return VoucherDisabled(frozen=card.frozen_at is not None)
    if card.moved_to is not None:
        return VoucherUsed(moved=True)
    if rules.is_over(card, now):
        return VoucherExpired(ended_at=card.over_at)
    return None


def claim(db: Session, card: Any, new_device: bool, now: datetime) -> bool:
    """Mark a card as used, and count the device when it is a new one; True for the one redemption that is its first."""
    if card.status == "unused" and CLAIM.run(db, id=card.id, now=now) == 1:
        return True
    if new_device:
        ANOTHER_DEVICE.run(db, id=card.id)
    return False


def tell_redeemed(db: Session, card: Any, router_id: int, client_mac: str | None, now: datetime) -> None:
    """Other programs hear that a card was used for the first time: by which device, where that is known."""
    facts = {
        "voucher_id": card.id,
        "serial": card.serial,
        "batch_id": card.batch_id,
        "site_id": card.site_id,
        "plan_id": card.plan_id,
        "plan_name": card.plan_name,
        "router_id": router_id,
        "client_mac": client_mac,
        "redeemed_at": now,
    }
    outward.tell(db, "voucher.redeemed", card.site_id, lambda: facts, now)


def confirm_first_use(db: Session, card: Any, now: datetime) -> datetime | None:
    """Its time starts now, unless it started before; answers its end by the clock, None when the clock ends it not."""
    if card.first_used_at is not None:
        return card.over_at  # type: ignore[no-any-return]
    over_at = rules.used_until(card, now, card.ends_at)
    CONFIRM.later(db, id=card.id, now=now, over_at=over_at)
    return over_at
