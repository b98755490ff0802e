"""One site of a controller: its clients, who is connected, and who may pass."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from bawaba.core.clock import Clock
from bawaba.routers.simulators.unifi.settings import Behaviour, Settings

AP_MAC = "0a:00:5e:00:00:01"
ESSID = "Guests"


class Refused(Exception):
    """The controller says no, in its own word: `api.err.…`."""


@dataclass
class User:
    """A client that the controller knows, connected or not."""

    id: str
    mac: str
    note: str = ""
    blocked: bool = False


@dataclass
class Guest:
    """One authorisation."""

    id: str
    uuid: str
    mac: str
    start: float
    end: float
    up_kbps: int | None
    down_kbps: int | None
    most: int | None  # bytes
    by: str = "api"
    used_up: int = 0
    used_down: int = 0
    ended: str = ""
    opens_at: float = 0.0


@dataclass
class Phone:
    """A device in the WiFi. Counters are those of this association; `rx` is the guest's upload, as the AP sees it."""

    site: Site
    mac: str
    ip: str
    is_guest: bool = True
    connected: bool = True
    joined_at: float = 0.0
    rx: int = 0
    tx: int = 0

    def move(self, up: int, down: int) -> tuple[int, int]:
        """Move this much, as far as it gets through; what did is returned."""
        return self.site.move(self, up, down)

    def leave(self) -> None:
        """Out of reach."""
        self.connected = False

    def come_back(self) -> None:
        """In reach again: a new association, with counters from zero."""
        self.site.associate(self)


