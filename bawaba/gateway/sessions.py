"""What the agent knows of each session, and how the kernel remembers it for an agent that was killed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_ABOUT = re.compile(r"([0-9a-f]{12}) (\S+) (\S+) (\d+) (\d+) (\d+|-) ([0-9a-f]+) ([0-9a-f]+) (\d+) (\d+) (.)")
_REASONS = {"": "-", "time": "t", "data": "d", "removed": "r", "replaced": "p", "blocked": "b"}


@dataclass(frozen=True, slots=True)
class Session:
    """One device's session. Times are the kernel's monotonic seconds; caps count from the meters' zero."""

    mark: int
    mac: str
    key: str
    owner: str
    rev: int
    epoch: int  # of its meters: a later life of the same mark has a larger one
    started: float
    ends: float | None = None
    class_id: int = 0
    rate_up_kbps: int = 0
    rate_down_kbps: int = 0
    caps: Mapping[str, int] = field(default_factory=dict)  # by the map of the table that holds them
    told: tuple[int, int] = (0, 0)  # the counters that we last gave away
    ended: str = ""  # "", or why: time, data, removed, replaced, blocked
    ended_at: float = 0.0
    settled: bool = False  # the manager has had its last counters
    forget_at: float = 0.0  # when an ended session may go, with its meters

    @property
    def online(self) -> bool:
        """Whether the kernel lets it through, as far as we know."""
        return not self.ended

    def over(self, now: float) -> bool:
        """Whether its time is up."""
        return self.ends is not None and self.ends <= now

    def seconds_left(self, now: float) -> float | None:
        """Time still to go, or None where there is no end."""
        return None if self.ends is None else max(0.0, self.ends - now)

    def seconds_online(self, now: float) -> float:
        """How long it has been on, or was."""
        until = self.ended_at if self.ended else now
        return max(0.0, until - self.started)

    def about(self) -> str:
        """The session in the 127 characters that a comment in nftables may have."""
        ends = "-" if self.ends is None else str(int(self.ends * 10))
        return (
            f"{self.mac.replace(':', '')} {self.key} {self.owner or '-'} {self.rev} {int(self.started * 10)} {ends} "
            f"{self.epoch:x} {self.class_id:x} {self.rate_up_kbps} {self.rate_down_kbps} "
            f"{_REASONS[self.ended].upper() if self.settled else _REASONS[self.ended]}"
        )


def remembered(mark: int, about: str) -> Session | None:
    """The session that a comment tells of; None where it is not one of ours."""
    match = _ABOUT.fullmatch(about)
    if match is None:
        return None
    mac, key, owner, rev, started, ends, epoch, class_id, up, down, reason = match.groups()
    return Session(
        mark=mark,
        mac=":".join(mac[i : i + 2] for i in range(0, 12, 2)),
        key=key,
        owner="" if owner == "-" else owner,
        rev=int(rev),
        started=int(started) / 10,
        ends=None if ends == "-" else int(ends) / 10,
        epoch=int(epoch, 16),
        class_id=int(class_id, 16),
        rate_up_kbps=int(up),
        rate_down_kbps=int(down),
        ended=next((name for name, letter in _REASONS.items() if letter == reason.lower()), "removed"),
        settled=reason.isupper(),
    )


@dataclass
class Book:
    """All that ought to be in the kernel."""

    sessions: dict[int, Session] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()
    trusted_mark: int = 0
    blocked: tuple[str, ...] = ()
    garden: tuple[str, ...] = ()  # as nft writes its elements
    _holders: dict[str, int] = field(default_factory=dict)

    def holder(self, mac: str) -> Session | None:
        """The session that a device is online with."""
        mark = self._holders.get(mac)
        return None if mark is None else self.sessions[mark]

    def keep(self, session: Session) -> None:
        """Take down how a session is now."""
        before = self.sessions.get(session.mark)
        if before is not None and self._holders.get(before.mac) == session.mark:
            del self._holders[before.mac]
        self.sessions[session.mark] = session
        if session.online:
            self._holders[session.mac] = session.mark

    def forget(self, mark: int) -> None:
        """Know nothing of a session any more."""
        session = self.sessions.pop(mark, None)
        if session is not None and self._holders.get(session.mac) == mark:
            del self._holders[session.mac]

    def copy(self) -> Book:
        """The same, to try changes on."""
        return Book(
            dict(self.sessions), self.trusted, self.trusted_mark, self.blocked, self.garden, dict(self._holders)
        )

    def online(self) -> Iterator[Session]:
        """Those that are let through."""
        return (session for session in self.sessions.values() if session.online)
