"""Events that the browsers hear of as well: what each says, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bawaba.core.events import Event

ADMINS = "admins"
OPERATORS = "operators"  # admins are in it too


@dataclass(frozen=True, slots=True)
class Audience:
    """Who may hear: members of one of the rooms and the one user, and of these only who sees the site.

    `site_id` None: it belongs to no site, so everybody in the rooms hears it.
    """

    rooms: frozenset[str]
    site_id: int | None = None
    user_id: int | None = None


class Broadcast(Event):
    """An event for open pages. Subclasses are frozen dataclasses in each folder's `events.py`.

    `urgent` goes past the limit on how often one session's news are sent: its start and its end.
    """

    __slots__ = ()
    urgent: bool = False

    def message(self) -> dict[str, Any]:
        """The JSON body, with its `type`. Never a code, a password or a token."""
        raise NotImplementedError

    def audience(self) -> Audience:
        """Who may hear it."""
        raise NotImplementedError
