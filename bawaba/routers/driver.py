"""What Bawaba asks of any gateway, whoever made it.

A driver is one file (or one small folder) in `drivers/` with a class `Driver(RouterDriver)`. It speaks the nouns below,
knows no table and no other driver, may be asked the same thing twice with no harm, ends by its deadline, and raises
only the five `GatewayError`s. Units: bytes, seconds, kbit/s; `up` is guest to internet, always. MACs are lower-case
with colons.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from bawaba.routers.options import Needs, RouterOptions


class Cap(enum.Flag):
    """What a gateway can do; a verb whose flag is missing raises `Unsupported` without any I/O."""

    NONE = 0
    PRELOAD = enum.auto()  # `put`: holds cards itself, so guests are served while we are away
    ADMIT = enum.auto()
    KICK = enum.auto()
    SESSIONS = enum.auto()
    COUNTERS = enum.auto()
    TIME_LIMIT = enum.auto()
    UPTIME_CUMULATIVE = enum.auto()
    BYTES_TOTAL = enum.auto()
    BYTES_SPLIT = enum.auto()
    RATE = enum.auto()
    LIVE_UPDATE = enum.auto()
    BULK = enum.auto()
    OWNED_LIST = enum.auto()
    EVENTS = enum.auto()
    HEALTH = enum.auto()
    BROWSER_LOGIN = enum.auto()
    IPV6 = enum.auto()
    LOCATE = enum.auto()  # `locate`: says which MAC has an address now
    STRANGERS = enum.auto()  # `strangers`: lists rights of access that are not ours
    DEVICES = enum.auto()  # `set_devices`: trusted and blocked devices


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still allowed. `None` is no limit; 0 or less is never sent (an empty right is not admitted)."""

    until: datetime | None = None  # absolute end, UTC; the driver turns it into its own unit, rounding down
    uptime_s: int | None = None  # seconds online still allowed
    bytes_total: int | None = None
    bytes_up: int | None = None
    bytes_down: int | None = None
    rate_up_kbps: int | None = None
    rate_down_kbps: int | None = None
    devices: int = 1


@dataclass(frozen=True, slots=True)
class Grant:
    """One right of access. For `admit` the key is the session's, for `put` it is the card's."""

    key: str  # stable; goes into the ownership tag
    rev: int  # raised on every change of limits, so that reconciling compares cheaply
    login: str = ""
    secret: str = field(default="", repr=False)
    limits: Limits = field(default_factory=Limits)
    plan: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """A guest's device as the gateway sees it.

    `site_ref` is what the gateway's redirect carried beside that, by the gateway's own words, and `return_url`, where
    the guest's browser should come back to. Both came through the guest's hands: check them before relying on them.
    """

    mac: str | None = None
    ip: str | None = None
    ip6: tuple[str, ...] = ()
    site_ref: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RouterSession:
    """One device online at the gateway, with its counters since `epoch` began."""

    id: str
    key: str | None  # our grant's key, None for a stranger
    login: str | None
    client: Client
    started: datetime | None
    uptime_s: int
    up: int
    down: int
    epoch: int = 0  # which life of the counters this is: a larger number is a later life, and they began from zero
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Owned:
    """Something of ours that lies on the gateway."""

    key: str
    rev: int
    native_id: str
    enabled: bool = True
    limits: Limits | None = None
    up: int = 0
    down: int = 0
    uptime_s: int = 0  # seconds online by it so far, where the gateway counts them


@dataclass(frozen=True, slots=True)
class Stranger:
    """A right of access that lies on the gateway and is not ours: another program's, or one made by hand."""

    login: str
    group: str  # what the gateway files it under: a profile
    limits: Limits  # of its whole life
    used: bool
    enabled: bool = True
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Handoff:
    """The guest's own browser has to send this form to the gateway to get in; `sessions` shows whether it has.

    The promise stays open meanwhile. `fields` are shown to this guest alone, and never logged.
    """

    action_url: str
    method: str  # GET or POST
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Awaited:
    """The gateway comes for this by itself: the promise stays open until it has said that it is done."""


@dataclass(frozen=True, slots=True)
class Info:
    """What `probe` learned."""

    version: str
    board: str
    skew_s: float | None = None  # the gateway's clock minus ours
    missing_rights: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """How the gateway is. `None` where it does not say."""

    uptime_s: int | None = None
    cpu_percent: float | None = None
    memory_percent: float | None = None
    sessions: int | None = None
    boot: int = 0  # grows with every start of the gateway; equal means that it ran on
    sessions_most: int | None = None  # the gateway's own ceiling, by its licence


@dataclass(frozen=True, slots=True)
class Notice:
    """Something changed at the gateway. `session` is whose, where that is known; `gone` when it is over."""

    session: RouterSession | None = None
    gone: bool = False


class Note(str):
    """A sentence about a gateway for its owner: English as it is, and as template and values for other languages. A
    driver names its templates in `notes`."""

    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, **values: Any) -> Note:
        note = super().__new__(cls, template % values if values else template)
        note.template, note.values = template, values
        return note


class GatewayError(Exception):
    """Something went wrong between us and a gateway. `outcome_known` is False when a write may have happened."""

    code: ClassVar[str] = "gateway_error"
    retryable: bool = False

    def __init__(self, message: str, *, outcome_known: bool = True) -> None:
        super().__init__(message)
        self.outcome_known = outcome_known


class RouterUnreachable(GatewayError):
    """No answer: refused, reset, timed out."""

    code = "unreachable"
    retryable = True


