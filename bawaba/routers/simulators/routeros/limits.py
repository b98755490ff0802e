"""What a session may still use, and when it will be over. `up` is the guest's upload, RouterOS's `bytes-in`."""

from __future__ import annotations

import math

from bawaba.routers.simulators.routeros import values
from bawaba.routers.simulators.routeros.guests import Session, UserRow

WAYS = ("in", "out", "total")


def left_at_login(user: UserRow) -> dict[str, int]:
    """Seconds (`uptime`) and bytes that are left of each limit the user has, by what earlier sessions used."""
    left: dict[str, int] = {}
    if uptime := values.duration_seconds(user.values.get("limit-uptime", "0s")):
        left["uptime"] = int(uptime - user.uptime_s)
    for way, used in zip(WAYS, (user.up, user.down, user.up + user.down), strict=True):
        if limit := int(user.values.get(f"limit-bytes-{way}", "0")):
            left[way] = limit - used
    return left


def end(session: Session) -> tuple[float, str]:
    """When the session will be over as things are now, and why."""
    profile, phone = session.profile.values, session.host.phone
    moments = [(math.inf, ""), (_bytes_end(session), "traffic limit reached")]
    if longest := _longest(session):
        moments.append((session.started + longest[0], longest[1]))
    if phone.left_at < math.inf and (keepalive := timeout(profile, "keepalive-timeout", "2m")):
        moments.append((phone.left_at + keepalive, "keepalive timeout"))
    still = phone.left_at < math.inf or not (phone.flow_up or phone.flow_down)
    if still and (idle := timeout(profile, "idle-timeout", "none")):
        moments.append((session.moved_at + idle, "idle timeout"))
    return min(moments)


def time_left(session: Session, now: float) -> float | None:
    """Seconds until a limit of time ends the session; None where there is none."""
    longest = _longest(session)
    return None if longest is None else session.started + longest[0] - now


def room(session: Session, up: int, down: int) -> tuple[int, int]:
    """How many of these bytes still fit in the user's limits."""
    up = int(max(0, min(up, _room(session, "in"))))
    down = int(max(0, min(down, _room(session, "out"))))
    total = max(0, _room(session, "total"))
    up = int(min(up, total))
    return up, int(min(down, total - up))


def timeout(profile: dict[str, str], name: str, default: str) -> float:
    """Seconds of a time-out, 0 where there is none."""
    value = profile.get(name, default)
    return 0.0 if value == "none" else values.duration_seconds(value)


def _longest(session: Session) -> tuple[float, str] | None:
    """How many seconds the session may last in all, and by which limit."""
    found = []
    if limit := values.duration_seconds(session.user.values.get("limit-uptime", "0s")):
        found.append((limit - session.user.uptime_s, "uptime limit reached"))
    if limit := timeout(session.profile.values, "session-timeout", "0s"):
        found.append((limit, "session timeout"))
    return min(found, default=None)


def _bytes_end(session: Session) -> float:
    """When the phone's steady flow will have used up a limit."""
    phone, end = session.host.phone, math.inf
    for way, pace in zip(WAYS, (phone.flow_up, phone.flow_down, phone.flow_up + phone.flow_down), strict=True):
        left = _room(session, way)
        if left <= 0:
            return session.settled_at
        if pace > 0:
            end = min(end, session.settled_at + left / pace)
    return end


def _room(session: Session, way: str) -> float:
    """Bytes that may still pass this way."""
    limit = int(session.user.values.get(f"limit-bytes-{way}", "0"))
    if not limit:
        return math.inf
    up, down = session.user.up + session.up, session.user.down + session.down
    return limit - {"in": up, "out": down, "total": up + down}[way]
