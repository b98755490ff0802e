"""The whole table with everything in it, as one text: at the start, after a flush, and where the kernel differs."""

from __future__ import annotations

from collections.abc import Iterable

from bawaba.gateway import ruleset
from bawaba.gateway.kernel import Meters
from bawaba.gateway.plan import write_devices, write_garden, write_permission
from bawaba.gateway.sessions import Book
from bawaba.gateway.settings import Settings
from bawaba.gateway.transaction import CAPS, Transaction, counted, quota_name
from bawaba.gateway.wire import FIRST_TRUSTED_MARK

WRITTEN_ANEW = (
    "client", "live", "about", *CAPS, "cls_up", "cls_down", "trusted", "blocked", "garden4", "garden6",
)  # fmt: skip


def whole(settings: Settings, boot: int, book: Book, now: float, meters: Meters) -> str:
    """A new table in place of whatever is there, with these sessions, and their meters where they are given."""
    transaction = Transaction()
    transaction.add("made", f'0x0 comment "{ruleset.version(settings)} {boot}"')
    _write(transaction, book, now, meters)
    away = f"table {ruleset.TABLE} {{}}\ndelete table {ruleset.TABLE}\n"
    return away + ruleset.table(settings) + transaction.text()


def contents(book: Book, now: float, orphans: Iterable[int] = ()) -> str:
    """All sets made exactly the book's, in a table that keeps its meters; those of `orphans` go."""
    transaction = Transaction()
    transaction.flush(*WRITTEN_ANEW)
    for mark in orphans:
        if mark not in book.sessions and mark < FIRST_TRUSTED_MARK:
            transaction.clear("up", hex(mark))
            transaction.clear("down", hex(mark))
    _write(transaction, book, now, {})
    return transaction.text()


def _write(transaction: Transaction, book: Book, now: float, meters: Meters) -> None:
    for session in book.sessions.values():
        mark, meter = hex(session.mark), meters.get(session.mark)
        for place, name in enumerate(("up", "down")):
            transaction.add(name, mark if meter is None else f"{mark} counter packets 0 bytes {meter[place]}")
        for cap, limit in session.caps.items():
            name = quota_name(cap, session.mark)
            if meter is None:
                transaction.quota(name, limit)
            else:
                transaction.new_quota(name, limit, counted(cap, meter))
            transaction.add(cap, f'{mark} : "{name}"')
        write_permission(transaction, session, now)
    write_devices(transaction, book.trusted, book.blocked, book.trusted_mark)
    write_garden(transaction, book.garden)
