"""What goes wrong between a controller and who asks it."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

KINDS = ("cut-before", "cut-after", "status", "html", "nonsense", "slow")


@dataclass
class Fault:
    """`match` is a pattern over calls like "POST cmd/stamgr authorize-guest". The first `skip` that fit are spared;
    `times` None is always. `text` is the whole body of `nonsense`."""

    kind: str
    match: str = "*"
    skip: int = 0
    times: int | None = 1
    status: int = 500
    seconds: float = 10.0
    text: str = "{"

    def strikes(self, call: str) -> bool:
        """Whether it is this call's turn."""
        if not fnmatchcase(call, self.match) or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True