class RouterAuthFailed(GatewayError):
    """Credentials, certificate pin or rights are wrong; a person must act."""

    code = "auth_failed"


class UnknownCertificate(RouterAuthFailed):
    """The gateway showed a certificate that its owner has not said is its own. `certificate` is its fingerprint
    (SHA-256, AA:BB:…), which the option `certificate` would take; `changed`: another one was known."""

    def __init__(self, message: str, certificate: str, *, changed: bool) -> None:
        super().__init__(message)
        self.certificate = certificate
        self.changed = changed


class Reason(enum.StrEnum):
    """Why a gateway refused what it understood."""

    DUPLICATE = "duplicate"
    NOT_FOUND = "not_found"
    UNKNOWN_CLIENT = "unknown_client"
    WRONG_MAC = "wrong_mac"
    LIMIT_REACHED = "limit_reached"
    SESSIONS_FULL = "sessions_full"
    BAD_VALUE = "bad_value"
    BUSY = "busy"
    OTHER = "other"


PASSING = frozenset({Reason.UNKNOWN_CLIENT, Reason.BUSY, Reason.SESSIONS_FULL})  # it may be otherwise in a while


class RouterRejected(GatewayError):
    """Understood, and refused. Tried again where the reason may pass by itself."""

    code = "rejected"

    def __init__(self, message: str, reason: Reason = Reason.OTHER) -> None:
        super().__init__(message)
        self.reason = reason
        self.retryable = reason in PASSING


class RouterProtocolError(GatewayError):
    """The answer makes no sense; tried once more on a new connection."""

    code = "protocol"
    retryable = True


class Unsupported(GatewayError):
    """This gateway, or this version of it, cannot."""

    code = "unsupported"


@dataclass(frozen=True, slots=True)
class Result:
    """The fate of one grant in `put` or `drop`."""

    key: str
    ok: bool
    changed: bool = False
    error: GatewayError | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """All that a driver is told about its router. `port` is None where the owner named none."""

    router_id: int
    address: str
    port: int | None
    username: str | None
    password: str | None = field(repr=False)
    options: Mapping[str, Any] = field(repr=False)  # those of the driver's `Options` that are set, secrets opened
    install: str  # eight characters that name this installation in ownership tags
    connect_s: float = field(default=3.0, compare=False)  # how long connecting may take, by the link as it was measured
    boot: int = field(default=0, compare=False)  # what `Health.boot` was at the last look, before a restart of ours too


class RouterDriver:
    """The base of every driver: refuses what the capability flags do not promise."""

    vendor: ClassVar[str] = ""
    caps: ClassVar[Cap] = Cap.NONE
    needs: ClassVar[Needs] = Needs()
    Options: ClassVar[type[RouterOptions]] = RouterOptions
    at_once: ClassVar[int] = 8  # calls that may be under way on the connection together; 1 where it takes one at a time
    notes: ClassVar[tuple[str, ...]] = ()  # the templates of its `Note`s

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def probe(self) -> Info:
        """Say what this gateway is; raises `RouterAuthFailed` where we may not work on it."""
        raise Unsupported(f"{self.vendor} cannot be probed")

    async def put(self, grants: Sequence[Grant]) -> list[Result]:
        """Write cards on the gateway, new or changed; one result a grant, in order."""
        raise Unsupported(f"{self.vendor} cannot hold cards")

    async def drop(self, keys: Sequence[str]) -> list[Result]:
        """Take rights away and end their sessions; one that is not there is fine."""
        raise Unsupported(f"{self.vendor} cannot drop cards")

    async def admit(self, grant: Grant, client: Client) -> RouterSession | Handoff | Awaited:
        """Let a device in now, or say which form its browser must post, or that the gateway fetches the right itself.
        Asked twice: the new limits hold."""
        raise Unsupported(f"{self.vendor} cannot admit a device")

    async def kick(self, session: RouterSession | Client) -> RouterSession | None:
        """End a device's session and return it with its last exact counters, or None where nobody was there."""
        raise Unsupported(f"{self.vendor} cannot end a session")

    async def sessions(self) -> list[RouterSession]:
        """Everybody who is online, with counters."""
        raise Unsupported(f"{self.vendor} cannot list sessions")

    async def owned(self) -> list[Owned]:
        """Everything of ours that lies on the gateway."""
        raise Unsupported(f"{self.vendor} cannot list what is ours")

    async def strangers(self) -> list[Stranger]:
        """Every right of access that lies on the gateway and is not ours. They are never touched."""
        raise Unsupported(f"{self.vendor} cannot list what is not ours")

    async def health(self) -> Health:
        """How the gateway is."""
        raise Unsupported(f"{self.vendor} does not say how it is")

    async def locate(self, *, ip: str | None = None, mac: str | None = None) -> Client | None:
        """Who has this address, as the gateway itself sees it; None where it has not seen it."""
        raise Unsupported(f"{self.vendor} cannot tell who has an address")

    async def set_devices(self, trusted: Sequence[str], blocked: Sequence[str]) -> None:
        """Make these MACs the trusted (online without a card) and the blocked ones; the whole list each time."""
        raise Unsupported(f"{self.vendor} cannot keep device lists")

    def events(self) -> AsyncIterator[Notice]:
        """A notice whenever something changes, until the caller stops or the connection ends (a `GatewayError`)."""
        raise Unsupported(f"{self.vendor} does not tell what happens")

    async def close(self) -> None:
        """Let go of the connection."""