@dataclass
class Site:
    """A site. All times are seconds of the controller's own clock."""

    name: str
    settings: Settings
    behaviour: Behaviour
    clock: Clock
    uuid: str = ""
    users: dict[str, User] = field(default_factory=dict)
    phones: dict[str, Phone] = field(default_factory=dict)
    guests: list[Guest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = Random(self.name)
        self._addresses = itertools.count(11)
        self.uuid = self.uuid or self._uuid()

    def now(self) -> float:
        """What the controller takes for the time."""
        return self.clock.now().timestamp() + self.settings.clock_offset_s

    def join(self, mac: str | None = None, ip: str | None = None, *, is_guest: bool = True) -> Phone:
        """A phone comes into the WiFi."""
        mac = mac or "02:00:5e:" + ":".join(f"{self._chance.randrange(256):02x}" for _ in range(3))
        phone = Phone(self, mac.lower(), ip or f"10.20.0.{next(self._addresses)}", is_guest)
        self.phones[phone.mac] = phone
        self.associate(phone)
        return phone

    def associate(self, phone: Phone) -> None:
        """A device connects, unless it is blocked."""
        if self.user(phone.mac).blocked:
            return
        phone.connected, phone.joined_at, phone.rx, phone.tx = True, self.now(), 0, 0

    def user(self, mac: str) -> User:
        """The client's record; made when first asked for."""
        mac = mac.lower()
        if mac not in self.users:
            self.users[mac] = User(f"{self._chance.getrandbits(96):024x}", mac)
        return self.users[mac]

    def online(self) -> Iterator[Phone]:
        """Who is connected."""
        return (phone for phone in self.phones.values() if phone.connected)

    def active(self, mac: str) -> Guest | None:
        """The authorisation that a device has now."""
        now = self.now()
        for guest in reversed(self.guests):
            if guest.mac == mac and not guest.ended:
                if now < guest.end:
                    return guest
                guest.ended = "expired"
        return None

    def move(self, phone: Phone, up: int, down: int) -> tuple[int, int]:
        """Let a device move this much; an authorisation that is used up ends."""
        if not phone.connected:
            return 0, 0
        if phone.is_guest:
            guest = self.active(phone.mac)
            if guest is None or self.now() < guest.opens_at:
                return 0, 0
            if guest.most is not None:
                up = min(up, guest.most - guest.used_up - guest.used_down)
                down = min(down, guest.most - guest.used_up - guest.used_down - up)
            guest.used_up, guest.used_down = guest.used_up + up, guest.used_down + down
            if guest.most is not None and guest.used_up + guest.used_down >= guest.most:
                guest.ended = "quota"
        phone.rx, phone.tx = phone.rx + up, phone.tx + down
        return up, down

    def authorize(
        self, mac: str, minutes: int, up: int | None, down: int | None, megabytes: int | None, by: str = "api"
    ) -> tuple[Guest, Guest | None]:
        """Authorise a device anew; the second answer is the authorisation that this replaces."""
        if minutes < 1 or any(value is not None and value < 1 for value in (up, down, megabytes)):
            raise Refused("api.err.InvalidPayload")
        before = self.revoke(mac, "replaced")
        now = self.now()
        most = None if megabytes is None else megabytes * self.behaviour.megabyte
        guest = Guest(
            f"{self._chance.getrandbits(96):024x}", self._uuid(), mac, now, now + 60 * minutes, up, down, most, by,
            opens_at=now + self.behaviour.opens_after_s if before is None else 0.0,
        )  # fmt: skip
        self.guests.append(guest)
        return guest, before

    def revoke(self, mac: str, why: str = "api") -> Guest | None:
        """End the authorisation that a device has."""
        guest = self.active(mac)
        if guest is not None:
            guest.ended = why
        return guest

    def kick(self, mac: str) -> None:
        """Disconnect a device; it comes back at once."""
        phone = self.phones.get(mac)
        if phone is None or not phone.connected:
            raise Refused("api.err.UnknownStation")
        self.associate(phone)

    def block(self, mac: str, blocked: bool) -> None:
        """Keep a device out of the network, or let it in again."""
        self.user(mac).blocked = blocked
        if (phone := self.phones.get(mac)) is None:
            return
        if blocked:
            phone.leave()
        elif not phone.connected:
            self.associate(phone)

    def station(self, phone: Phone) -> dict[str, Any]:
        """A connected device as `stat/sta` shows it."""
        user, now = self.user(phone.mac), self.now()
        authorized = not phone.is_guest or self.active(phone.mac) is not None
        row: dict[str, Any] = {
            "_id": user.id, "user_id": user.id, "mac": phone.mac, "ip": phone.ip, "ap_mac": AP_MAC, "essid": ESSID,
            "is_guest": phone.is_guest, "is_wired": False, "authorized": authorized,
            "assoc_time": int(phone.joined_at), "uptime": int(now - phone.joined_at), "last_seen": int(now),
            "rx_bytes": phone.rx, "tx_bytes": phone.tx, "oui": "", "satisfaction": 98, "noted": bool(user.note),
        }  # fmt: skip
        return row | ({"note": user.note} if user.note and self.behaviour.stations_show_notes else {})

    def client(self, user: User) -> dict[str, Any]:
        """A client as `list/user` shows it."""
        row: dict[str, Any] = {"_id": user.id, "mac": user.mac, "site_id": self.name, "noted": bool(user.note)}
        return row | ({"note": user.note} if user.note else {}) | ({"blocked": True} if user.blocked else {})

    def guest(self, guest: Guest) -> dict[str, Any]:
        """An authorisation as `stat/guest` shows it."""
        self.active(guest.mac)
        row: dict[str, Any] = {
            "_id": guest.id, "mac": guest.mac, "start": int(guest.start), "end": int(guest.end), "site_id": self.name,
            "authorized_by": guest.by, "expired": bool(guest.ended),
        }  # fmt: skip
        return row | ({"unauthorized_by": "api"} if guest.ended == "api" else {})

    def client_id(self, mac: str) -> str:
        """A client's UUID, as the official API has it."""
        digits = self.user(mac).id.ljust(32, "0")
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"

    def _uuid(self) -> str:
        digits = f"{self._chance.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
