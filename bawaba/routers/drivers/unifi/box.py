"""What the verbs share: the controller, whose work this is, and how one device stands there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from bawaba.core.clock import Clock
from bawaba.routers.driver import Client as Device
from bawaba.routers.driver import RouterProtocolError, RouterSession
from bawaba.routers.drivers.unifi import notes
from bawaba.routers.drivers.unifi.client import LIST_S, Client, Row
from bawaba.routers.drivers.unifi.notes import Mark

HOUR_MS = 3_600_000
YEAR_HOURS = 8760
REPLACED_MOST = 1000


@dataclass(frozen=True, slots=True)
class Held:
    """A right that was given by the official API. `up` and `down` are what earlier authorisations of it had used."""

    key: str
    rev: int
    epoch: int
    end_ms: int = 0  # our clock
    quota: int | None = None
    up: int = 0
    down: int = 0


@dataclass
class Memory:
    """What is known of a site over all connections to it."""

    seen: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)  # by MAC: association, epoch, up, down
    told: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # by key: epoch, up, down, as last told
    replaced: dict[str, RouterSession] = field(default_factory=dict)  # by key: last counters that nobody has been told
    boot: int = 0
    started: int = 0  # when it started, by its newest word: that moves by its rounding, and with the two clocks
    held: dict[str, Held] = field(default_factory=dict)  # by MAC; the classic API keeps marks instead
    site_uuid: str = ""
    mac_filter_broken: bool = False
    official_only: bool = False

    def keep_replaced(self, key: str, session: RouterSession) -> None:
        """Keep last counters until somebody asks for them."""
        self.replaced[key] = session
        while len(self.replaced) > REPLACED_MOST:
            del self.replaced[next(iter(self.replaced))]


@dataclass
class Box:
    """One site of a controller, as one driver sees it."""

    api: Client
    install: str
    clock: Clock
    memory: Memory
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def turn(self, mac: str) -> asyncio.Lock:
        """To be held while a device's note is read and written: what was read must still be there."""
        return self._turns.setdefault(mac, asyncio.Lock())

    def now_ms(self) -> int:
        """Our clock, in milliseconds."""
        return int(self.clock.now().timestamp() * 1000)

    async def stations(self) -> list[Row]:
        """Every device that is connected."""
        return await self.api.classic("GET", "stat/sta", deadline_s=LIST_S)

    async def users(self) -> dict[str, Row]:
        """Every client that has a note or is blocked, by MAC."""
        rows = await self.api.classic("GET", "list/user", deadline_s=LIST_S)
        with understood():
            return {str(row["mac"]).lower(): row for row in rows}

    async def authorisations(self, since_ms: int | None = None) -> dict[str, Row]:
        """The authorisations that hold, by MAC; those that are younger than `since_ms` of our clock at least."""
        hours = YEAR_HOURS
        if since_ms is not None:
            hours = min(YEAR_HOURS, max(0, self.now_ms() - since_ms) // HOUR_MS + 2)
        rows = await self.api.classic("GET", f"stat/guest?within={hours}", deadline_s=LIST_S)
        with understood():
            rows = sorted(rows, key=lambda row: float(row.get("start") or 0))
            return {str(row["mac"]).lower(): row for row in rows if not row.get("expired")}

    async def command(self, name: str, mac: str, **more: object) -> list[Row]:
        """A command about a device."""
        given = {word: value for word, value in more.items() if value is not None}
        return await self.api.classic("POST", "cmd/stamgr", {"cmd": name, "mac": mac, **given})

    async def write_note(self, user_id: str, note: str) -> None:
        """Write a client's note."""
        await self.api.classic("PUT", f"rest/user/{user_id}", {"note": note, "noted": bool(note)})


@dataclass
class Place:
    """How one device stands. `user` is its record, `station` its connection, `granted` the authorisation it has."""

    mac: str
    user: Row | None
    station: Row | None
    granted: Row | None = None

    @property
    def note(self) -> object:
        """Its note."""
        return notes.note_of(row for row in (self.user, self.station) if row is not None)

    @property
    def user_id(self) -> str:
        """Its record's id."""
        with understood():
            row = self.user or self.station or {}
            return str(row.get("user_id") or row["_id"])

    def mark(self, install: str) -> Mark | None:
        """Our mark of its session."""
        return notes.session_mark(self.note, install)

    def holds(self, mark: Mark) -> bool:
        """Whether the right that the mark is there for is the one that lets the device through."""
        return self.granted is not None and identity(self.granted) != mark.before

    @property
    def device(self) -> Device:
        """The device as it is now."""
        ip = self.station.get("ip") if self.station is not None else None
        return Device(self.mac, str(ip) if ip else None)


def identity(granted: Row) -> str:
    """What tells an authorisation from the one before it."""
    return safe(f"{granted.get('_id', '')}.{granted.get('start', '')}")


def safe(word: str) -> str:
    """A word of the controller's that may stand in a mark."""
    return "".join(letter for letter in word if letter.isalnum() or letter in "._-")[:64]


@contextlib.contextmanager
def understood() -> Iterator[None]:
    """While an answer is read: one that lacks a part, or has it in another form, makes no sense."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RouterProtocolError(f"the controller's answer makes no sense: {error!r}", outcome_known=False) from error
