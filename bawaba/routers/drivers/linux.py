"""A Linux box as the gateway: nftables and HTB, through the root agent's Unix socket (`bawaba gateway-agent`).

The router's address is the path of that socket. A session's mark in the kernel is the number in its key.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import Field

from bawaba.core.clock import Clock, SystemClock
from bawaba.gateway import wire
from bawaba.gateway.settings import DEFAULT_SOCKET
from bawaba.routers.driver import (
    Cap,
    Client,
    Connection,
    GatewayError,
    Grant,
    Health,
    Info,
    Limits,
    Owned,
    Reason,
    Result,
    RouterAuthFailed,
    RouterDriver,
    RouterProtocolError,
    RouterRejected,
    RouterSession,
    RouterUnreachable,
)
from bawaba.routers.options import LAN4_HELP, Needs, Networks4, RouterOptions

CALL_S = 5.0
LIST_S = 20.0
BULK_S = 55.0
_NUMBER_AT_END = re.compile(r"\d+$")


class Options(RouterOptions):
    """A guest is known by the network alone: the portal runs on the gateway itself, and there is no redirect."""

    lan4: Networks4 = Field(title="Guests' IPv4 networks", description=LAN4_HELP, min_length=1)


class Driver(RouterDriver):
    """Speaks to the agent on this machine."""

    vendor = "linux"
    Options = Options
    needs = Needs(address_hint=str(DEFAULT_SOCKET), address_help="The socket of its gateway agent.")
    caps = (
        Cap.ADMIT | Cap.KICK | Cap.SESSIONS | Cap.COUNTERS | Cap.TIME_LIMIT | Cap.BYTES_TOTAL | Cap.BYTES_SPLIT
        | Cap.RATE | Cap.LIVE_UPDATE | Cap.BULK | Cap.OWNED_LIST | Cap.HEALTH | Cap.IPV6 | Cap.LOCATE | Cap.DEVICES
    )  # fmt: skip

    def __init__(self, connection: Connection, clock: Clock | None = None) -> None:
        super().__init__(connection)
        self._clock = clock or SystemClock()
        self._socket = AgentSocket(connection.address or str(DEFAULT_SOCKET), connection.connect_s)

    async def probe(self) -> Info:
        health = await self._socket.ask("health", CALL_S)
        with _understood():
            abilities: Mapping[str, Any] = health["abilities"]
            board = f"Linux {abilities['kernel']}, {abilities['nft']}"
            return Info(str(health["agent"]), board, skew_s=0.0, notes=tuple(health["problems"]))

    async def drop(self, keys: Sequence[str]) -> list[Result]:
        marks = [mark_of(key) for key in keys]
        answers = iter(await self._apply([wire.Remove(mark=mark) for mark in marks if mark is not None], BULK_S))
        return [_dropped(key, None if mark is None else next(answers)) for key, mark in zip(keys, marks, strict=True)]

    async def admit(self, grant: Grant, client: Client) -> RouterSession:
        answer = _checked((await self._apply([self._admission(grant, client)], CALL_S))[0])
        with _understood():
            return self._session(answer["session"], client)

    async def kick(self, session: RouterSession | Client) -> RouterSession | None:
        client = session if isinstance(session, Client) else session.client
        mark = None if isinstance(session, Client) or session.key is None else mark_of(session.key)
        if mark is None and client.mac is None:
            raise RouterRejected("a device is named by its MAC or its session", Reason.UNKNOWN_CLIENT)
        removal = wire.Remove(mark=mark) if mark is not None else wire.Remove(mac=_mac(client))
        answer = _checked((await self._apply([removal], CALL_S))[0])
        with _understood():
            return self._session(answer["session"], client) if answer["session"] else None

    async def sessions(self) -> list[RouterSession]:
        dump = await self._socket.ask("dump", LIST_S)
        with _understood():
            return [self._session(session) for session in dump["sessions"]]

    async def owned(self) -> list[Owned]:
        dump = await self._socket.ask("dump", LIST_S, addresses=False, tell=False)
        mine = self.connection.install
        with _understood():
            return [self._owned(session) for session in dump["sessions"] if session["owner"] == mine]

    async def health(self) -> Health:
        health = await self._socket.ask("health", CALL_S)
        with _understood():
            return Health(
                uptime_s=health["uptime_s"],
                cpu_percent=health["cpu_percent"],
                memory_percent=health["memory_percent"],
                sessions=health["sessions"],
                boot=health["boot"],
            )

    async def locate(self, *, ip: str | None = None, mac: str | None = None) -> Client | None:
        wanted = {"ip": ip} if ip is not None else {"mac": mac}
        answer = await self._socket.ask("dump", CALL_S, locate=wanted)
        with _understood():
            found = answer["client"]
            return Client(found["mac"], found["ip4"], tuple(found["ip6"])) if found else None

    async def set_devices(self, trusted: Sequence[str], blocked: Sequence[str]) -> None:
        _checked((await self._apply([wire.Devices(tuple(trusted), tuple(blocked))], CALL_S))[0])

    async def sync(self, wanted: Sequence[tuple[Grant, Client]]) -> list[RouterSession]:
        """Make our sessions exactly these; those that had to go are returned with their last counters."""
        sessions = tuple(self._admission(grant, client) for grant, client in wanted)
        answer = _checked((await self._apply([wire.Sync(self.connection.install, sessions)], BULK_S))[0])
        with _understood():
            for failure in answer["failed"]:
                _checked(failure)
            return [self._session(session) for session in answer["removed"]]

    async def close(self) -> None:
        await self._socket.close()

    async def _apply(self, operations: Sequence[wire.Operation], deadline_s: float) -> list[dict[str, Any]]:
        if not operations:
            return []
        messages = [wire.message(operation) for operation in operations]
        results = (await self._socket.ask("apply", deadline_s, ops=messages)).get("results")
        if not isinstance(results, list) or len(results) != len(operations):
            raise RouterProtocolError("the agent answered another number of operations", outcome_known=False)
        if not all(isinstance(result, dict) for result in results):
            raise RouterProtocolError("the agent answered in no known form", outcome_known=False)
        return results

    def _admission(self, grant: Grant, client: Client) -> wire.Admit:
        limits, mark = grant.limits, mark_of(grant.key)
        if mark is None:
            raise RouterRejected(f"{grant.key} has no number to mark packets with", Reason.BAD_VALUE)
        return wire.Admit(
            mark=mark,
            mac=_mac(client),
            key=grant.key,
            owner=self.connection.install,
            rev=grant.rev,
            seconds=self._seconds(limits),
            bytes_total=limits.bytes_total,
            bytes_up=limits.bytes_up,
            bytes_down=limits.bytes_down,
            rate_up_kbps=limits.rate_up_kbps,
            rate_down_kbps=limits.rate_down_kbps,
        )

    def _seconds(self, limits: Limits) -> float | None:
        ends: list[float] = []
        if limits.until is not None:
            ends.append((limits.until - self._clock.now()).total_seconds())
        if limits.uptime_s is not None:
            ends.append(limits.uptime_s)
        if ends and min(ends) <= 0:
            raise RouterRejected("no time is left", Reason.BAD_VALUE)
        return max(0.001, min(ends)) if ends else None

    def _session(self, told: Mapping[str, Any], client: Client | None = None) -> RouterSession:
        ip = told["ip4"] or (client.ip if client is not None else None)
        return RouterSession(
            id=str(told["mark"]),
            key=told["key"] if told["owner"] == self.connection.install else None,
            login=None,
            client=Client(told["mac"], ip, tuple(told["ip6"])),
            started=self._clock.now() - timedelta(seconds=told["seconds"]),
            uptime_s=int(told["seconds"]),
            up=told["up"],
            down=told["down"],
            epoch=told["epoch"],
            raw={"ended": told["ended"]} if told["ended"] else {},
        )

    def _owned(self, told: Mapping[str, Any]) -> Owned:
        left: Mapping[str, int] = told["left"]
        limits = Limits(
            uptime_s=None if told["seconds_left"] is None else int(told["seconds_left"]),
            bytes_total=left.get("cap"),
            bytes_up=left.get("cap_up"),
            bytes_down=left.get("cap_down"),
            rate_up_kbps=told["rate_up_kbps"],
            rate_down_kbps=told["rate_down_kbps"],
        )
        return Owned(told["key"], told["rev"], str(told["mark"]), not told["ended"], limits, told["up"], told["down"])


@dataclass
class Talk:
    """An open connection and those who wait for an answer on it."""

    writer: asyncio.StreamWriter
    waiting: dict[int, asyncio.Future[dict[str, Any]]]
    listener: asyncio.Task[None] | None = None


class AgentSocket:
    """One connection to the agent, many questions on it at once. A connection on which one was late is let go."""

    def __init__(self, path: str, connect_s: float) -> None:
        self._path = path
        self._connect_s = connect_s
        self._numbers = itertools.count(1)
        self._talk: Talk | None = None
        self._opening = asyncio.Lock()

    async def ask(self, verb: str, deadline_s: float, **words: Any) -> dict[str, Any]:
        """Ask, and return the answer. Raises only `GatewayError`s."""
        talk = await self._open()
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        talk.waiting[number] = answer
        try:
            async with asyncio.timeout(deadline_s):
                talk.writer.write(wire.encode({"id": number, "verb": verb, **words}))
                await talk.writer.drain()
                return _checked(await answer)
        except TimeoutError as error:
            self._end(talk, RouterUnreachable("the connection was given up", outcome_known=False))
            raise RouterUnreachable(f"no answer to {verb} in {deadline_s:g} s", outcome_known=False) from error
        except OSError as error:
            self._end(talk, RouterUnreachable("the connection broke", outcome_known=False))
            raise RouterUnreachable(f"the agent went away: {error}", outcome_known=False) from error
        finally:
            talk.waiting.pop(number, None)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._talk is not None:
            self._end(self._talk, RouterUnreachable("the connection was closed", outcome_known=False))

    async def _open(self) -> Talk:
        async with self._opening:
            if self._talk is not None:
                return self._talk
            try:
                async with asyncio.timeout(self._connect_s):
                    reader, writer = await asyncio.open_unix_connection(self._path, limit=wire.MAX_ANSWER_BYTES)
            except PermissionError as error:
                raise RouterAuthFailed(f"we may not use {self._path}: {error.strerror}") from error
            except (OSError, TimeoutError) as error:
                raise RouterUnreachable(f"no agent at {self._path}: {error!r}") from error
            self._talk = Talk(writer, {})
            self._talk.listener = asyncio.create_task(self._listen(reader, self._talk))
            return self._talk

    async def _listen(self, reader: asyncio.StreamReader, talk: Talk) -> None:
        """Hand out the answers as they come, until the connection ends."""
        reason: GatewayError = RouterUnreachable("the agent closed the connection", outcome_known=False)
        try:
            while line := await reader.readline():
                message = wire.decode(line)
                number = message.pop("id")
                answer = talk.waiting.get(number) if isinstance(number, int) else None
                if answer is not None and not answer.done():
                    answer.set_result(message)
        except (ValueError, KeyError) as error:
            reason = RouterProtocolError(f"the agent's answer makes no sense: {error}", outcome_known=False)
        except OSError as error:
            reason = RouterUnreachable(f"the agent went away: {error}", outcome_known=False)
        finally:
            self._end(talk, reason)

    def _end(self, talk: Talk, reason: GatewayError) -> None:
        if self._talk is talk:
            self._talk = None
        talk.writer.close()
        if talk.listener is not None and talk.listener is not asyncio.current_task():
            talk.listener.cancel()
        for answer in talk.waiting.values():
            if not answer.done():
                answer.set_exception(reason)


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """While an answer is read: one that lacks a part, as from an agent of another version, makes no sense."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RouterProtocolError(f"the agent's answer makes no sense: {error!r}", outcome_known=False) from error


def mark_of(key: str) -> int | None:
    """The mark of a session's packets, from the number that its key ends with; never 0, which means nobody."""
    number = _NUMBER_AT_END.search(key)
    return (int(number[0]) & 0xFFFFFFFF) % wire.FIRST_TRUSTED_MARK or None if number else None


def _mac(client: Client) -> str:
    if client.mac is None:
        raise RouterRejected("this gateway knows devices by their MAC", Reason.UNKNOWN_CLIENT)
    return client.mac


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, unless it is a refusal."""
    if answer.get("ok"):
        return answer
    words = str(answer.get("reason", ""))
    reason = Reason(words) if words in set(Reason) else Reason.OTHER
    raise RouterRejected(str(answer.get("message", "refused")), reason)


def _dropped(key: str, answer: dict[str, Any] | None) -> Result:
    if answer is None:
        return Result(key, ok=True)
    try:
        with _understood():
            return Result(key, ok=True, changed=_checked(answer)["session"] is not None)
    except (RouterRejected, RouterProtocolError) as error:
        return Result(key, ok=False, error=error)
