"""Slows guessing of passwords down. A try is counted before its password is looked at, so that many at once gain
nothing, and taken back when it was right.

Three counts: one account from one address; one account from everywhere; one address over all accounts. The last two
do not hold for an account at an address where it signed in lately: so nobody can lock a person out from elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from bawaba.accounts import rules
from bawaba.accounts.errors import TooManyTries
from bawaba.accounts.models import Login, User
from bawaba.accounts.rules import Cap, Tries
from bawaba.core.keyring import Keyring
from bawaba.core.statement import Statement

NO_ACCOUNT, NO_ADDRESS = b"", ""
KNOWN_FOR = timedelta(days=30)

ENTER = Statement(
    "INSERT INTO sign_in_try (account, address, wrong, since) VALUES (:account, :address, 0, :now) "
    "ON CONFLICT (account, address) DO NOTHING"
)
LOOK = Statement(
    "SELECT wrong, since, blocked_until FROM sign_in_try WHERE account = :account AND address = :address {lock}",
    "wrong since blocked_until",
    ("since", "blocked_until"),
)
NOTE = Statement(
    "UPDATE sign_in_try SET wrong = :wrong, since = :since, blocked_until = :blocked_until "
    "WHERE account = :account AND address = :address"
)
FORGET = Statement("DELETE FROM sign_in_try WHERE account = :account AND address = :address")
FORGIVE = Statement("DELETE FROM sign_in_try WHERE account = :account OR account = :no_account")
PRUNE = Statement(
    "DELETE FROM sign_in_try WHERE since < :before AND (blocked_until IS NULL OR blocked_until < :before)"
)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A counted try, to be taken back when it was right."""

    account: bytes
    address: str
    known: bool

    def counts(self) -> list[tuple[bytes, str, Cap]]:
        """What it counts for; always in this order, so that two at once cannot wait for each other."""
        pair = (self.account, self.address, rules.PAIR)
        wide = [(NO_ACCOUNT, self.address, rules.ADDRESS), (self.account, NO_ADDRESS, rules.ACCOUNT)]
        return [pair] if self.known else [*wide, pair]


def account_of(keyring: Keyring, username: str) -> bytes:
    """What a name is counted under: people type passwords into that field too, so it is never kept as it is."""
    return keyring.digest("sign-in account", username.encode())


def take(db: Session, account: bytes, username: str, address: str, now: datetime) -> Ticket:
    """Count a try (step). Raises `TooManyTries`, and then counts nothing."""
    ticket = Ticket(account, rules.address_group(address), _is_known(db, username, address, now))
    for who, where, cap in ticket.counts():
        tries = _look(db, who, where, now)
        if wait_s := rules.seconds_to_wait(tries, now):
            raise TooManyTries(retry_after_s=int(wait_s) + 1)
        _note(db, who, where, rules.one_more(tries, cap, now))
    return ticket


def give_back(db: Session, ticket: Ticket) -> None:
    """The try was not wrong (step)."""
    for who, where, cap in ticket.counts():
        row = LOOK.first(db, account=who, address=where)
        if row is not None:
            _note(db, who, where, rules.one_less(Tries(*row), cap))


def clear(db: Session, ticket: Ticket) -> None:
    """The try was right: the account starts afresh at this address (step)."""
    give_back(db, ticket)
    FORGET.run(db, account=ticket.account, address=ticket.address)


def forgive(db: Session, account: bytes) -> None:
    """Let a person try again at once, from anywhere (step)."""
    FORGIVE.run(db, account=account, no_account=NO_ACCOUNT)


def prune(db: Session, now: datetime) -> None:
    """Forget what is long over (step)."""
    PRUNE.run(db, before=now - timedelta(days=1))


def _is_known(db: Session, username: str, address: str, now: datetime) -> bool:
    known = select(Login.id).join(User, User.id == Login.user_id)
    known = known.where(User.username == username, Login.address == address, Login.created_at > now - KNOWN_FOR)
    return bool(db.scalar(select(exists(known))))


def _look(db: Session, account: bytes, address: str, now: datetime) -> Tries:
    """The count, and the lock on it. Somebody who just signed in may take the row away in between."""
    while True:
        ENTER.run(db, account=account, address=address, now=now)
        row = LOOK.first(db, account=account, address=address)
        if row is not None:
            return Tries(*row)


def _note(db: Session, account: bytes, address: str, tries: Tries) -> None:
    now = {"wrong": tries.wrong, "since": tries.since, "blocked_until": tries.blocked_until}
    NOTE.run(db, account=account, address=address, **now)
