"""What goes wrong, when it is told to: each fault waits for the command it was meant for."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch

KINDS = (
    "cut-before",  # the connection is reset, the command is not done
    "cut-after",  # the command is done, the connection reset before the answer
    "half-reply",  # done, and reset in the middle of a sentence
    "slow",  # done at once, answered `seconds` later, others not held up
    "silent",  # done, never answered, the connection stays open
    "deaf",  # neither done nor answered, the connection stays open
    "garbage",  # done, answered by bytes that make no sense
    "fatal",  # not done: `!fatal`, and the connection is closed
    "trap",  # not done: refused with `text`
    "disk-full",  # not done: no room for it
    "no-rights",  # not done: not enough permissions (9)
    "auth",  # any log-in is refused
)
CONNECTION_KINDS = ("refuse", "black-hole", "accept-silence", "full")


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong. `match` is a command or a pattern of commands like /ip/hotspot/user/*, `skip` lets so
    many pass first, `times` is how often it strikes (None for ever)."""

    kind: str
    match: str = "*"
    skip: int = 0
    times: int | None = 1
    seconds: float = 30.0
    text: str = "failure: simulated"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no fault; there are {', '.join(KINDS)}")
        if self.kind == "auth":
            self.match = "/login"

    def strikes(self, command: str) -> bool:
        """Whether it strikes at this command; counts."""
        if self.times == 0 or not fnmatch(command, self.match) or (self.match == "*" and command == "/login"):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Faults:
    """All that is to go wrong on one router."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []
        self.connection = ""  # one of CONNECTION_KINDS, while new connections fail

    def add(self, kind: str, match: str = "*", **details: object) -> Fault:
        """Let something go wrong."""
        fault = Fault(kind, match, **details)  # type: ignore[arg-type]
        self.waiting.append(fault)
        return fault

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.waiting.clear()
        self.connection = ""

    def strike(self, command: str) -> Fault | None:
        """The fault that this command meets, if any."""
        if not self.waiting:
            return None
        found = next((fault for fault in self.waiting if fault.strikes(command)), None)
        self.waiting = [fault for fault in self.waiting if fault.times != 0]
        return found
