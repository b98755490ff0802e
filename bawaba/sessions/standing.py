"""How a device stands: the card it last used here, whether it is online by it, and what is left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from bawaba.core.statement import Statement
from bawaba.plans.rules import USED_TIME
from bawaba.sessions import rules
from bawaba.sessions.ending import LIVE
from bawaba.vouchers import claiming
from bawaba.vouchers.rules import end_as_used, is_over

REMEMBER_DAYS = 90
LATEST = Statement(
    "SELECT id, voucher_id, router_id, state, start_time, end_time, ended_at, created_at, terminate_cause "
    "FROM guest_session WHERE site_id = :site_id AND client_mac = :device AND created_at > :since "
    "ORDER BY created_at DESC, id DESC LIMIT 1",
    "id voucher_id router_id state start_time end_time ended_at created_at terminate_cause",
    ("start_time", "end_time", "ended_at", "created_at"),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """`session` is the device's newest; `card` its card with the plan's terms; `left` what the card still gives."""

    session: Any
    card: Any
    left: rules.Left

    @property
    def online(self) -> bool:
        """Whether the router has let it in."""
        return bool(self.session.state == "online")

    @property
    def opening(self) -> bool:
        """Whether we wait for the router."""
        return bool(self.session.state == "opening")

    @property
    def over(self) -> bool:
        """Whether this session has ended."""
        return self.session.ended_at is not None

    @property
    def run_out(self) -> bool:
        """Whether it was let in and nothing is left: the session ends with the next look at its router."""
        return self.online and self.left.spent

    @property
    def left_bytes(self) -> int | None:
        """The tightest of the card's quotas, as it stands."""
        quotas = (self.left.bytes_total, self.left.bytes_up, self.left.bytes_down)
        return min((value for value in quotas if value is not None), default=None)


def of_device(db: Session, site_id: int, device: str, now: datetime) -> Standing | None:
    """The standing of a device at a site; None when it has not been here for 90 days."""
    session = LATEST.first(db, site_id=site_id, device=device, since=now - timedelta(days=REMEMBER_DAYS))
    if session is None:
        return None
    card = claiming.LOOK_BY_ID.first(db, id=session.voucher_id)
    live = LIVE.all(db, voucher_id=card.id) if card.kind == USED_TIME else []  # who else spends of it now
    return Standing(session, card, rules.left_on(card, end_as_used(card, now), live, now))


def may_resume(standing: Standing, now: datetime) -> bool:
    """Whether the device may go on with that card without typing it again."""
    card = standing.card
    is_off = card.disabled_at is not None or card.moved_to is not None
    return standing.over and not is_off and not is_over(card, now) and not standing.left.spent
