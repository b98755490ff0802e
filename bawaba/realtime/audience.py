"""Who is connected, and what each of them may hear."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bawaba.core.broadcast import Audience


@dataclass(frozen=True, slots=True)
class Identity:
    """A signed-in person at the other end of a socket. `site_ids` is None for those who see every site.

    `login_id` is the sign-in that let them in, None for a personal key.
    """

    user_id: int
    rooms: frozenset[str]
    site_ids: frozenset[int] | None
    expires_at: datetime
    login_id: int | None = None


def hears(identity: Identity, audience: Audience) -> bool:
    """Is this person in the audience?"""
    if audience.site_id is not None and identity.site_ids is not None and audience.site_id not in identity.site_ids:
        return False
    return identity.user_id == audience.user_id or not identity.rooms.isdisjoint(audience.rooms)


def is_of(identity: Identity, user_id: int, login_id: int | None) -> bool:
    """Is this the person, and when one sign-in is named, that sign-in of theirs?"""
    return identity.user_id == user_id and login_id in {None, identity.login_id}
