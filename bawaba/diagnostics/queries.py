"""Requests as a list: the newest, or the slowest, of those that fit (steps)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from bawaba.diagnostics.models import RequestTrace
from bawaba.web.paging import PageRequest

SLOW_US = 500_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests: `kind` is all, slow (half a second or more) or failed (5xx); `route` a part of the route."""

    kind: str = "all"
    method: str = ""
    route: str = ""
    slowest: bool = False


def list_requests(db: Session, wanted: Wanted, page: PageRequest) -> list[RequestTrace]:
    """One page and a row more, the newest first; or, on one page, the slowest first."""
    found = select(RequestTrace).options(defer(RequestTrace.detail))
    if wanted.kind == "slow":
        found = found.where(RequestTrace.took_us >= SLOW_US)
    elif wanted.kind == "failed":
        found = found.where(RequestTrace.status >= 500)
    if wanted.method:
        found = found.where(RequestTrace.method == wanted.method)
    if wanted.route:
        found = found.where(RequestTrace.route.contains(wanted.route, autoescape=True))
    if wanted.slowest:
        return list(db.scalars(found.order_by(RequestTrace.took_us.desc()).limit(page.limit)))
    if page.after_id is not None:
        found = found.where(RequestTrace.id < page.after_id)
    return list(db.scalars(found.order_by(RequestTrace.id.desc()).limit(page.limit + 1)))


def count_requests(db: Session) -> int:
    """How many are kept."""
    return db.scalar(select(func.count()).select_from(RequestTrace)) or 0
