"""A router in memory. It serves the demo and the tests, and keeps the same contract as the real ones.

What it knows is kept for each `router_id` in the process and outlives the driver, as a real box would; `box()` is
that box, for tests and simulations, and `reset()` forgets them all.
"""

from __future__ import annotations

import asyncio
import math
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeVar

from pydantic import Field

from bawaba.core.clock import Clock, SystemClock
from bawaba.routers.driver import (
    Cap,
    Client,
    Connection,
    Grant,
    Handoff,
    Health,
    Info,
    Limits,
    Owned,
    Reason,
    Result,
    RouterDriver,
    RouterRejected,
    RouterSession,
    RouterUnreachable,
)
from bawaba.routers.options import RouterOptions, Words, in_words

T = TypeVar("T")
FAILURES = ("unreachable", "refused", "slow", "lost_answer")
SLOW_S = 10.0
LOOK_EVERY_S = 0.02  # a real box's clock has a beat too
LOOK_AT_EACH_S = 0.00004  # but with thousands online it must not spend all its time on looking
DEMO_KBPS = 4000

_boxes: dict[int, Box] = {}
_boxes_lock = threading.Lock()
_last_boot = 0


def box(router_id: int, clock: Clock | None = None) -> Box:
    """The router with this number; made when first asked for. The clock of the first call stays."""
    with _boxes_lock:
        if router_id not in _boxes:
            _boxes[router_id] = Box(router_id, clock or SystemClock())
        return _boxes[router_id]


def reset() -> None:
    """Forget every router."""
    with _boxes_lock:
        _boxes.clear()


@dataclass
class Meter:
    """Bytes moved, and how many may be. A limit counts on from what was last told to whoever sets it."""

    up: int = 0
    down: int = 0
    told: tuple[int, int] = (0, 0)
    most_up: float = math.inf
    most_down: float = math.inf
    most_total: float = math.inf

    def allow(self, limits: Limits) -> None:
        """Let so much more through, counted from the last reading that was given away."""
        up, down = self.told
        self.most_up = math.inf if limits.bytes_up is None else up + limits.bytes_up
        self.most_down = math.inf if limits.bytes_down is None else down + limits.bytes_down
        self.most_total = math.inf if limits.bytes_total is None else up + down + limits.bytes_total

    def room(self, up: int, down: int) -> tuple[int, int]:
        """How much of this still fits."""
        up = int(max(0, min(up, self.most_up - self.up, self.most_total - self.up - self.down)))
        down = int(max(0, min(down, self.most_down - self.down, self.most_total - self.up - up - self.down)))
        return up, down

    def count(self, up: int, down: int) -> None:
        """Add what has passed."""
        self.up += up
        self.down += down

    def full(self) -> bool:
        """Whether a limit has been reached."""
        spent = self.up + self.down >= self.most_total
        return spent or self.up >= self.most_up or self.down >= self.most_down


@dataclass
class Card:
    """A card that lies on the router itself (`put`)."""

    grant: Grant
    owner: str
    meter: Meter = field(default_factory=Meter)
    used_s: float = 0.0


@dataclass
class Online:
    """A device that was let in. One that ended by itself stays until somebody asks for its last counters."""

    number: int
    grant: Grant
    owner: str
    client: Client
    started: datetime
    started_at: float
    looked_at: float
    ends_at: float = math.inf
    card: Card | None = None
    meter: Meter = field(default_factory=Meter)
    silent: bool = False
    ended: str = ""
    ended_at: float = 0.0


