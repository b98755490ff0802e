"""What a guest's page needs to know of its place: read once in a while, kept in the process."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from bawaba.core.runtime import Runtime
from bawaba.sites.logos import digest_of
from bawaba.sites.models import Site
from bawaba.vouchers import codes
from bawaba.vouchers.models import Batch

TTL_S = 2.0  # what an owner changes is seen by guests after so long
PART = "portal_places"


@dataclass(frozen=True, slots=True)
class Place:
    """A site as guests meet it. `letters`: it has batches whose codes hold letters."""

    name: str
    language: str
    time_zone: str
    portal_host: str
    wifi_name: str
    support: str
    device_moves_per_day: int
    letters: bool
    colour: str
    terms: str
    logo: str
    trial_minutes: int | None

    @property
    def support_direction(self) -> str:
        """A telephone number runs from left to right in any language."""
        return "auto" if any(map(str.isalpha, self.support)) else "ltr"


def place(rt: Runtime, site_id: int) -> Place | None:
    """A site, at most 2 s old."""
    known: dict[int, tuple[float, Place | None]] = rt.parts.setdefault(PART, {})
    read_at, found = known.get(site_id, (-TTL_S, None))
    now = rt.clock.monotonic()
    if now - read_at >= TTL_S:
        found = rt.read(_read, site_id)
        known[site_id] = now, found
    return found


def _read(db: Session, site_id: int) -> Place | None:
    letters = exists().where(
        Batch.site_id == Site.id, Batch.state == "ready", or_(Batch.code_style == codes.LETTERS, Batch.prefix != "")
    )
    row = db.execute(select(Site, letters).where(Site.id == site_id)).one_or_none()
    if row is None:
        return None
    site: Site = row[0]
    return Place(
        name=site.name,
        language=site.language,
        time_zone=site.time_zone,
        portal_host=site.portal_host,
        wifi_name=site.wifi_name,
        support=site.support,
        device_moves_per_day=site.device_moves_per_day,
        letters=row[1],
        colour=site.colour,
        terms=site.terms,
        logo=digest_of(db, site_id),
        trial_minutes=site.trial_minutes,
    )
