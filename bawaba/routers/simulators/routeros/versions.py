"""Which RouterOS a simulator is, and what came or went with which version."""

from __future__ import annotations

import re
from dataclasses import dataclass

NEWEST = "7.24.1"


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A release, like 6.49.18 or 7.20."""

    major: int
    minor: int = 0
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read "7.20", "7.20.4" or "7.20 (stable)". Raises `ValueError`."""
        match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
        if match is None:
            raise ValueError(f"{text!r} is no RouterOS version, like 6.49.18 or 7.20")
        return cls(*(int(part or 0) for part in match.groups()))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}" + (f".{self.patch}" if self.patch else "")

    @property
    def shown(self) -> str:
        """As `/system/resource` says it."""
        return f"{self} ({'stable' if self.major >= 7 else 'long-term'})"


PLAIN_LOGIN = Version(6, 43)  # one sentence with name and password; before it an MD5 challenge
V7 = Version(7)
REST = Version(7, 1)
REST_OVER_HTTP = Version(7, 9)
NO_HTTPS_REDIRECT = Version(7, 5)
INSTALL_QUEUE = Version(7, 7)
ISO_DATES = Version(7, 10)  # 2026-11-24; before it nov/24/2026
MAX_SESSIONS = Version(7, 16)
EMPTY_REPLY = Version(7, 18)
DEVICE_MODE_HOTSPOT = Version(7, 17)
SHOW_SENSITIVE = Version(7, 21)
OTP_SECRET = Version(7, 22)
