"""What a NAS's accounting means. Pure: values in, answer out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bawaba.radius.packet import Packet
from bawaba.routers.nas import bytes_of

START, INTERIM, STOP = "Start", "Interim-Update", "Stop"
ON, OFF = "Accounting-On", "Accounting-Off"
KINDS = {"1": START, "2": STOP, "3": INTERIM, "7": ON, "8": OFF}  # RFC 2866, 5.1, where the dictionary has no word
LOST = "Lost-Service"
UNKNOWN_CAUSE = "NAS-Error"
CAUSES = frozenset(  # RFC 2866, 5.10
    {
        "User-Request", "Lost-Carrier", "Lost-Service", "Idle-Timeout", "Session-Timeout", "Admin-Reset",
        "Admin-Reboot", "Port-Error", "NAS-Error", "NAS-Request", "NAS-Reboot", "Port-Unneeded", "Port-Preempted",
        "Port-Suspended", "Service-Unavailable", "Callback", "User-Error", "Host-Request",
    }
)  # fmt: skip
LOST_INTERVALS = 3  # a session of which nothing was heard for so long is not there any more
SILENT_INTERVALS = 3  # a NAS with guests online that told nothing for so long does not reach us
ACCEPT_LASTS_S = 120  # a NAS that was told to let somebody in and says nothing of it did not
FASTEST_BYTES_S = 10_000_000_000 // 8
GRACE_S = 120


@dataclass(frozen=True, slots=True)
class Report:
    """One accounting request about one session. Counters since its start: up is Acct-Input (RFC 2866, 5.3)."""

    kind: str
    acct_session_id: str
    seconds: int
    up: int
    down: int
    cause: str
    at: datetime  # when it was written, by our clock: a NAS that could not reach us says how long ago that was

    @classmethod
    def of(cls, packet: Packet, now: datetime) -> Report:
        """Read a report that arrived at `now`."""
        cause = packet.text("Acct-Terminate-Cause") or ""
        return cls(
            kind=kind_of(packet),
            acct_session_id=(packet.text("Acct-Session-Id") or "")[:253],
            seconds=packet.number("Acct-Session-Time"),
            up=bytes_of(packet.number("Acct-Input-Octets"), packet.number("Acct-Input-Gigawords")),
            down=bytes_of(packet.number("Acct-Output-Octets"), packet.number("Acct-Output-Gigawords")),
            cause=cause if cause in CAUSES else UNKNOWN_CAUSE,
            at=now - timedelta(seconds=packet.number("Acct-Delay-Time")),
        )

    @property
    def started_at(self) -> datetime:
        """When the session began, by its own length."""
        return self.at - timedelta(seconds=self.seconds)


def kind_of(packet: Packet) -> str:
    """Start, Interim-Update, Stop, Accounting-On or -Off; else whatever it says."""
    said = packet.text("Acct-Status-Type") or ""
    return KINDS.get(said, said)


def within(moment: datetime, earliest: datetime, latest: datetime) -> datetime:
    """A moment as far as it can be believed: who has the secret can say what he likes."""
    return max(earliest, min(moment, latest))


def is_plausible(up: int, down: int, since: timedelta) -> bool:
    """Whether so many new bytes can have passed since the last report, at 10 Gbit/s."""
    return up + down <= (since.total_seconds() + GRACE_S) * FASTEST_BYTES_S


def is_lost(last_sign: datetime, interim_s: int, now: datetime, intervals: float = LOST_INTERVALS) -> bool:
    """Whether so many reports are missing."""
    return now - last_sign > timedelta(seconds=interim_s * intervals)
