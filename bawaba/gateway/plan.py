"""What a few operations change: worked out first, sent to the kernel as one transaction, taken down only after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from bawaba.gateway.ruleset import DOWN_HANDLE, UP_HANDLE
from bawaba.gateway.sessions import Book, Session
from bawaba.gateway.transaction import Transaction, counted, quota_name, timeout
from bawaba.gateway.wire import FIRST_TRUSTED_MARK, Admit, Devices, Garden, Opening, Remove

TRUSTED_MARKS = 0x800
SETTLED_S = 60.0  # a removed session is remembered so long, for an answer that was lost and is asked for again
UNSETTLED_S = 86400.0  # and one that ended by itself, until the manager asks for its last counters
NEARLY_BYTES = 70_000  # this close to a cap, packets that were refused may have been counted as used
Meter = tuple[int, int]


class Refused(Exception):
    """One operation cannot be done; the others can."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Plan:
    """Changes on top of a book. No two operations of one plan touch the same session or device."""

    def __init__(
        self,
        book: Book,
        meters: dict[int, Meter],
        now: float,
        new_epoch: Callable[[], int],
        new_class: Callable[[], int],
    ) -> None:
        self.book = book
        self.meters = meters
        self.now = now
        self.transaction = Transaction()
        self.changed: dict[int, Session] = {}
        self.purged: list[int] = []
        self.shaped: list[Session] = []
        self.freed_classes: list[int] = []
        self.taken_classes: list[int] = []
        self.devices: tuple[tuple[str, ...], tuple[str, ...], int] | None = None
        self.garden: tuple[str, ...] | None = None
        self._new_epoch = new_epoch
        self._new_class = new_class

    def admit(self, wanted: Admit) -> Session:
        """Let a device in, or bring the session that is in to its new limits and on to this device."""
        if wanted.mac in self.book.blocked:
            raise Refused("other", "the device is blocked")
        before = self.book.sessions.get(wanted.mark)
        if before is not None and (before.key, before.owner) != (wanted.key, wanted.owner):
            raise Refused("duplicate", f"the mark belongs to {before.key}")
        holder = self.book.holder(wanted.mac)
        if holder is not None and holder.mark != wanted.mark:
            self._end(holder, "replaced")
        session = self._session(wanted, before)
        session = self._with_class(session, before)
        self._write(session, before)
        self.changed[session.mark] = session
        return session

    def remove(self, wanted: Remove) -> Session | None:
        """Take a session's permission away; its meters stay for now. None where there is no such session."""
        found = self.book.sessions.get(wanted.mark) if wanted.mark is not None else self.book.holder(wanted.mac or "")
        if found is None and wanted.mac is not None:
            ended = [session for session in self.book.sessions.values() if session.mac == wanted.mac]
            found = max(ended, key=lambda session: session.epoch, default=None)
        if found is None:
            return None
        if not found.settled:
            self._end(found, found.ended or ("time" if found.over(self.now) else "removed"), settled=True)
        return found

    def expire(self, session: Session, reason: str) -> None:
        """The kernel has ended this session by itself: its time or its data is over."""
        self._end(session, reason)

    def set_devices(self, wanted: Devices) -> None:
        """Make these the trusted and blocked devices. Who is trusted no more loses the connections it has."""
        both = set(wanted.trusted) & set(wanted.blocked)
        if both:
            raise Refused("bad_value", f"{min(both)} cannot be trusted and blocked at once")
        mark = self.book.trusted_mark
        if set(self.book.trusted) - set(wanted.trusted):
            self.transaction.clear("live", hex(mark))
            mark = FIRST_TRUSTED_MARK + (mark + 1 - FIRST_TRUSTED_MARK) % TRUSTED_MARKS
        for mac in wanted.blocked:
            holder = self.book.holder(mac)
            if holder is not None:
                self._end(holder, "blocked")
        self.devices = (wanted.trusted, wanted.blocked, mark)
        self.transaction.flush("trusted", "blocked")
        write_devices(self.transaction, *self.devices)

    def set_garden(self, wanted: Garden) -> None:
        """Make this the walled garden."""
        self.garden = tuple(dict.fromkeys(map(_garden_element, wanted.entries)))
        self.transaction.flush("garden4", "garden6")
        write_garden(self.transaction, self.garden)

    def purge(self, sessions: Iterable[Session]) -> None:
        """Forget ended sessions, meters and all."""
        for session in sessions:
            self.purged.append(session.mark)
            mark = hex(session.mark)
            for name in ("up", "down", "about"):
                self.transaction.delete(name, mark)
            self._drop_caps(session, session.caps)

    def keep(self, book: Book | None = None) -> None:
        """The kernel took it: take it down, in this book if not in the plan's own."""
        book = book or self.book
        for session in self.changed.values():
            there = book.sessions.get(session.mark)
            if there is not None and there.epoch == session.epoch:  # a reading may have been given away meanwhile
                told = (max(there.told[0], session.told[0]), max(there.told[1], session.told[1]))
                session = replace(session, told=told)
            book.keep(session)
        for mark in self.purged:
            book.forget(mark)
        if self.devices is not None:
            book.trusted, book.blocked, book.trusted_mark = self.devices
        if self.garden is not None:
            book.garden = self.garden

    def _session(self, wanted: Admit, before: Session | None) -> Session:
        told = before.told if before is not None else (0, 0)
        return Session(
            mark=wanted.mark,
            mac=wanted.mac,
            key=wanted.key,
            owner=wanted.owner,
            rev=wanted.rev,
            epoch=before.epoch if before is not None else self._new_epoch(),
            started=before.started if before is not None else self.now,
            ends=None if wanted.seconds is None else self.now + wanted.seconds,
            class_id=before.class_id if before is not None else 0,
            rate_up_kbps=wanted.rate_up_kbps or 0,
            rate_down_kbps=wanted.rate_down_kbps or 0,
            caps={cap: counted(cap, told) + limit for cap, limit in asked_caps(wanted).items()},
            told=told,
        )

    def _with_class(self, session: Session, before: Session | None) -> Session:
        """The session with a class for its rates, or without one when it has none."""
        if session.rate_up_kbps or session.rate_down_kbps:
            if not session.class_id:
                session = replace(session, class_id=self._new_class())
                self.taken_classes.append(session.class_id)
            rates = (session.rate_up_kbps, session.rate_down_kbps)
            if before is None or before.class_id == 0 or rates != (before.rate_up_kbps, before.rate_down_kbps):
                self.shaped.append(session)
        elif session.class_id:
            self.freed_classes.append(session.class_id)
            session = replace(session, class_id=0)
        return session

    def _write(self, session: Session, before: Session | None) -> None:
        transaction, mark = self.transaction, hex(session.mark)
        if before is not None:
            transaction.delete("about", mark)
            self._withdraw(before)
        else:
            for meter in ("up", "down"):
                transaction.clear(meter, mark)
                transaction.add(meter, mark)
        self._write_caps(session, before)
        write_permission(transaction, session, self.now)

    def _write_caps(self, session: Session, before: Session | None) -> None:
        """Quotas keep what was used of them, but where refused packets may have been counted they begin anew."""
        had = before.caps if before is not None else {}
        meter = self.meters.get(session.mark, (0, 0))
        for cap, limit in session.caps.items():
            name, used = quota_name(cap, session.mark), counted(cap, meter)
            if cap in had and had[cap] - used > NEARLY_BYTES:
                self.transaction.quota(name, limit)
                continue
            if cap in had:
                self.transaction.delete(cap, hex(session.mark))
            self.transaction.new_quota(name, limit, used)
            self.transaction.add(cap, f'{session.mark:#x} : "{name}"')
        self._drop_caps(session, [cap for cap in had if cap not in session.caps])

    def _drop_caps(self, session: Session, caps: Iterable[str]) -> None:
        for cap in caps:
            self.transaction.delete(cap, hex(session.mark))
            self.transaction.clear_quota(quota_name(cap, session.mark))

    def _withdraw(self, session: Session) -> None:
        """Take the permission and the class out of the table; of a session that has ended there are none."""
        if not session.online:
            return
        self.transaction.clear("live", hex(session.mark))
        self.transaction.clear("client", session.mac, hex(session.mark))
        for name, kbps in (("cls_up", session.rate_up_kbps), ("cls_down", session.rate_down_kbps)):
            if session.class_id and kbps:
                self.transaction.delete(name, hex(session.mark))

    def _end(self, session: Session, reason: str, settled: bool = False) -> None:
        self._withdraw(session)
        if session.class_id:
            self.freed_classes.append(session.class_id)
        at = session.ended_at if session.ended else self.now
        if reason == "time" and session.ends is not None:
            at = min(at, session.ends)
        forget_at = self.now + (SETTLED_S if settled else UNSETTLED_S)
        ended = replace(session, ended=reason, ended_at=at, class_id=0, settled=settled, forget_at=forget_at)
        self.transaction.delete("about", hex(session.mark))
        write_permission(self.transaction, ended, self.now)
        self.changed[session.mark] = ended


