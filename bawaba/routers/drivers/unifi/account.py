"""How we stand with a controller: one log-in for all connections to it, and patience after one that it refused."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from bawaba.routers.driver import GatewayError, Reason, RouterAuthFailed, RouterRejected

FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 900.0
RENEWALS_MOST, RENEWALS_S = 3, 60.0


@dataclass
class Account:
    """What is known of an account at a controller. Cookies and token outlive a connection: log-ins are rationed."""

    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str = ""
    is_os: bool | None = None  # UniFi OS, or a controller of its own; None until it was asked
    refused: str = ""
    pause_s: float = 0.0
    until: float = 0.0  # monotonic: no log-in before then
    renewed: list[float] = field(default_factory=list)  # when log-ins ran out, of late

    def check(self) -> None:
        """Raise what the controller said last, while it is too early to try again: it bans who tries too often."""
        left = self.until - time.monotonic()
        if left <= 0:
            return
        if self.refused:
            raise RouterAuthFailed(f"{self.refused} (not tried again for {left:.0f} s)")
        raise RouterRejected(f"the controller takes no log-in for {left:.0f} s", Reason.BUSY)

    def was_refused(self, error: GatewayError) -> None:
        """The password or the account is wrong: each time wait longer."""
        self.pause_s = min(max(FIRST_PAUSE_S, 2 * self.pause_s), LONGEST_PAUSE_S)
        self.refused, self.until = str(error), time.monotonic() + self.pause_s

    def was_too_often(self, wait_s: float) -> None:
        """The controller asks for patience."""
        self.refused, self.until = "", time.monotonic() + min(max(wait_s, 1.0), LONGEST_PAUSE_S)

    def is_in(self, cookies: dict[str, str], csrf: str) -> None:
        """A log-in was taken."""
        self.cookies, self.csrf, self.refused, self.pause_s, self.until = cookies, csrf, "", 0.0, 0.0

    def may_renew(self) -> bool:
        """Whether to log in again where a log-in was no good: not where each new one is no better."""
        now = time.monotonic()
        self.renewed = [when for when in self.renewed if now - when < RENEWALS_S]
        self.renewed.append(now)
        return len(self.renewed) <= RENEWALS_MOST

    def is_out(self) -> None:
        """The log-in is no good any more."""
        self.cookies, self.csrf = {}, ""


_accounts: dict[str, Account] = {}


def account(name: str) -> Account:
    """The account of this name in this process."""
    return _accounts.setdefault(name, Account())
