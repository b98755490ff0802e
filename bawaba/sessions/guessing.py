"""The caps on wrong codes: five a minute a device, then a wait that doubles; ten a minute a site, after a burst of 60.

They live in the database: over any number of processes, kept through a restart, and cheap, because the caps themselves
bound how often they are written. Who asks many codes in one moment gains nothing: a device's requests go one after the
other, and so do those of a site's strangers once somebody guesses there. What was under way in the moment when a site's
quiet ended (20 requests a process) may go beyond its burst, once.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import delete
from sqlalchemy.orm import Session

from bawaba.core.statement import Statement
from bawaba.sessions.models import GuessMeter

DEVICE_TRIES = 5
DEVICE_WINDOW_S = 60
FIRST_WAIT_S = 60
LONGEST_WAIT_S = 3600
FORGIVEN_AFTER_S = 24 * 3600
SITE_BURST = 60
SITE_IN_LINE = 10  # from this fill on strangers go one after the other
KNOWN_DAYS = 30
WHOLE_SITE = ""

ONE_AT_A_TIME = Statement("SELECT pg_advisory_xact_lock(hashtextextended(:device, 0))")  # until the transaction ends
LOCK_METER = Statement(
    "SELECT id, tries, blocks, counted_at, blocked_until FROM guess_meter "
    "WHERE site_id = :site_id AND device = :device {lock}",
    "id tries blocks counted_at blocked_until",
    ("counted_at", "blocked_until"),
)
MAKE_METER = Statement(
    "INSERT INTO guess_meter (site_id, device, tries, blocks, counted_at) VALUES (:site_id, :device, 0, 0, :now) "
    "ON CONFLICT (site_id, device) DO NOTHING"
)
SAVE_METER = Statement(
    "UPDATE guess_meter SET tries = :tries, blocks = :blocks, counted_at = :now, blocked_until = :blocked_until "
    "WHERE id = :id"
)
FORGET_DEVICE = Statement("DELETE FROM guess_meter WHERE site_id = :site_id AND device = :device")
KNOWN_DEVICE = Statement(
    "SELECT 1 FROM guest_session WHERE site_id = :site_id AND client_mac = :device AND created_at > :since LIMIT 1"
)


class Meters(Protocol):
    """The meters of a place, as `redeem` reads them together with all else about the place."""

    site_id: int
    wrong_tries_per_minute: int
    device_blocked_until: datetime | None
    site_tries: float | None
    site_counted_at: datetime | None


def wait_s(db: Session, meters: Meters, device: str, now: datetime) -> int:
    """Seconds this device has to wait before a code of its is even looked at; 0 when it may try."""
    if meters.device_blocked_until is not None and meters.device_blocked_until > now:
        return max(1, math.ceil((meters.device_blocked_until - now).total_seconds()))
    if meters.site_tries is None or meters.site_counted_at is None:
        return 0
    fill = drained(meters.site_tries, meters.site_counted_at, meters.wrong_tries_per_minute, now)
    if fill < SITE_IN_LINE or _is_known(db, meters.site_id, device, now):
        return 0
    whole = LOCK_METER.first(db, site_id=meters.site_id, device=WHOLE_SITE)
    fill = drained(whole.tries, whole.counted_at, meters.wrong_tries_per_minute, now) if whole else 0.0
    if fill < SITE_BURST:
        return 0
    return max(1, math.ceil((fill - SITE_BURST + 1) * 60 / meters.wrong_tries_per_minute))


def count_wrong(db: Session, site_id: int, device: str, per_minute: int, now: datetime) -> list[str]:
    """Count a wrong code. Answers whose cap was crossed by it: the device, and "" for the whole site."""
    crossed = [device] if count_device(db, site_id, device, now) else []
    whole = _locked(db, site_id, WHOLE_SITE, now)
    before = drained(whole.tries, whole.counted_at, per_minute, now)
    fill = min(before + 1, SITE_BURST + 1.0)
    SAVE_METER.run(db, id=whole.id, tries=fill, blocks=0, blocked_until=None, now=now)
    if before < SITE_BURST <= fill:
        crossed.append(WHOLE_SITE)
    return crossed


def count_device(db: Session, site_id: int, device: str, now: datetime) -> bool:
    """Count a wrong code of one device; True when that crosses its cap."""
    meter = _locked(db, site_id, device, now)
    recent = now - meter.counted_at < timedelta(seconds=DEVICE_WINDOW_S)
    tries = (meter.tries if recent else 0) + 1
    blocks = 0 if now - meter.counted_at > timedelta(seconds=FORGIVEN_AFTER_S) else meter.blocks
    blocked_until = meter.blocked_until
    if tries >= DEVICE_TRIES:
        blocked_until = now + timedelta(seconds=min(FIRST_WAIT_S * 2**blocks, LONGEST_WAIT_S))
        tries, blocks = 0, min(blocks + 1, 10)
    SAVE_METER.run(db, id=meter.id, tries=tries, blocks=blocks, blocked_until=blocked_until, now=now)
    return tries == 0


def blocked_s(db: Session, site_id: int, device: str, now: datetime) -> int:
    """Seconds that a device is over its own cap for; 0 when it may try."""
    meter = LOCK_METER.first(db, site_id=site_id, device=device)
    if meter is None or meter.blocked_until is None or meter.blocked_until <= now:
        return 0
    left: float = (meter.blocked_until - now).total_seconds()
    return max(1, math.ceil(left))


def forgive_device(db: Session, site_id: int, device: str) -> None:
    """A right code: the device's wrong ones are forgotten. The site's are not."""
    FORGET_DEVICE.run(db, site_id=site_id, device=device)


def drained(fill: float, counted_at: datetime, per_minute: int, now: datetime) -> float:
    """What is left in the site's bucket after it has drained since it was last counted."""
    return max(0.0, fill - max(0.0, (now - counted_at).total_seconds()) * per_minute / 60)


def prune(db: Session, now: datetime) -> None:
    """Forget meters that have long been quiet."""
    db.execute(delete(GuessMeter).where(GuessMeter.counted_at < now - timedelta(days=2)))


def _locked(db: Session, site_id: int, device: str, now: datetime) -> Any:
    MAKE_METER.run(db, site_id=site_id, device=device, now=now)
    return LOCK_METER.first(db, site_id=site_id, device=device)


def _is_known(db: Session, site_id: int, device: str, now: datetime) -> bool:
    since = now - timedelta(days=KNOWN_DAYS)
    return KNOWN_DEVICE.first(db, site_id=site_id, device=device, since=since) is not None
