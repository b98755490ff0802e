"""What a user has really used: its own counters, those of the sessions that are on, or both together.

On some versions a user's counters move only when it logs out, on others they grow meanwhile, and no manual says which.
So it is found out by looking; while it is not known the larger of the two counts, which is never too much.
"""

from __future__ import annotations

from collections.abc import Sequence

from bawaba.routers.drivers.routeros import words
from bawaba.routers.drivers.routeros.client import Row
from bawaba.routers.drivers.routeros.words import Used

CERTAIN_BYTES = 4096  # less may be the moment that lies between two lists
CERTAIN_PART = 0.1
ZERO = Used()


class Counting:
    """How one router counts, learned anew on each connection: it may have been updated. `live` is None until known."""

    def __init__(self) -> None:
        self.live: bool | None = None
        self._last: dict[str, tuple[Used, Used]] = {}

    def used(self, user: Row | None, online: Sequence[Row]) -> Used:
        """What a user has used, from its row and those of its sessions. Lists the sessions first, then the users."""
        own = ZERO if user is None else _of(user)
        if not online:
            return own
        running = _of(online[0]) if len(online) == 1 else Used(*map(sum, zip(*map(_of, online), strict=True)))
        if self.live is None and len(online) == 1 and user is not None:
            self._learn(online[0].get(".id", ""), own, running)
        if self.live:
            return own
        if self.live is None:
            return Used(*map(max, own, running))
        return Used(own.seconds + running.seconds, own.up + running.up, own.down + running.down)

    def begin(self) -> None:
        """Nothing is known on a new connection."""
        self.live = None
        self._last.clear()

    def forget(self, active_ids: set[str]) -> None:
        """Keep what was seen of these sessions only."""
        self._last = {name: seen for name, seen in self._last.items() if name in active_ids}

    def _learn(self, active_id: str, own: Used, running: Used) -> None:
        """A user's counters below its session's cannot be live; growing as its session's do, they must be."""
        behind = running.up + running.down - own.up - own.down
        if behind > max(CERTAIN_BYTES, CERTAIN_PART * (running.up + running.down)):
            self.live = False
        elif active_id in self._last:
            own_before, running_before = self._last[active_id]
            grown = running.up + running.down - running_before.up - running_before.down
            own_grown = own.up + own.down - own_before.up - own_before.down
            same_session = running.seconds >= running_before.seconds and grown > CERTAIN_BYTES
            if same_session and abs(grown - own_grown) <= CERTAIN_PART * grown:
                self.live = True
            elif same_session and own_grown == 0:
                self.live = False
        self._last[active_id] = (own, running)


def _of(row: Row) -> Used:
    number, get = words.number, row.get
    return Used(words.seconds(get("uptime", "")), number(get("bytes-in")), number(get("bytes-out")))
