"""Whether a router is asked at all: after three failures in a row nobody but a trial call is let through.

closed: asked. open: left alone until `until`. half_open: one call is the trial; its outcome closes or opens it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"
OPEN_AFTER = 3  # failures in a row
FIRST_REST_S = 5.0
LONGEST_REST_S = 60.0
TRIAL_S = 30.0  # a trial that nobody has heard of for so long may be repeated


@dataclass
class Breaker:
    """One router's. `failures` counts those in a row; times are UTC."""

    state: str = CLOSED
    failures: int = 0
    until: datetime | None = None

    def rests(self, now: datetime) -> bool:
        """Whether the router is left alone now, or a trial is under way."""
        return self.state != CLOSED and self.until is not None and now < self.until

    def lets_through(self, now: datetime, *, probing: bool = False) -> bool:
        """Whether a call may be made now; the first after the rest is the trial. A poll is always let through."""
        if self.state == CLOSED or probing:
            return True
        if self.rests(now):
            return False
        self.state, self.until = HALF_OPEN, now + timedelta(seconds=TRIAL_S)
        return True

    def failed(self, now: datetime, jitter: float) -> None:
        """A call failed. `jitter` (0 to 1) spreads the rests of many routers."""
        self.failures += 1
        if self.failures >= OPEN_AFTER or self.state == HALF_OPEN:
            self.state, self.until = OPEN, now + timedelta(seconds=rest_s(self.failures, jitter))

    def answered(self) -> None:
        """The router answered, be it with a refusal."""
        self.state, self.failures, self.until = CLOSED, 0, None


def rest_s(failures: int, jitter: float) -> float:
    """How long a router is left alone after so many failures: 5 s at first, doubling, 60 s at most."""
    doublings = min(max(failures - OPEN_AFTER, 0), 10)
    return min(FIRST_REST_S * float(2**doublings), LONGEST_REST_S) * (0.75 + jitter / 2)
