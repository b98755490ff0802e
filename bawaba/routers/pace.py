"""How long a router's link takes, measured on its short calls, and the deadlines that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

CONNECT_S = 3.0
CONNECT_LONGEST_S = 12.0
LINK_TIMES = 4  # a connection may take so many times the measured link
WEIGHT = 0.2  # of the newest measurement (exponentially weighted moving average)
DEADLINES_S = {"admit": 6.0, "kick": 5.0, "sessions": 20.0, "owned": 20.0, "put": 60.0, "drop": 60.0}
CALL_S = 5.0
ADMIT_TURN_S = 2.0  # together with the admit's own 6 s what a fresh promise belongs to its request for (`promises`)
SHORT = frozenset({"health", "probe", "locate"})  # calls whose length is the link's
WORTH_NOTING = 1.25


@dataclass
class Pace:
    """One router's link time in seconds, None before the first measurement. `noted_s` is what the row has."""

    link_s: float | None = None
    noted_s: float | None = None

    def took(self, verb: str, seconds: float) -> None:
        """A call was answered after so long."""
        if verb in SHORT:
            self.link_s = seconds if self.link_s is None else self.link_s + WEIGHT * (seconds - self.link_s)

    def was_late(self) -> None:
        """A call was not answered in time: the next connection may take twice as long, within bounds."""
        self.link_s = min(2 * self.connect_s / LINK_TIMES, CONNECT_LONGEST_S / LINK_TIMES)

    @property
    def connect_s(self) -> float:
        """How long a connection may take: 3 s, or four times the link, 12 s at most."""
        return min(max(CONNECT_S, LINK_TIMES * (self.link_s or 0.0)), CONNECT_LONGEST_S)

    def deadline_s(self, verb: str) -> float:
        """How long a call may take, the connection included. A guest waits for an admit: never over 6 s."""
        most_s = DEADLINES_S.get(verb, CALL_S)
        return most_s if verb == "admit" else most_s + self.connect_s - CONNECT_S

    def turn_s(self, verb: str) -> float:
        """How long a call may wait behind others: an admit not for long, for its promise is soon taken up again."""
        return ADMIT_TURN_S if verb == "admit" else self.deadline_s(verb)

    @property
    def worth_noting(self) -> bool:
        """Whether the figure has changed enough to be written down."""
        if self.link_s is None:
            return False
        before = self.noted_s or 0.0
        return self.link_s > WORTH_NOTING * before or self.link_s < before / WORTH_NOTING
