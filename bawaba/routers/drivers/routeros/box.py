"""What the verbs share: the router's API, whose work this is, and what was learned on the way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bawaba.core.clock import Clock
from bawaba.routers.driver import Client, GatewayError, Limits, Reason, RouterProtocolError, RouterRejected
from bawaba.routers.drivers.routeros import words
from bawaba.routers.drivers.routeros.client import LIST_S, Api, Reply, Row, command, reading
from bawaba.routers.drivers.routeros.counting import Counting
from bawaba.routers.drivers.routeros.options import Options
from bawaba.routers.drivers.routeros.refusals import is_rejected

USER, PROFILE = "/ip/hotspot/user", "/ip/hotspot/user/profile"
ACTIVE, HOST, COOKIE = "/ip/hotspot/active", "/ip/hotspot/host", "/ip/hotspot/cookie"
BINDING = "/ip/hotspot/ip-binding"
USER_NAMES = (
    ".id,name,comment,disabled,profile,mac-address,uptime,bytes-in,bytes-out,"
    "limit-uptime,limit-bytes-total,limit-bytes-in,limit-bytes-out"
)
ACTIVE_NAMES = ".id,user,address,mac-address,uptime,session-time-left,bytes-in,bytes-out,server"
IDS_AT_ONCE = 50


@dataclass
class Box:
    """One router, as one driver sees it."""

    api: Api
    install: str
    options: Options
    clock: Clock
    counting: Counting = field(default_factory=Counting)
    profiles: set[str] = field(default_factory=set)  # those that this connection has seen to be right
    strangers: set[str] = field(default_factory=set)  # names of users that are not ours
    card_keys: dict[str, words.Tag] = field(default_factory=dict)  # our cards' tags by the users' names
    sessions_most: int | None = None  # by the licence, as `health` saw it on this connection
    licence_seen: bool = False
    told: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # epoch, up and down last told, by key
    quiet: asyncio.Event = field(default_factory=asyncio.Event)  # no guest waits, so that bulk work may go on
    _guests: int = 0

    def __post_init__(self) -> None:
        self.quiet.set()

    def connected(self) -> None:
        """On a new connection nothing that was seen before need still be so."""
        self.licence_seen = False
        self.counting.begin()
        self.profiles.clear()
        self.strangers.clear()
        self.card_keys.clear()

    @contextlib.contextmanager
    def for_a_guest(self) -> Iterator[None]:
        """Meanwhile bulk work waits."""
        self._guests += 1
        self.quiet.clear()
        try:
            yield
        finally:
            self._guests -= 1
            if self._guests == 0:
                self.quiet.set()

    def now_ms(self) -> int:
        """Our clock, in milliseconds."""
        return int(self.clock.now().timestamp() * 1000)

    def tag_of(self, row: Row) -> words.Tag | None:
        """Our tag on a row; None where it is not ours."""
        tag = words.tag_of(row.get("comment", ""))
        return tag if tag is not None and tag.install == self.install else None

    def is_session(self, row: Row, tag: words.Tag) -> bool:
        """Whether a user row is there for a session, and not a card."""
        return row.get("name") == words.session_user(self.install, tag.key)

    async def read_user(self, *queries: str) -> list[Row]:
        """User rows that fit."""
        (rows,) = await self.api.read(reading(USER, USER_NAMES, *queries), deadline_s=LIST_S)
        return rows

    async def need_profiles(self, limits: Iterable[Limits]) -> None:
        """See that the plans' profiles are there, as they should be."""
        wanted = {words.profile_name(one): words.profile_of(one) for one in limits}
        missing = [name for name in wanted if name not in self.profiles]
        if not missing:
            return
        names = ".id,name,rate-limit,shared-users,add-mac-cookie"
        found = await self.api.read(*(reading(PROFILE, names, f"?name={name}") for name in missing))
        writes = [write for name, rows in zip(missing, found, strict=True) for write in _mended(wanted[name], rows)]
        for answer in await self.api.ask_all(writes):
            if isinstance(answer, GatewayError) and not is_rejected(answer, Reason.DUPLICATE):
                raise answer
        self.profiles.update(missing)

    async def remove(self, path: str, ids: Sequence[str]) -> None:
        """Remove rows. One that has gone already is fine."""
        await self._on_each(f"{path}/remove", ids, {})

    async def disable(self, path: str, ids: Sequence[str]) -> None:
        """Disable rows, those that are still there."""
        await self._on_each(f"{path}/set", ids, {"disabled": "yes"})

    async def _on_each(self, path: str, ids: Sequence[str], arguments: Mapping[str, str]) -> None:
        """One command for many rows; one for each where the router says that some are gone."""
        lists = [",".join(ids[start : start + IDS_AT_ONCE]) for start in range(0, len(ids), IDS_AT_ONCE)]
        answers = await self.api.ask_all([command(path, {".id": some, **arguments}) for some in lists])
        gone = [
            some
            for some, answer in zip(lists, answers, strict=True)
            if is_rejected(answer_error(answer), Reason.NOT_FOUND)
        ]
        alone = [one for some in gone if "," in some for one in some.split(",")]
        answers += await self.api.ask_all([command(path, {".id": one, **arguments}) for one in alone])
        for error in map(answer_error, answers):
            if error is not None and not is_rejected(error, Reason.NOT_FOUND):
                raise error


def answer_error(answer: Reply | GatewayError) -> GatewayError | None:
    """The error that an answer is, if it is one."""
    return answer if isinstance(answer, GatewayError) else None


def _mended(wanted: Row, rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """What makes the profile be as wanted."""
    if not rows:
        return [command(f"{PROFILE}/add", wanted)]
    there = rows[0]
    same_rate = words.bits(there.get("rate-limit", "")) == words.bits(wanted["rate-limit"])
    same_users = there.get("shared-users") == wanted["shared-users"]
    if same_rate and same_users and not words.is_true(there.get("add-mac-cookie")):
        return []
    values = {name: value for name, value in wanted.items() if name != "name"}
    words_ = command(f"{PROFILE}/set", {".id": there.get(".id", ""), **values})
    return [words_ if wanted["rate-limit"] else (*words_, "=rate-limit=")]


@contextlib.contextmanager
def understood() -> Iterator[None]:
    """While an answer is read: one that lacks a part makes no sense."""
    try:
        yield
    except (KeyError, IndexError, ValueError, OverflowError) as error:
        raise RouterProtocolError(f"the router's answer makes no sense: {error!r}", outcome_known=False) from error


def device_queries(client: Client) -> list[str]:
    """The query words for a device, by its MAC or its address. Raises `RouterRejected` where it has neither."""
    by = [f"?mac-address={client.mac.upper()}"] if client.mac else []
    by += [f"?address={client.ip}"] if client.ip else []
    if not by:
        raise RouterRejected("a device needs a MAC or an address", Reason.UNKNOWN_CLIENT)
    return by if len(by) == 1 else [*by, "?#|"]


def any_of(name: str, values: Sequence[str]) -> list[str]:
    """The query words for any of these values."""
    return [f"?{name}={value}" for value in values] + ["?#|"] * (len(values) - 1)
