"""How a router stands, on its row: its breaker, its link, and that it is down (steps)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from bawaba.core import outward
from bawaba.routers.breaker import CLOSED, OPEN, Breaker
from bawaba.routers.driver import GatewayError
from bawaba.routers.events import RouterStatusChanged
from bawaba.routers.models import Router, RouterJob

ERROR_MOST = 500
LOOK_AGAIN_S = 2.0  # a router that is down by one admit alone may be back at once


def set_status(router: Router, status: str, now: datetime) -> None:
    """Change what a router is, and note since when it is down. Maintenance stays until a person ends it."""
    if router.status == "maintenance":
        return
    router.status = status
    if status == "down":
        router.down_since = router.down_since or now
    elif status == "up":
        router.down_since = None


def note_breaker(db: Session, router_id: int, breaker: Breaker, error: str | None, now: datetime) -> None:
    """Write the breaker on the router's row. When it opens, the work that waits learns why; when it closes, that work
    is due at once."""
    row: dict[str, Any] = {"breaker": breaker.state, "failures": breaker.failures, "breaker_until": breaker.until}
    db.execute(update(Router).where(Router.id == router_id).values(**row))
    waiting = update(RouterJob).where(RouterJob.router_id == router_id, RouterJob.state == "open")
    if breaker.state == CLOSED:
        tried = or_(RouterJob.attempts > 0, RouterJob.last_error.is_not(None))  # a fresh one may be its request's
        db.execute(waiting.where(tried, RouterJob.next_try_at > now).values(next_try_at=now))
    elif breaker.state == OPEN and error is not None:
        db.execute(waiting.where(RouterJob.last_error.is_(None)).values(last_error=error[:ERROR_MOST]))


def note_link(db: Session, router_id: int, link_s: float) -> None:
    """Write the measured link time on the router's row."""
    db.execute(update(Router).where(Router.id == router_id).values(link_ms=round(link_s * 1000)))


def tell_down(db: Session, router: Router, now: datetime) -> None:
    """Other programs hear that a router has gone down."""
    facts = {
        "router_id": router.id,
        "site_id": router.site_id,
        "name": router.name,
        "down_since": router.down_since,
        "error": router.error,
        "error_code": router.error_code,
    }
    outward.tell(db, "router.down", router.site_id, lambda: facts, now)


def let_a_guest_down(db: Session, router_id: int, error: GatewayError, now: datetime) -> Router | None:
    """An admit failed here and no spare took it: the router is down. Answers it when that is new."""
    router = db.get(Router, router_id, with_for_update=True)
    if router is None or router.status in ("down", "maintenance"):
        return None
    set_status(router, "down", now)
    router.next_poll_at = now + timedelta(seconds=LOOK_AGAIN_S)
    router.error, router.error_code = str(error)[:ERROR_MOST], error.code
    tell_down(db, router, now)
    return router


def status_event(router: Router) -> RouterStatusChanged:
    """The news of a router as it stands."""
    return RouterStatusChanged(
        router.id,
        router.site_id,
        router.name,
        router.status,
        router.online,
        router.last_seen_at,
        router.error,
        router.health or {},
    )
