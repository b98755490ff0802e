"""What happened to people's sign-ins."""

from __future__ import annotations

from dataclasses import dataclass

from bawaba.core.events import Event


@dataclass(frozen=True, slots=True)
class AccessChanged(Event):
    """Role, sites, password or sign-ins of a person changed: what was known of their access counts no more.

    `login_id` is set when one sign-in ended and the others go on.
    """

    user_id: int
    login_id: int | None = None
