"""Who is acting: a signed-in person, a key of theirs, or Bawaba itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """A person and what they may do. `site_ids` is None for those who see every site."""

    user_id: int | None
    username: str
    role: str
    permissions: frozenset[str]
    site_ids: frozenset[int] | None
    language: str = "ar"

    @property
    def sight(self) -> tuple[int, ...] | None:
        """Which sites they see, in order: the same for all who see the same. None: every site."""
        return None if self.site_ids is None else tuple(sorted(self.site_ids))

    def may(self, permission: str) -> bool:
        """Whether this permission was given."""
        return permission in self.permissions

    def sees(self, site_id: int) -> bool:
        """Whether this site is one of theirs."""
        return self.site_ids is None or site_id in self.site_ids


SYSTEM = Actor(None, "bawaba", "system", frozenset(), None)
