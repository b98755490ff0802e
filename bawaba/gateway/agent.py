"""The root agent: a Unix socket with three verbs, `apply`, `dump` and `health`, in front of the kernel.

It keeps nothing that the kernel does not hold too: killed and started again, it goes on where it was, and while it is
away those who are online stay online until their time or data is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import grp
import logging
import os
import pwd
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from bawaba.gateway import kernel, machine, wire
from bawaba.gateway.keeper import Answer, Keeper, refusal
from bawaba.gateway.kernel import KernelError
from bawaba.gateway.settings import BadSettings, Settings
from bawaba.gateway.wire import BadValue, Operation

log = logging.getLogger(__name__)

GATHER_S = 0.003  # what arrives within this time goes to the kernel together
TEND_S = 2.0
CALLERS_WAITING = 1024  # connections that the kernel keeps for us until we get to them
AT_ONCE = 64  # requests of one connection that are worked on; more wait in the socket
VERSION = 1

Work = tuple[Sequence[Operation | BadValue], "asyncio.Future[list[Answer]]"]


class Agent:
    """Serves the socket."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keeper = Keeper(settings)
        self._work: asyncio.Queue[Work] = asyncio.Queue()
        self._load = machine.Load()
        self._serving: set[asyncio.Task[None]] = set()  # connections, and answers to what came on them
        self._verbs: dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]] = {
            "apply": self._apply,
            "dump": self._dump,
            "health": self._health,
        }

    async def serve(self, stopped: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Take over the table and answer until told to stop; the table stays."""
        listener = open_socket(self.settings)
        try:
            await self.keeper.start()
            server = await asyncio.start_unix_server(
                self._connection, sock=listener, limit=wire.MAX_REQUEST_BYTES, backlog=CALLERS_WAITING
            )
            tasks = [asyncio.create_task(self._worker()), asyncio.create_task(self._tend())]
            log.info("serving %s", self.settings.socket)
            ready()
            await _first_of(stopped, tasks)
            server.close()
            tasks += self._serving
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            listener.close()
            self.settings.socket.unlink(missing_ok=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one caller until it has gone and everything is answered, or until the agent stops."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        answering: set[asyncio.Task[None]] = set()
        try:
            await self._take_requests(reader, writer, answering)
            if answering:
                await asyncio.wait(answering)
        except asyncio.CancelledError:
            log.debug("stopped while a caller was connected")
        finally:
            self._serving.discard(task)
            writer.close()

    async def _take_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answering: set[asyncio.Task[None]]
    ) -> None:
        room = asyncio.Semaphore(AT_ONCE)
        try:
            while line := await _line(reader):
                await room.acquire()
                answer = asyncio.create_task(self._respond(line, writer))
                for those in (answering, self._serving):
                    those.add(answer)
                    answer.add_done_callback(those.discard)
                answer.add_done_callback(lambda _: room.release())
        except (BadValue, ConnectionError) as error:
            with contextlib.suppress(ConnectionError):
                await _send(writer, {"id": None, **refusal("bad_value", str(error))})

    async def _respond(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        number: object = None
        try:
            request = wire.decode(line)
            number = request.pop("id", None)
            verb = self._verbs.get(str(request.pop("verb", "")))
            if verb is None:
                raise BadValue(f"verb is one of {', '.join(self._verbs)}")
            answer = await verb(request)
        except BadValue as error:
            answer = refusal("bad_value", str(error))
        except KernelError as error:
            log.error("the kernel did not answer: %s", error)
            answer = refusal("other", str(error))
        with contextlib.suppress(ConnectionError):
            await _send(writer, {"id": number if isinstance(number, int) else None, "ok": True, **answer})

    async def _apply(self, request: dict[str, Any]) -> Answer:
        operations = request.get("ops")
        if not isinstance(operations, list) or len(operations) > wire.MAX_OPERATIONS:
            raise BadValue(f"ops is a list of at most {wire.MAX_OPERATIONS} operations")
        done: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._work.put_nowait(([_read(item) for item in operations], done))
        return {"results": await done}

    async def _dump(self, request: dict[str, Any]) -> Answer:
        wanted = request.get("locate")
        if wanted is not None:
            if not isinstance(wanted, dict):
                raise BadValue("locate is an object")
            return {"client": await self._locate(wanted)}
        wishes = {name: request.get(name, True) is True for name in ("addresses", "tell")}
        sessions = await self.keeper.dump(wishes["addresses"], wishes["tell"])
        book = self.keeper.book
        devices = {"trusted": list(book.trusted), "blocked": list(book.blocked)}
        return {"boot": self.keeper.boot, "sessions": sessions, **devices, "garden": list(book.garden)}

    async def _health(self, request: dict[str, Any]) -> Answer:
        shaper = self.keeper.shaper
        return {
            "agent": VERSION,
            "boot": self.keeper.boot,
            "uptime_s": machine.uptime_s(),
            "cpu_percent": self._load.percent(),
            "memory_percent": machine.memory_percent(),
            "sessions": sum(1 for _ in self.keeper.book.online()),
            "ip_forward": machine.forwards("ipv4"),
            "ip6_forward": machine.forwards("ipv6"),
            "abilities": await machine.abilities(shaper),
            "problems": await machine.problems(self.settings, shaper),
        }

    async def _locate(self, wanted: dict[str, Any]) -> Answer | None:
        """The device that has an address, or the addresses that a device has.

        An address that several devices sent from belongs to the one that gets our answers, by the neighbour table.
        """
        if wanted.get("ip") is not None:
            ip = wire.ip_address(wanted["ip"])
            near, seen = await asyncio.gather(kernel.neighbours(self.settings.lan, ip), kernel.seen())
            macs = {mac for mac, address, _ in seen if address == ip}
            if len(macs) > 1:
                macs &= {mac for mac, _ in near}
            return _client(macs.pop(), [ip]) if len(macs) == 1 else None
        mac = wire.mac_address(wanted.get("mac"))
        found = [ip for seen, ip, _ in await kernel.seen() if seen == mac]
        found = found or [ip for near, ip in await kernel.neighbours(self.settings.lan) if near == mac]
        return _client(mac, found) if found else None

    async def _worker(self) -> None:
        """Takes what has gathered to the kernel, one batch after the other."""
        while True:
            work = [await self._work.get()]
            await asyncio.sleep(GATHER_S)
            while not self._work.empty():
                work.append(self._work.get_nowait())
            operations = [operation for some, _ in work for operation in some]
            try:
                answers = await self.keeper.apply(operations)
            except KernelError as error:
                log.error("a batch failed: %s", error)
                answers = [refusal("other", str(error))] * len(operations)
            for some, done in work:
                own, answers = answers[: len(some)], answers[len(some) :]
                if not done.done():
                    done.set_result(own)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_S)
            try:
                await self.keeper.tend()
            except KernelError as error:
                log.error("the table cannot be looked after: %s", error)


def run(settings: Settings) -> None:
    """Be the agent until SIGTERM or SIGINT."""

    async def until_stopped() -> None:
        stopped = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stopped.set)
        await Agent(settings).serve(stopped)

    asyncio.run(until_stopped())


def open_socket(settings: Settings) -> socket.socket:
    """The listening socket, for its owner and group only. Refuses while another agent answers there."""
    path = settings.socket
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    if _answers(path):
        raise BadSettings(f"an agent serves {path} already")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    os.chown(path, *_owners(settings))
    path.chmod(0o660)
    listener.listen(CALLERS_WAITING)
    listener.setblocking(False)
    return listener


def _owners(settings: Settings) -> tuple[int, int]:
    try:
        user = pwd.getpwnam(settings.owner).pw_uid if settings.owner else -1
        group = grp.getgrnam(settings.group).gr_gid if settings.group else -1
    except KeyError as error:
        raise BadSettings(f"no such user or group: {error}") from error
    return user, group


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        try:
            caller.connect(str(path))
        except OSError as error:
            return error.errno not in (errno.ENOENT, errno.ECONNREFUSED)
    return True


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next line; empty at the end."""
    try:
        return await reader.readline()
    except ValueError as error:
        raise BadValue(f"a request has at most {wire.MAX_REQUEST_BYTES} bytes") from error


async def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    writer.write(wire.encode(message))
    await writer.drain()


async def _first_of(stopped: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Wait for the order to stop; a task of ours that ends before it takes the agent with it."""
    stop = asyncio.create_task(stopped.wait())
    done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    for task in done - {stop}:
        task.result()


def _read(item: object) -> Operation | BadValue:
    try:
        return wire.operation(item)
    except BadValue as error:
        return error


def _client(mac: str, addresses: Sequence[str]) -> Answer:
    ip4 = [ip for ip in addresses if ":" not in ip]
    return {"mac": mac, "ip4": ip4[-1] if ip4 else None, "ip6": [ip for ip in addresses if ":" in ip]}
