"""Guests as the hotspot sees them: their phones, host rows, sessions, cookies, and the users they log in as."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bawaba.routers.simulators.routeros import garden
from bawaba.routers.simulators.routeros.tables import Row

if TYPE_CHECKING:
    from bawaba.routers.simulators.routeros.hotspot import Hotspot


class UserRow(Row):
    """A hotspot user with what it has used in all sessions that are over."""

    __slots__ = ("down", "online", "up", "uptime_s")

    def __init__(self, number: int, written: dict[str, str]) -> None:
        super().__init__(number, written)
        self.uptime_s, self.up, self.down = 0.0, 0, 0
        self.online: list[Session] = []


class Host:
    """A device that the hotspot has seen."""

    __slots__ = ("ip", "mac", "number", "phone", "seen_at", "session", "since")

    def __init__(self, number: int, phone: Phone, now: float) -> None:
        self.number, self.phone = number, phone
        self.mac, self.ip = phone.mac, phone.ip
        self.since = self.seen_at = now
        self.session: Session | None = None


class Session:
    """A host that is logged in, with its counters since it logged in."""

    __slots__ = (
        "down", "host", "limits_at_login", "login_by", "moved_at", "number", "profile", "rate", "settled_at", "started",
        "up", "user",
    )  # fmt: skip

    def __init__(self, number: int, user: UserRow, profile: Row, host: Host, login_by: str, now: float) -> None:
        self.number, self.user, self.profile, self.host, self.login_by = number, user, profile, host, login_by
        self.started = self.settled_at = self.moved_at = now
        self.up = self.down = 0
        self.rate = profile.values.get("rate-limit", "")  # a queue made now; the profile may change later
        self.limits_at_login: dict[str, int] = {}

    @property
    def name(self) -> str:
        """The user's name."""
        return self.user.values["name"]


class Cookie:
    """A reason to let a device in again without asking."""

    __slots__ = ("expires_at", "mac", "number", "token", "user")

    def __init__(self, number: int, user: str, mac: str, token: str, expires_at: float) -> None:
        self.number, self.user, self.mac, self.token, self.expires_at = number, user, mac, token, expires_at

    @property
    def is_mac_cookie(self) -> bool:
        """A MAC cookie needs no browser; the other kind is shown by one."""
        return not self.token


class Phone:
    """A guest's device. Made by `Router.join`."""

    __slots__ = ("_hotspot", "flow_down", "flow_up", "ip", "left_at", "mac", "wakes_at")

    def __init__(self, hotspot: Hotspot, mac: str, ip: str) -> None:
        self._hotspot = hotspot
        self.mac, self.ip = mac, ip
        self.left_at = math.inf  # when it went out of reach
        self.wakes_at = math.inf  # when it next sends a packet by itself, being logged out
        self.flow_up = self.flow_down = 0.0  # bytes a second

    @property
    def online(self) -> bool:
        """Whether its packets pass now, by a session or because it is bypassed."""
        with self._hotspot.lock:
            self._hotspot.look()
            host = self._hotspot.host_of(self)
            return (host is not None and host.session is not None) or self._hotspot.binding(self) == "bypassed"

    @property
    def user(self) -> str | None:
        """The name it is logged in with."""
        with self._hotspot.lock:
            self._hotspot.look()
            host = self._hotspot.host_of(self)
            return host.session.name if host is not None and host.session is not None else None

    def move(self, up: int = 0, down: int = 0) -> tuple[int, int]:
        """Send and receive bytes; returns what passed, which is nothing while it is not logged in."""
        with self._hotspot.lock:
            return self._hotspot.move(self, up, down)

    def flow(self, up: float = 0.0, down: float = 0.0) -> None:
        """Go on sending and receiving at this pace, bytes a second."""
        with self._hotspot.lock:
            self._hotspot.look()
            self._hotspot.settle_phone(self)
            self.flow_up, self.flow_down = up, down
            self._hotspot.expect_end_of(self)

    def leave(self) -> None:
        """Go out of reach: nothing more is heard from it."""
        with self._hotspot.lock:
            self._hotspot.leave(self)

    def reaches(self, host: str, *, address: str | None = None, port: int = 443) -> bool:
        """Whether its packets to a host pass now: because it is in, or by a walled garden."""
        with self._hotspot.lock:
            return self.online or garden.open_for(self._hotspot.router, host, address, port)

    def come_back(self) -> None:
        """Be in reach again, and send a packet."""
        with self._hotspot.lock:
            self.left_at = math.inf
            self._hotspot.move(self, 0, 0)