class Box:
    """The router itself: what would be hardware elsewhere."""

    def __init__(self, router_id: int, clock: Clock) -> None:
        self.router_id = router_id
        self.clock = clock
        self.lock = threading.RLock()
        self.cards: dict[str, Card] = {}
        self.sessions: dict[int, Online] = {}
        self._by_key: dict[str, set[int]] = {}
        self._by_device: dict[str, set[int]] = {}
        self._looked_at = -math.inf
        self.seen: dict[str, str] = {}
        self.handed: dict[str, tuple[Grant, str, Client]] = {}
        self.farewells: dict[tuple[str, str], RouterSession] = {}  # whoever did not hear the answer asks again
        self.trusted: set[str] = set()
        self.blocked: set[str] = set()
        self.fail = ""
        self.fail_verbs: tuple[str, ...] = ()
        self.fail_after = 0  # calls that still go well
        self.fail_times: int | None = None
        self.calls: list[str] = []
        self._numbers = 0
        self._start()

    def _start(self) -> None:
        global _last_boot
        _last_boot = max(_last_boot + 1, int(self.clock.now().timestamp()))
        self.boot = _last_boot
        self.booted_at = self.clock.monotonic()

    def reboot(self) -> None:
        """Power off and on: who was online is not, the cards that lie here stay."""
        with self.lock:
            self.look(False)
            for number in list(self.sessions):
                self.remove(number)
            self.farewells.clear()
            self._start()

    def break_with(self, fail: str, verbs: Iterable[str] = (), *, after: int = 0, times: int | None = None) -> None:
        """Fail like the option of the same name, once so many calls have gone well, so many times (None for ever);
        `mend` ends it."""
        if fail not in FAILURES:
            raise ValueError(f"fail is one of {', '.join(FAILURES)}, not {fail!r}")
        self.fail, self.fail_verbs, self.fail_after, self.fail_times = fail, tuple(verbs), after, times

    def strikes(self, verb: str) -> str:
        """How this call fails, or an empty string; counts."""
        if not self.fail or (self.fail_verbs and verb not in self.fail_verbs) or self.fail_times == 0:
            return ""
        if self.fail_after > 0:
            self.fail_after -= 1
            return ""
        if self.fail_times is not None:
            self.fail_times -= 1
        return self.fail

    def mend(self) -> None:
        """Work again."""
        self.fail, self.fail_verbs, self.fail_after, self.fail_times = "", (), 0, None

    def silence(self, mac: str) -> None:
        """The device walks away: it moves nothing any more, and nobody is told."""
        with self.lock:
            for session in self.of(mac):
                session.silent = True

    def wake(self, mac: str) -> None:
        """The device is back."""
        with self.lock:
            for session in self.of(mac):
                session.silent = False

    def see(self, mac: str, ip: str) -> None:
        """A device takes an address, so that `locate` knows it."""
        with self.lock:
            self.seen[ip] = mac

    def sign_in(self, login: str, secret: str, client: Client) -> bool:
        """A guest types a card that lies here, with no manager in the way."""
        with self.lock:
            self.look(False)
            found = [c for c in self.cards.values() if (c.grant.login, c.grant.secret) == (login, secret)]
            if not found:
                return False
            card, device = found[0], device_of(client)
            users = {device_of(s.client) for s in self.sessions.values() if s.card is card and not s.ended}
            if card.meter.full() or len(users - {device}) >= card.grant.limits.devices:
                return False
            if self._end(card.grant.limits, card.used_s) <= self.clock.monotonic():
                return False
            session = self._new(card.grant, card.owner, client)
            session.card = card
            session.ends_at = self._end(card.grant.limits, card.used_s)
            return True

    def hand_over(self, grant: Grant, owner: str, client: Client) -> str:
        """Wait for the device's own browser; the answer is the word by which it will be known."""
        word = f"{self.router_id:x}-{zlib.crc32(grant.key.encode()):08x}"
        self.handed[word] = grant, owner, client
        return word

    def browser_came(self, word: str) -> bool:
        """A browser sends the form that it was given: its device is in."""
        with self.lock:
            self.look(False)
            handed = self.handed.pop(word, None)
            if handed is not None:
                self.admit(*handed)
            return handed is not None

    def of(self, device: str) -> list[Online]:
        """The device's sessions, the one that is on first."""
        found = [self.sessions[number] for number in self._by_device.get(device, ())]
        return sorted(found, key=lambda session: (bool(session.ended), -session.number))

    def move_traffic(self, mac: str, up: int, down: int) -> tuple[int, int]:
        """Let the device move this much; the answer is what got through, cut to the byte at its limits."""
        with self.lock:
            self.look(False)
            if mac in self.blocked:
                return 0, 0
            if mac in self.trusted:
                return up, down
            for session in self.of(mac)[:1]:
                if not session.ended and not session.silent:
                    return self._move(session, up, down)
            return 0, 0

    def admit(self, grant: Grant, owner: str, client: Client) -> Online:
        """Let a device in, or give the session that is on its new limits, on this device from now on."""
        if self._end(grant.limits, 0.0) <= self.clock.monotonic():
            raise RouterRejected(f"{grant.key} has no time left", Reason.BAD_VALUE)
        if client.mac in self.blocked:
            raise RouterRejected("the device is blocked")
        mine = self.by_key(grant.key)
        session = mine[0] if mine else self._new(grant, owner, client)
        for other in self.of(device_of(client)):
            if other is not session and not other.ended:
                self._finish(other, "replaced", self.clock.monotonic())
        self._index(session, on=False)
        session.grant, session.client, session.ended = grant, client, ""
        self._index(session, on=True)
        session.ends_at = self._end(grant.limits, 0.0)
        session.meter.allow(grant.limits)
        return session

    def set_devices(self, trusted: set[str], blocked: set[str]) -> None:
        """Keep these lists; who is blocked is not online any more."""
        self.trusted, self.blocked = trusted, blocked
        for device in blocked:
            for session in self.of(device):
                if not session.ended:
                    self._finish(session, "blocked", self.clock.monotonic())

    def put(self, grant: Grant, owner: str) -> bool:
        """Hold a card, new or changed; says whether anything is different now."""
        card = self.cards.get(grant.key)
        if card is not None and card.grant == grant:
            return False
        card = self.cards.setdefault(grant.key, Card(grant, owner))
        card.grant = grant
        card.meter.allow(grant.limits)
        for session in self.sessions.values():
            if session.card is card:
                session.grant = grant
                session.ends_at = self._end(grant.limits, card.used_s)
        return True

    def drop(self, key: str) -> bool:
        """Take a card or a session away; says whether it was there."""
        ended = self.by_key(key)
        for session in ended:
            self.remove(session.number)
        return self.cards.pop(key, None) is not None or bool(ended)

    def look(self, traffic: bool) -> None:
        """Catch up with the time: move what the demo moves, and end what is over."""
        now = self.clock.monotonic()
        if 0 <= now - self._looked_at < max(LOOK_EVERY_S, LOOK_AT_EACH_S * len(self.sessions)):
            return
        self._looked_at = now
        for session in self.sessions.values():
            if session.ended:
                continue
            until = min(now, session.ends_at)
            elapsed, session.looked_at = max(0.0, until - session.looked_at), until
            if session.card is not None:
                session.card.used_s += elapsed
            if traffic and not session.silent:
                self._move(session, *demo_bytes(session, elapsed))
            if now >= session.ends_at:
                self._finish(session, "time", session.ends_at)

    def _move(self, session: Online, up: int, down: int) -> tuple[int, int]:
        meters = [session.meter] if session.card is None else [session.meter, session.card.meter]
        for meter in meters:
            up, down = meter.room(up, down)
        for meter in meters:
            meter.count(up, down)
        if any(meter.full() for meter in meters):
            self._finish(session, "data", self.clock.monotonic())
        if session.client.mac and session.client.ip:
            self.seen[session.client.ip] = session.client.mac
        return up, down

    def _new(self, grant: Grant, owner: str, client: Client) -> Online:
        self._numbers += 1
        now = self.clock.monotonic()
        session = Online(self._numbers, grant, owner, client, self.clock.now(), now, now)
        self.farewells.pop((device_of(client), grant.key), None)
        self.sessions[session.number] = session
        self._index(session, on=True)
        return session

    def by_key(self, key: str) -> list[Online]:
        """The sessions of a grant."""
        return [self.sessions[number] for number in sorted(self._by_key.get(key, ()))]

    def remove(self, number: int) -> Online:
        """Forget a session."""
        session = self.sessions.pop(number)
        self._index(session, on=False)
        return session

    def _index(self, session: Online, *, on: bool) -> None:
        places = ((self._by_key, session.grant.key), (self._by_device, device_of(session.client)))
        for index, name in places:
            if on:
                index.setdefault(name, set()).add(session.number)
            elif name in index:
                index[name].discard(session.number)
                if not index[name]:
                    del index[name]

    def _finish(self, session: Online, reason: str, at: float) -> None:
        session.ended, session.ended_at = reason, at

    def _end(self, limits: Limits, used_s: float) -> float:
        now, ends_at = self.clock.monotonic(), math.inf
        if limits.until is not None:
            ends_at = now + (limits.until - self.clock.now()).total_seconds()
        if limits.uptime_s is not None:
            ends_at = min(ends_at, now + limits.uptime_s - used_s)
        return ends_at


