"""The audit log: who did what to what, and when. Written in the transaction of the deed itself.

Each deed is sealed together with the seal before it (HMAC-SHA256 with a key from the key file), so that whoever can
write to the database but has no key file can neither change a deed, nor put one in, nor take one out unseen. The
newest seal is noted apart, and the next deed builds on that note, so that deeds missing at the end are seen too. Old
deeds may be forgotten from the front, never the newest. Putting a whole older copy of the database back cannot be seen
from inside: for that the owner notes a seal elsewhere.
"""

from __future__ import annotations

import hmac
import json
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from bawaba.accounts.models import AuditEntry
from bawaba.accounts.rules import fold_username
from bawaba.core import facts as install_facts
from bawaba.core.actor import Actor
from bawaba.core.database import to_micros
from bawaba.core.models import InstallFact
from bawaba.core.runtime import Runtime
from bawaba.web.paging import PageRequest

SEAL = "audit_seal"  # the name in `db.info` of what seals
HEAD_FACT = "audit_head"
FIRST, LOST = b"", b"lost"
NOTHING_YET = "-"
PAGE = 1000
Seal = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Verdict:
    """What `verify` found: how many deeds are `sealed`, how many are from before there were seals, the newest seal
    (hex; for the owner's own notes), and where the chain breaks first, with the reason, if it does."""

    sealed: int
    unsealed: int
    head: str
    broken_at: int | None = None
    reason: str | None = None


def record(
    db: Session,
    actor: Actor,
    action: str,
    site_id: int | None,
    subject: str,
    subject_id: int | None,
    now: datetime,
    **facts: Any,
) -> None:
    """Note one deed (step). `action` is like `plan.changed`; `facts` is small, plain JSON and holds no secret."""
    seal: Seal = db.info[SEAL]
    deed = {
        "at": now,
        "actor_id": actor.user_id,
        "actor": actor.username,
        "action": action,
        "site_id": site_id,
        "subject": subject,
        "subject_id": subject_id,
        "facts": facts,
    }
    previous = _newest_seal(db, seal)
    chain = seal(previous + _as_bytes(deed))
    db.execute(insert(AuditEntry).values(**deed, previous=previous, chain=chain))
    db.execute(update(InstallFact).where(InstallFact.name == HEAD_FACT).values(value=_note(seal, chain)))


def verify(rt: Runtime) -> Verdict:
    """Walk all deeds, oldest first, and see whether the chain holds."""
    seal: Seal = rt.database.info[SEAL]
    noted = _read_note(
        seal, rt.read(install_facts.recall, HEAD_FACT) or ""
    )  # before the walk: what comes later is newer
    sealed = unsealed = 0
    last: bytes | None = None
    noted_is_there = noted == FIRST
    for entry in _every(rt):
        if entry.chain is None and last is None:
            unsealed += 1
            continue
        fault = _fault(seal, last, entry)
        if fault:
            return Verdict(sealed, unsealed, (last or FIRST).hex(), entry.id, fault)
        last = entry.chain
        noted_is_there = noted_is_there or last == noted
        sealed += 1
    reason = None if noted_is_there else "the newest deeds are missing, or the note of the newest seal was changed"
    return Verdict(sealed, unsealed, (last or FIRST).hex(), None, reason)


def is_known(rt: Runtime, seal: str) -> bool:
    """Whether a seal, as `verify` told it earlier (hex), is of a deed that is still there."""
    try:
        wanted = bytes.fromhex(seal.strip())
    except ValueError:
        return False
    return rt.read(lambda db: db.scalar(select(AuditEntry.id).where(AuditEntry.chain == wanted).limit(1))) is not None


def deeds_of_card(db: Session, voucher_id: int) -> Sequence[AuditEntry]:
    """What people did to one card, the latest first, 20 at most (step)."""
    deeds = select(AuditEntry).where(AuditEntry.subject == "voucher", AuditEntry.subject_id == voucher_id)
    return db.scalars(deeds.order_by(AuditEntry.id.desc()).limit(20)).all()


def list_entries(
    db: Session, actor: Actor, page: PageRequest, *, by: str | None = None, action: str | None = None
) -> Sequence[AuditEntry]:
    """Deeds, newest first, one more than the page holds; of the caller's sites where they do not see all.

    `by` is a user name; `action` a whole action, or all of one subject by its first word.
    """
    wanted = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(page.limit + 1)
    if actor.site_ids is not None:
        wanted = wanted.where(AuditEntry.site_id.in_(actor.site_ids))
    if by:
        wanted = wanted.where(AuditEntry.actor == fold_username(by))
    if action:
        one = AuditEntry.action == action
        wanted = wanted.where(one if "." in action else AuditEntry.action.startswith(f"{action}.", autoescape=True))
    if page.after_id is not None:
        wanted = wanted.where(AuditEntry.id < page.after_id)
    return db.scalars(wanted).all()


def _newest_seal(db: Session, seal: Seal) -> bytes:
    """The seal that the next one builds on, held until the end of the transaction: two cannot both build on it."""
    noted = select(InstallFact.value).where(InstallFact.name == HEAD_FACT).with_for_update()  # SQLite has one writer
    note = db.scalar(noted)
    if note is None:
        install_facts.settle(db, HEAD_FACT, NOTHING_YET)
        note = db.scalar(noted)
    return _read_note(seal, note or NOTHING_YET)


def _as_bytes(deed: dict[str, Any]) -> bytes:
    """A deed as what is sealed: JSON with sorted names, the time in microseconds."""
    return json.dumps({**deed, "at": to_micros(deed["at"])}, sort_keys=True, separators=(",", ":")).encode()


def _note(seal: Seal, chain: bytes) -> str:
    """What is noted of the newest seal: itself, and a seal of it, which nobody makes without the key."""
    return f"{chain.hex()}{seal(b'newest' + chain).hex()}"


def _read_note(seal: Seal, note: str) -> bytes:
    """The newest seal; a note that is not ours gives one that fits nowhere, so that the break shows."""
    if note in ("", NOTHING_YET):
        return FIRST
    chain = bytes.fromhex(note[:64]) if set(note) <= set(string.hexdigits) and len(note) == 128 else b"?"
    return chain if hmac.compare_digest(_note(seal, chain), note) else LOST


def _fault(seal: Seal, last: bytes | None, entry: AuditEntry) -> str | None:
    """What is wrong with one sealed deed, given the seal of the one before it (None: that one was forgotten)."""
    if entry.previous is None or entry.chain is None:
        return "it was put in without a seal"
    deed = {
        name: getattr(entry, name)
        for name in ("at", "actor_id", "actor", "action", "site_id", "subject", "subject_id", "facts")
    }
    if last is not None and entry.previous != last:
        return "deeds before it are missing"
    if not hmac.compare_digest(entry.chain, seal(entry.previous + _as_bytes(deed))):
        return "it was changed"
    return None


def _every(rt: Runtime) -> Iterator[AuditEntry]:
    """Every deed, oldest first, a thousand a read."""
    after = 0
    while page := rt.read(_page_after, after):
        yield from page
        after = page[-1].id


def _page_after(db: Session, after: int) -> Sequence[AuditEntry]:
    return db.scalars(select(AuditEntry).where(AuditEntry.id > after).order_by(AuditEntry.id).limit(PAGE)).all()