def asked_caps(wanted: Admit) -> dict[str, int]:
    """The bytes that an operation allows, by the map that their cap belongs in."""
    asked = {"cap": wanted.bytes_total, "cap_up": wanted.bytes_up, "cap_down": wanted.bytes_down}
    return {cap: limit for cap, limit in asked.items() if limit is not None}


def write_permission(transaction: Transaction, session: Session, now: float) -> None:
    """Put the memory of a session into the table, and while it is online its class and its way in."""
    mark, left = hex(session.mark), session.seconds_left(now)
    transaction.add("about", f'{mark} comment "{session.about()}"')
    if not session.online or session.over(now):
        return
    if session.class_id and session.rate_up_kbps:
        transaction.add("cls_up", f"{mark} : {UP_HANDLE}:{session.class_id:x}")
    if session.class_id and session.rate_down_kbps:
        transaction.add("cls_down", f"{mark} : {DOWN_HANDLE}:{session.class_id:x}")
    transaction.add("live", f"{mark}{timeout(left)}")
    transaction.add("client", f"{session.mac}{timeout(left)} : {mark}")


def write_devices(transaction: Transaction, trusted: Iterable[str], blocked: Iterable[str], mark: int) -> None:
    """Put the trusted devices, all under one mark of theirs, and the blocked ones into the table."""
    for name in ("up", "down", "live"):
        transaction.add(name, hex(mark))
    for mac in trusted:
        transaction.add("trusted", f"{mac} : {mark:#x}")
    for mac in blocked:
        transaction.add("blocked", mac)


def write_garden(transaction: Transaction, elements: Iterable[str]) -> None:
    """Put the walled garden into the table."""
    for element in elements:
        transaction.add("garden6" if ":" in element.split(" . ")[0] else "garden4", element)


def _garden_element(entry: Opening) -> str:
    ports = str(entry.first_port)
    if entry.last_port != entry.first_port:
        ports += f"-{entry.last_port}"
    return f"{entry.network} . {entry.protocol} . {ports}"
