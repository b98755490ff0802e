"""Keeps the kernel as the book says: applies operations, reads counters, and mends what others broke."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from bawaba.gateway import kernel, recovery, ruleset, table
from bawaba.gateway.epochs import Epochs
from bawaba.gateway.kernel import KernelError, Meters, TableGone
from bawaba.gateway.plan import Plan, Refused, asked_caps
from bawaba.gateway.sessions import Book, Session
from bawaba.gateway.settings import Settings
from bawaba.gateway.shaping import Shaper
from bawaba.gateway.transaction import counted, quota_name
from bawaba.gateway.wire import FIRST_TRUSTED_MARK, Admit, BadValue, Devices, Garden, Operation, Remove, Sync

log = logging.getLogger(__name__)

Answer = dict[str, Any]
Placed = list[tuple[int, Operation]]
CHUNK = 1000  # operations that go to the kernel together; a guest who waits gets in between two chunks


class Keeper:
    """The one writer of our table."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.version = ruleset.version(settings)
        self.book = Book(trusted_mark=FIRST_TRUSTED_MARK)
        self.shaper = Shaper(settings.lan, settings.wan, settings.shaping)
        self.epochs = Epochs(settings.state_dir)
        self.boot = 0
        self._lock = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._spent: dict[int, Session] = {}

    async def start(self) -> None:
        """Take over the table that is there with all who are online, or make one."""
        await self.shaper.start()
        found = await self._find() if await kernel.table_exists() else None
        if found is None:
            await self._new_table()
        else:
            await self._take_over(found)
        await self.shaper.match(self.book.online())

    async def apply(self, operations: Sequence[Operation | BadValue]) -> list[Answer]:
        """Do these in order, many in one transaction; one that is refused hinders no other."""
        answers: list[Answer] = [{} for _ in operations]
        waiting: Placed = []
        for place, operation in enumerate(operations):
            if isinstance(operation, BadValue):
                answers[place] = refusal("bad_value", str(operation))
            else:
                waiting.append((place, operation))
        while waiting:
            place, first = waiting[0]
            if isinstance(first, Sync):
                waiting = waiting[1:]
                answers[place] = await self._sync(first)
                continue
            async with self._lock:
                together, waiting = self._together(waiting)
                done = await self._round([operation for _, operation in together])
            for (place, _), answer in zip(together, done, strict=True):
                answers[place] = answer
        return answers

    async def dump(self, with_addresses: bool = True, tell: bool = True) -> list[Answer]:
        """Every session that is not settled, with its counters of now.

        Who is told them books them: what a later `admit` allows counts on from here. Without `tell` it is only a look.
        """
        async with self._reading:
            try:
                return await self._dump(with_addresses, tell)
            except TableGone:
                await self.tend()
                return await self._dump(with_addresses, tell)

    async def tend(self) -> None:
        """Look after the table: put it back when it was flushed, follow what ran out, forget what is over."""
        async with self._lock:
            if not await self._stands():
                await self._restore()
            if not await self.shaper.stands():
                await self.shaper.start()
                await self.shaper.match(self.book.online())
            await self._follow()

    def describe(self, session: Session, ended: str = "", addresses: Sequence[str] = ()) -> Answer:
        """A session as it goes over the socket, with the counters that were last read."""
        now = time.monotonic()
        return {
            "mark": session.mark,
            "mac": session.mac,
            "key": session.key,
            "owner": session.owner,
            "rev": session.rev,
            "epoch": session.epoch,
            "up": session.told[0],
            "down": session.told[1],
            "seconds": session.seconds_online(now),
            "seconds_left": session.seconds_left(now),
            "rate_up_kbps": session.rate_up_kbps or None,
            "rate_down_kbps": session.rate_down_kbps or None,
            "left": {cap: max(0, limit - counted(cap, session.told)) for cap, limit in session.caps.items()},
            "ended": ended or session.ended,
            "ip4": next((ip for ip in reversed(addresses) if ":" not in ip), None),
            "ip6": [ip for ip in addresses if ":" in ip],
        }

    # One round: operations that do not touch each other, in one transaction.

    def _together(self, waiting: Placed) -> tuple[Placed, Placed]:
        touched: set[object] = set()
        for count, (_, operation) in enumerate(waiting):
            things = self._touches(operation)
            if count == CHUNK or things & touched or isinstance(operation, Sync):
                return waiting[:count], waiting[count:]
            touched |= things
        return waiting, []

    def _touches(self, operation: Operation) -> set[object]:
        """The marks and devices that an operation changes."""
        if isinstance(operation, Garden):
            return {"garden"}
        things: set[object] = set()
        if isinstance(operation, Devices):
            things |= {"devices", *operation.blocked, *operation.trusted, *self.book.blocked}
        elif not isinstance(operation, Sync):
            things |= {thing for thing in (operation.mark, operation.mac) if thing is not None}
        for thing in list(things):
            holder = self.book.holder(thing) if isinstance(thing, str) else None
            session = self.book.sessions.get(thing) if isinstance(thing, int) else None
            things |= {holder.mark} if holder is not None else set()
            things |= {session.mac} if session is not None else set()
        return things

    async def _round(self, operations: Sequence[Operation], again: bool = True) -> list[Answer]:
        try:
            before = await kernel.meters() if any(map(self._needs_meters, operations)) else {}
        except TableGone:
            await self._restore()
            before = {}
        plan = self._plan(before)
        done = [_take(plan, operation) for operation in operations]
        await self.shaper.put(plan.shaped)
        try:
            await self._commit(plan)
        except KernelError as error:
            await self.shaper.drop(plan.taken_classes)
            if isinstance(error, TableGone) and again:
                return await self._round(operations, again=False)
            if len(operations) == 1:
                log.error("the kernel refused an operation: %s", error)
                return [refusal("other", f"the kernel refused: {error}")]
            return [answer for operation in operations for answer in await self._round([operation])]
        plan.keep()
        await self.shaper.drop(plan.freed_classes)
        return await self._answers(operations, done, before)

    async def _answers(
        self, operations: Sequence[Operation], done: Sequence[Session | Answer | None], before: Meters
    ) -> list[Answer]:
        """What to say of a round. Who was removed does not move any more, so that these readings are the last."""
        removed = {
            answer.mark
            for operation, answer in zip(operations, done, strict=True)
            if isinstance(operation, Remove) and isinstance(answer, Session)
        }
        meters = await kernel.meters() if removed else before
        answers: list[Answer] = []
        for answer in done:
            if isinstance(answer, Session):
                session = self.book.sessions[answer.mark]
                shown = replace(session, told=meters.get(session.mark, session.told))
                if session.mark in removed:
                    self.book.keep(shown)
                answers.append({"ok": True, "session": self.describe(shown)})
            else:
                answers.append(answer or {"ok": True, "session": None})
        return answers

    def _needs_meters(self, operation: Operation) -> bool:
        """Whether a quota of this session has to begin with what was used already."""
        there = self.book.sessions.get(operation.mark) if isinstance(operation, Admit) else None
        return there is not None and isinstance(operation, Admit) and bool(there.caps or asked_caps(operation))

    async def _commit(self, plan: Plan) -> None:
        """Send a plan; where the kernel's table is not as the book says, send the whole truth with it.

        Raises `TableGone` after the table had to be made anew: the plan was for the old one.
        """
        try:
            await kernel.transact(plan.transaction.text())
            return
        except KernelError as error:
            log.warning("a transaction was refused, so all is written anew: %s", error)
        if not await self._stands():
            await self._restore()
            raise TableGone("the table had to be made anew")
        truth = self.book.copy()
        plan.keep(truth)
        await kernel.transact(table.contents(truth, time.monotonic()))

    async def _sync(self, wanted: Sync) -> Answer:
        """Make an owner's sessions exactly these, in steps between which others get their turn."""
        async with self._lock:
            await self._mend()
        listed = {session.mark for session in wanted.sessions}
        gone = [
            Remove(mark=session.mark)
            for session in self.book.sessions.values()
            if session.owner == wanted.owner and session.mark not in listed and not session.settled
        ]
        changes: list[Admit | Remove] = [*gone, *(session for session in wanted.sessions if not self._is_so(session))]
        removed, failed = [], []
        for start in range(0, len(changes), CHUNK):
            chunk = changes[start : start + CHUNK]
            for operation, answer in zip(chunk, await self.apply(chunk), strict=True):
                if not answer["ok"]:
                    failed.append({"mark": operation.mark, **answer})
                elif isinstance(operation, Remove) and answer["session"]:
                    removed.append(answer["session"])
        return {"ok": True, "changed": len(changes), "removed": removed, "failed": failed}

    def _is_so(self, wanted: Admit) -> bool:
        """Whether this session is as it should be already, so that a sync does not touch it."""
        there = self.book.sessions.get(wanted.mark)
        if there is None or not there.online:
            return False
        left = there.seconds_left(time.monotonic())
        same_end = (left is None) == (wanted.seconds is None) and abs((left or 0) - (wanted.seconds or 0)) < 1.0
        left_caps = {cap: limit - counted(cap, there.told) for cap, limit in there.caps.items()}
        same_rates = (there.rate_up_kbps, there.rate_down_kbps) == (
            wanted.rate_up_kbps or 0,
            wanted.rate_down_kbps or 0,
        )
        same_card = (there.mac, there.key, there.rev) == (wanted.mac, wanted.key, wanted.rev)
        return same_card and same_end and same_rates and left_caps == asked_caps(wanted)

    def _plan(self, meters: Meters) -> Plan:
        return Plan(self.book, meters, time.monotonic(), self.epochs.next, self.shaper.numbers.take)

    # Reading.

    async def _dump(self, with_addresses: bool, tell: bool) -> list[Answer]:
        boot = self.boot
        meters = await kernel.meters()
        quotas = await kernel.quotas() if any(session.caps for session in self.book.sessions.values()) else {}
        addresses = _by_mac(await kernel.seen()) if with_addresses else {}
        if boot != self.boot:
            raise TableGone("the table was made anew meanwhile")
        answers = []
        for session in list(self.book.sessions.values()):
            if not session.settled:
                shown = replace(session, told=meters.get(session.mark, session.told))
                if tell:
                    self.book.keep(shown)
                ended = session.ended or self._ended_in_kernel(session, quotas)
                answers.append(self.describe(shown, ended, addresses.get(session.mac, [])))
        return answers

    def _ended_in_kernel(self, session: Session, quotas: dict[str, tuple[int, int]]) -> str:
        if session.over(time.monotonic()):
            return "time"
        for cap in session.caps:
            limit, used = quotas.get(quota_name(cap, session.mark), (0, 0))
            if used >= limit == session.caps[cap]:  # else the quota was read before it was changed
                self._spent[session.mark] = session
                return "data"
        return ""

    async def _follow(self) -> None:
        """Take down what the kernel ended by itself, and forget what has been settled long enough."""
        now = time.monotonic()
        plan = self._plan({})
        for session in list(self.book.online()):
            if session.over(now):
                plan.expire(session, "time")
            elif (spent := self._spent.get(session.mark)) and (spent.epoch, spent.caps) == (
                session.epoch,
                session.caps,
            ):
                plan.expire(session, "data")
        self._spent.clear()
        old = [session for session in self.book.sessions.values() if session.ended and session.forget_at <= now]
        plan.purge(old)
        if not plan.changed and not old:
            return
        try:
            await self._commit(plan)
        except KernelError as error:
            log.warning("what has ended cannot be cleared away yet: %s", error)
            return
        plan.keep()
        await self.shaper.drop(plan.freed_classes)

    # The whole table.

    async def _stands(self) -> bool:
        """Whether the table in the kernel is the one that we made."""
        try:
            made = await kernel.elements("set", "made")
        except TableGone:
            return False
        return f"{self.version} {self.boot}" in str(made)

    async def _find(self) -> recovery.Found | None:
        try:
            return recovery.read(await kernel.whole_table(), time.monotonic())
        except (KeyError, TypeError, ValueError) as error:
            log.error("the table in the kernel cannot be read, so it is made anew: %r", error)
            return None

    async def _take_over(self, found: recovery.Found) -> None:
        self.book, self.boot = found.book, found.epoch
        self.epochs.continue_from(max([found.epoch, *(session.epoch for session in self.book.sessions.values())]))
        for session in self.book.online():
            self.shaper.numbers.hold(session.class_id)
        if found.version == self.version:
            await kernel.transact(table.contents(self.book, time.monotonic(), orphans=found.meters))
        else:
            log.info("the ruleset has changed: from %s to %s", found.version, self.version)
            await kernel.transact(
                table.whole(self.settings, self.boot, self.book, time.monotonic(), await kernel.meters())
            )

    async def _mend(self) -> None:
        """Write all that the book says, whatever the kernel has."""
        if not await self._stands():
            await self._restore()
            return
        await kernel.transact(table.contents(self.book, time.monotonic()))

    async def _restore(self) -> None:
        """The table has gone with its counters: begin a new life, with what each session had left when last told."""
        log.warning("the table was gone: everybody who was online is let in again")
        now = time.monotonic()
        for session in list(self.book.sessions.values()):
            if not session.online or session.over(now):
                self.book.forget(session.mark)
                continue
            left = {cap: max(1, limit - counted(cap, session.told)) for cap, limit in session.caps.items()}
            self.book.keep(replace(session, told=(0, 0), epoch=self.epochs.next(), caps=left))
        await self._new_table()

    async def _new_table(self) -> None:
        self.boot = self.epochs.next()
        await kernel.transact(table.whole(self.settings, self.boot, self.book, time.monotonic(), {}))


def refusal(reason: str, message: str) -> Answer:
    """The answer to what was not done."""
    return {"ok": False, "reason": reason, "message": message}


def _take(plan: Plan, operation: Operation) -> Session | Answer | None:
    try:
        if isinstance(operation, Admit):
            return plan.admit(operation)
        if isinstance(operation, Remove):
            return plan.remove(operation)
        if isinstance(operation, Devices):
            plan.set_devices(operation)
        if isinstance(operation, Garden):
            plan.set_garden(operation)
    except Refused as error:
        return refusal(error.reason, str(error))
    return None


def _by_mac(pairs: Iterable[tuple[str, str, int]]) -> dict[str, list[str]]:
    addresses: dict[str, list[str]] = {}
    for mac, ip, _ in pairs:
        addresses.setdefault(mac, []).append(ip)
    return addresses
