"""What happens to sessions, and to those who guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bawaba.core.broadcast import Audience, Broadcast

OPERATORS = frozenset({"operators"})


@dataclass(frozen=True)
class SessionChanged(Broadcast):
    """A session began, moved bytes, or ended. `session` is its JSON."""

    session: dict[str, Any]
    urgent: bool = False

    def message(self) -> dict[str, Any]:
        return {"type": "session_update", "session": self.session}

    def audience(self) -> Audience:
        return Audience(OPERATORS, self.session["site_id"])


@dataclass(frozen=True)
class GuessingSuspected(Broadcast):
    """Wrong codes went over a cap: of one device, or (device empty) of the whole site."""

    site_id: int
    device: str

    def message(self) -> dict[str, Any]:
        return {"type": "guessing_suspected", "site_id": self.site_id, "device": self.device}

    def audience(self) -> Audience:
        return Audience(OPERATORS, self.site_id)


@dataclass(frozen=True)
class CardUsedTwice(Broadcast):
    """A card was found in use on two routers at once, or by more devices than it may have; the later one was cut."""

    site_id: int
    voucher_id: int
    serial: str
    too_many_devices: bool = False

    def message(self) -> dict[str, Any]:
        return {
            "type": "card_used_twice",
            "site_id": self.site_id,
            "voucher_id": self.voucher_id,
            "serial": self.serial,
        }

    def audience(self) -> Audience:
        return Audience(OPERATORS, self.site_id)
