"""Who is connected, and what each of them may hear."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bawaba.core.broadcast import Audience


@dataclass(frozen=True, slots=True)
class Identity:
    """A signed-in person at the other end of a socket. `site_ids` is None for those who see every site."""

    user_id: int
    rooms: frozenset[str]
    site_ids: frozenset[int] | None
    expires_at: datetime


def hears(identity: Identity, audience: Audience) -> bool:
    """Is this person in the audience?"""
    if audience.site_id is not None and identity.site_ids is not None and audience.site_id not in identity.site_ids:
        return False
    return identity.user_id == audience.user_id or not identity.rooms.isdisjoint(audience.rooms)