class Options(RouterOptions):
    """How the box behaves. `lost_answer`: done, but the answer never comes."""

    traffic: bool = Field(False, title="Made-up traffic", description="The counters of its guests grow by themselves.")
    fail: Literal["", "unreachable", "refused", "slow", "lost_answer"] = Field(
        "",
        title="Fails",
        description="How it fails, to see what then happens.",
        json_schema_extra=in_words(
            {
                "": "Never",
                "unreachable": "It does not answer",
                "refused": "It refuses",
                "slow": "It is slow",
                "lost_answer": "It does the work, and its answer is lost",
            }
        ),
    )
    fail_verbs: Words = Field((), title="Fails at", description="Which questions fail, like admit or kick; empty: all.")
    delay_s: float | None = Field(None, title="Answers after (seconds)", ge=0, le=600)
    browser_login: str = Field(
        "",
        title="Sign-in address",
        description="Where the guest's own browser has to sign in, as some gateways want it; empty: it need not.",
        max_length=200,
    )
    browser_method: Literal["POST", "GET"] = Field(
        "POST", title="Sign-in form is sent as", json_schema_extra=in_words({"POST": "A form", "GET": "An address"})
    )


class Driver(RouterDriver):
    """Speaks to the box of its router's number."""

    vendor = "fake"
    Options = Options
    caps = (
        Cap.PRELOAD | Cap.ADMIT | Cap.KICK | Cap.SESSIONS | Cap.COUNTERS | Cap.TIME_LIMIT | Cap.UPTIME_CUMULATIVE
        | Cap.BYTES_TOTAL | Cap.BYTES_SPLIT | Cap.RATE | Cap.LIVE_UPDATE | Cap.BULK | Cap.OWNED_LIST | Cap.HEALTH
        | Cap.IPV6 | Cap.LOCATE | Cap.DEVICES
    )  # fmt: skip

    def __init__(self, connection: Connection, clock: Clock | None = None) -> None:
        super().__init__(connection)
        self._clock = clock
        self._options = Options.model_validate(connection.options)

    async def probe(self) -> Info:
        return await self._do("probe", lambda box: Info("1", "Router in memory", skew_s=0.0))

    async def put(self, grants: Sequence[Grant]) -> list[Result]:
        return await self._do("put", lambda box: [self._put(box, grant) for grant in grants])

    def _put(self, box: Box, grant: Grant) -> Result:
        try:
            check(grant)
        except RouterRejected as error:
            return Result(grant.key, ok=False, error=error)
        return Result(grant.key, ok=True, changed=box.put(grant, self.connection.install))

    async def drop(self, keys: Sequence[str]) -> list[Result]:
        return await self._do("drop", lambda box: [Result(key, ok=True, changed=box.drop(key)) for key in keys])

    async def admit(self, grant: Grant, client: Client) -> RouterSession | Handoff:
        check(grant)
        if self._options.browser_login:
            word = await self._do("admit", lambda box: box.hand_over(grant, self.connection.install, client))
            fields = {"word": word, "back": client.site_ref.get("return_url", "")}
            return Handoff(self._options.browser_login, self._options.browser_method, fields)
        return await self._do("admit", lambda box: self._shown(box, box.admit(grant, self.connection.install, client)))

    async def kick(self, session: RouterSession | Client) -> RouterSession | None:
        client = session if isinstance(session, Client) else session.client
        key = None if isinstance(session, Client) else session.key
        return await self._do("kick", lambda box: self._kick(box, device_of(client), key))

    def _kick(self, box: Box, device: str, key: str | None) -> RouterSession | None:
        found = [online for online in box.of(device) if key is None or online.grant.key == key]
        if not found:
            return box.farewells.get((device, key or ""))
        last = self._told(box, box.remove(found[0].number))
        box.farewells[device, found[0].grant.key] = last
        return last

    async def sessions(self) -> list[RouterSession]:
        return await self._do("sessions", lambda box: [self._told(box, online) for online in box.sessions.values()])

    async def owned(self) -> list[Owned]:
        return await self._do("owned", self._owned)

    def _owned(self, box: Box) -> list[Owned]:
        mine = self.connection.install
        for card in box.cards.values():
            card.meter.told = (card.meter.up, card.meter.down)
        cards = [
            Owned(c.grant.key, c.grant.rev, key, True, c.grant.limits, c.meter.up, c.meter.down, int(c.used_s))
            for key, c in box.cards.items()
            if c.owner == mine
        ]
        admitted = [
            Owned(o.grant.key, o.grant.rev, str(o.number), not o.ended, o.grant.limits, o.meter.up, o.meter.down)
            for o in box.sessions.values()
            if o.owner == mine and o.card is None
        ]
        return cards + admitted

    async def health(self) -> Health:
        return await self._do("health", self._health)

    def _health(self, box: Box) -> Health:
        count = sum(not online.ended for online in box.sessions.values())
        uptime = int(box.clock.monotonic() - box.booted_at)
        return Health(uptime, min(95.0, 3.0 + count * 0.2), min(90.0, 22.0 + count * 0.05), count, box.boot)

    async def locate(self, *, ip: str | None = None, mac: str | None = None) -> Client | None:
        """Believes whoever asks: on one machine there is no network to look into."""
        return await self._do("locate", lambda box: Client(mac or box.seen.get(ip or ""), ip))

    async def set_devices(self, trusted: Sequence[str], blocked: Sequence[str]) -> None:
        await self._do("set_devices", lambda box: box.set_devices(set(trusted), set(blocked)))

    def _told(self, box: Box, online: Online) -> RouterSession:
        """The session with counters that the manager books: what it allows later counts on from here."""
        online.meter.told = (online.meter.up, online.meter.down)
        if online.card is not None:
            online.card.meter.told = (online.card.meter.up, online.card.meter.down)
        return self._shown(box, online)

    def _shown(self, box: Box, online: Online) -> RouterSession:
        """The session as the manager sees it."""
        until = online.ended_at if online.ended else box.clock.monotonic()
        return RouterSession(
            id=str(online.number),
            key=online.grant.key if online.owner == self.connection.install else None,
            login=online.grant.login or None,
            client=online.client,
            started=online.started,
            uptime_s=int(until - online.started_at),
            up=online.meter.up,
            down=online.meter.down,
            epoch=box.boot,
            raw={"ended": online.ended} if online.ended else {},
        )

    async def _do(self, verb: str, work: Callable[[Box], T]) -> T:
        """Do one thing on the box, unless it is to fail."""
        box = self._box()
        fail = self._failure(box, verb)
        box.calls.append(verb)
        delay_s = self._options.delay_s
        if delay_s is None:
            delay_s = SLOW_S if fail == "slow" else 0.0
        if delay_s:
            await asyncio.sleep(delay_s)
        if fail == "unreachable":
            raise RouterUnreachable(f"router {box.router_id} does not answer")
        if fail == "refused":
            raise RouterRejected(f"router {box.router_id} refuses {verb}")
        with box.lock:
            box.look(self._options.traffic)
            answer = work(box)
        if fail == "lost_answer":
            raise RouterUnreachable(f"router {box.router_id} never answered", outcome_known=False)
        return answer

    def _box(self) -> Box:
        return box(self.connection.router_id, self._clock)

    def _failure(self, box: Box, verb: str) -> str:
        if fail := box.strikes(verb):
            return fail
        named = not self._options.fail_verbs or verb in self._options.fail_verbs
        return self._options.fail if named else ""


def check(grant: Grant) -> None:
    """Refuse a right that is empty: on real routers a zero means no limit at all."""
    limits = grant.limits
    counts = (limits.uptime_s, limits.bytes_total, limits.bytes_up, limits.bytes_down)
    rates = (limits.rate_up_kbps, limits.rate_down_kbps)
    if any(value is not None and value <= 0 for value in counts + rates):
        raise RouterRejected(f"{grant.key} has nothing left", Reason.BAD_VALUE)


def device_of(client: Client) -> str:
    """What we know a device by: its MAC, or its address where there is none."""
    device = client.mac or client.ip
    if not device:
        raise RouterRejected("a device needs a MAC or an address", Reason.UNKNOWN_CLIENT)
    return device


def demo_bytes(session: Online, elapsed_s: float) -> tuple[int, int]:
    """What a phone would have moved in this time: steady for one phone, different for another."""
    taste = zlib.crc32(device_of(session.client).encode()) % 80 + 10
    rate = session.grant.limits.rate_down_kbps or DEMO_KBPS
    down = int(rate * 125 * elapsed_s * taste / 100)
    return down // 9, down
