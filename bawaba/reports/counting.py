"""Keeping the sums that reports are made from: a background step that takes in what is new, and makes them anew.

Each step is a short transaction, holds the site's one row while it works, and leaves a whole state behind: it may be
cut off or run by two processes at any time. A site whose clock was changed is counted anew on the new one.
"""

from __future__ import annotations

import threading

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core import facts
from bawaba.core.background import Background
from bawaba.core.database import DatabaseAway
from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement
from bawaba.sales import sums as sales
from bawaba.sessions import sums as uses
from bawaba.sites.models import Site

log = structlog.get_logger(__name__)
EVERY_S = 15.0
REST_S = 0.02  # between two steps of many: guests go first
UNTOLD_AT_ONCE = 2000
FORGETTING = "forgetting"
STANDING = Statement("SELECT value FROM install_fact WHERE name = :name {lock}", "value")


def count_some(db: Session, site_id: int) -> bool:
    """Bring a site's sums a bit nearer to its sales and sessions (step); whether there is more to do."""
    site = db.get(Site, site_id)
    if site is None:
        return False
    standing = STANDING.first(db, name=_name(site_id))
    zone = standing.value if standing else facts.settle(db, _name(site_id), site.time_zone)
    if zone.startswith(FORGETTING):
        return _forget_some(db, site, zone)
    if zone != site.time_zone:
        begin_anew(db, site_id)
        return True
    told = (sales.tell(db, site_id, zone), uses.tell(db, site_id, zone))
    return told[0] == sales.AT_ONCE or told[1] == uses.AT_ONCE


def begin_anew(db: Session, site_id: int) -> None:
    """Throw a site's sums of sales away, to be made again from every sale, and have every session counted anew
    (step)."""
    facts.settle(db, _name(site_id), FORGETTING)
    STANDING.first(db, name=_name(site_id))
    sales.forget_sums(db, site_id)
    facts.remember(db, _name(site_id), f"{FORGETTING} 0 0")


def is_counting(db: Session, site: Site) -> bool:
    """Whether a site's sums are being made anew, so that a report may lack something yet (step)."""
    return facts.recall(db, _name(site.id)) not in (None, site.time_zone)


def count_all(rt: Runtime, stopping: threading.Event | None = None) -> None:
    """Count what is new at every site, until there is nothing left."""
    for site_id in rt.read(lambda db: list(db.scalars(select(Site.id).order_by(Site.id)))):
        while not (stopping and stopping.is_set()) and rt.transact(count_some, site_id):
            if stopping:
                stopping.wait(REST_S)


def rebuild(rt: Runtime) -> None:
    """Make all sums anew, from the first sale and session on."""
    for site_id in rt.read(lambda db: list(db.scalars(select(Site.id).order_by(Site.id)))):
        rt.transact(begin_anew, site_id)
    count_all(rt)


class Counting(Background):
    """The thread that counts, one a process."""

    def __init__(self, rt: Runtime) -> None:
        super().__init__("counting")
        self._rt = rt

    def _work(self) -> None:
        while not self._stopping.wait(EVERY_S):
            try:
                count_all(self._rt, self._stopping)
            except DatabaseAway as error:
                log.warning("counting for the reports was put off", error=str(error))
            except Exception:
                log.exception("counting for the reports was put off")


def _forget_some(db: Session, site: Site, standing: str) -> bool:
    _word, sale_id, session_id = standing.split()
    sold = sales.untell(db, site.id, int(sale_id), UNTOLD_AT_ONCE)
    used = uses.untell(db, site.id, int(session_id), UNTOLD_AT_ONCE)
    if sold is None and used is None:
        facts.remember(db, _name(site.id), site.time_zone)
    else:
        facts.remember(db, _name(site.id), f"{FORGETTING} {sold or sale_id} {used or session_id}")
    return True


def _name(site_id: int) -> str:
    return f"sums:{site_id}"
