"""What a plan may say. None is no limit; 0 never is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ELAPSED, USED_TIME = "elapsed", "used_time"
KINDS = (ELAPSED, USED_TIME)

SPAN_MOST_SECONDS = 10 * 366 * 86_400
QUOTA_MOST_BYTES = 1024**5
RATE_MOST_KBPS = 100_000_000
DEVICES_MOST = 1000
IDLE_LEAST_SECONDS = 60
IDLE_MOST_SECONDS = 86_400
PRICE_MOST_MINOR = 10**12

LIMITS = {
    "duration_seconds": SPAN_MOST_SECONDS,
    "quota_bytes": QUOTA_MOST_BYTES,
    "quota_up_bytes": QUOTA_MOST_BYTES,
    "quota_down_bytes": QUOTA_MOST_BYTES,
    "rate_down_kbps": RATE_MOST_KBPS,
    "rate_up_kbps": RATE_MOST_KBPS,
    "devices_ever": DEVICES_MOST,
    "valid_for_seconds": SPAN_MOST_SECONDS,
    "shelf_life_seconds": SPAN_MOST_SECONDS,
}
QUOTAS = ("quota_bytes", "quota_up_bytes", "quota_down_bytes")
FACTS = ("name", "kind", *LIMITS, "devices_at_once", "idle_timeout_seconds", "price_minor", "currency")


def faults(plan: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is wrong with a whole plan, by field; each number by itself has been checked already."""
    found: dict[str, list[str]] = {}
    duration = plan["duration_seconds"]
    if duration is None and all(plan[name] is None for name in QUOTAS):
        found["duration_seconds"] = ["give a duration or a quota: a card must end some day"]
    if plan["kind"] == USED_TIME and duration is None:
        found["duration_seconds"] = ["a plan of used time needs a duration"]
    if _less(plan["valid_for_seconds"], duration):
        found["valid_for_seconds"] = ["is shorter than the duration, so nobody could use all of it"]
    if _less(plan["devices_ever"], plan["devices_at_once"]):
        found["devices_ever"] = ["is less than devices_at_once"]
    return found


def _less(limit: int | None, other: int | None) -> bool:
    return limit is not None and other is not None and limit < other


def matters(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The fields that differ: any of them makes a new version, for a printed card says them."""
    return [name for name in FACTS if before[name] != after[name]]
