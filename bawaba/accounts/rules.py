"""Pure decisions about people and their sign-ins."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

from bawaba.core.config import PLACEHOLDERS

USERNAME_MARKS = frozenset("._-@+")
USERNAME_MOST = 60


def fold_username(name: str) -> str:
    """One spelling of a user name: `Hana ` and `hana` are the same person."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def username_fault(name: str) -> str | None:
    """Why a folded name cannot be taken, or None."""
    if not 1 <= len(name) <= USERNAME_MOST:
        return "must have 1 to 60 characters"
    if not all(letter.isalnum() or unicodedata.combining(letter) or letter in USERNAME_MARKS for letter in name):
        return "may have letters, digits and . _ - @ + only"
    return None


def password_fault(password: str, username: str) -> str | None:
    """Why a password is refused beyond its length, or None."""
    folded = password.casefold()
    if folded in PLACEHOLDERS or folded == username or len(set(folded)) < 3:
        return "is too easy to guess"
    return None


def is_local_path(path: str) -> bool:
    """Whether a `next` leads to a page of ours, and not to somebody else's site."""
    clean = path.isprintable() and "\\" not in path
    return clean and path.startswith("/") and not path.startswith("//")


def address_group(address: str) -> str:
    """What counts as one address when wrong tries are counted: of IPv6 the /64 that one customer has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    return str(parsed) if parsed.version == 4 else str(ip_network((parsed, 64), strict=False))


@dataclass(frozen=True, slots=True)
class Cap:
    """How many wrong tries are free in `WINDOW`, and how long the wait after them grows."""

    free: int
    first_wait: timedelta
    longest_wait: timedelta


WINDOW = timedelta(minutes=10)
PAIR = Cap(10, timedelta(minutes=1), timedelta(minutes=10))  # one account from one address
ACCOUNT = Cap(60, timedelta(seconds=30), timedelta(minutes=5))  # one account from all addresses it is not known at
ADDRESS = Cap(60, timedelta(seconds=30), timedelta(minutes=10))  # all accounts from one address


@dataclass(frozen=True, slots=True)
class Tries:
    """Wrong tries since a moment, and until when the next has to wait."""

    wrong: int
    since: datetime
    blocked_until: datetime | None = None


def seconds_to_wait(tries: Tries, now: datetime) -> float:
    """How long until another try is heard; 0 when it is heard now."""
    return max(0.0, (tries.blocked_until - now).total_seconds()) if tries.blocked_until else 0.0


def one_more(tries: Tries, cap: Cap, now: datetime) -> Tries:
    """Count a try that is about to be made as wrong; past the cap, each doubles the wait for the next."""
    if now - (tries.blocked_until or tries.since) >= WINDOW:
        tries = Tries(0, now)
    wrong = tries.wrong + 1
    if wrong < cap.free:
        return Tries(wrong, tries.since)
    doublings = min(wrong - cap.free, 20)
    return Tries(wrong, tries.since, now + min(cap.first_wait * 2**doublings, cap.longest_wait))


def one_less(tries: Tries, cap: Cap) -> Tries:
    """Take a counted try back: it was not wrong."""
    wrong = max(0, tries.wrong - 1)
    return Tries(wrong, tries.since, tries.blocked_until if wrong >= cap.free else None)
