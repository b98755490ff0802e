"""What grows, how long it is kept, and how large it is. Sales and their sums are never deleted, nor is the audit log,
whose rows vouch for each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from bawaba.core import facts
from bawaba.core.config import Config
from bawaba.sessions.models import GuestSession
from bawaba.vouchers.models import Voucher

AT_ONCE = 2000
SIZES_FACT = "database_sizes"
SIZES_MOST = 14
DAY = timedelta(days=1)
TABLES = (  # name, days that it is kept for; None: for ever
    ("voucher", None), ("sale", None), ("audit_entry", None), ("guest_session", "keep_sessions_days"),
    ("router_job", 7), ("router_sample", 1100), ("notification", 90), ("idempotency_key", 1),
    ("request_trace", "trace_keep"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """One table: how many rows, how large (None where the database does not say), and for how many days."""

    table: str
    rows: int
    size_bytes: int | None
    days: int | None


def prune_sessions(db: Session, now: datetime, days: int) -> int:
    """Forget sessions that ended so long ago, of cards that are over as long and that the reports have counted;
    the cards and their sales stay (step).

    Answers how many; 0 days keeps them all.
    """
    if not days:
        return 0
    before = now - timedelta(days=days)
    old = (
        select(GuestSession.id)
        .join(Voucher, Voucher.id == GuestSession.voucher_id)
        .where(GuestSession.ended_at < before, Voucher.over_at < before, GuestSession.told == 1)
        .order_by(GuestSession.id)
        .limit(AT_ONCE)
    )
    ids = list(db.scalars(old))
    if ids:
        db.execute(delete(GuestSession).where(GuestSession.id.in_(ids)))
    return len(ids)


def note_size(db: Session, now: datetime) -> None:
    """Remember once a day how large the database is, for two weeks (step)."""
    sizes = known_sizes(db)
    today = now.date().isoformat()
    if not sizes or sizes[-1][0] != today:
        kept = [*sizes, (today, database_bytes(db))][-SIZES_MOST:]
        facts.remember(db, SIZES_FACT, " ".join(f"{day}:{size}" for day, size in kept))


def known_sizes(db: Session) -> list[tuple[str, int]]:
    """The day and the database's bytes on it, the oldest first (step)."""
    words = (facts.recall(db, SIZES_FACT) or "").split()
    return [(day, int(size)) for day, _colon, size in (word.partition(":") for word in words)]


def growth_bytes(db: Session) -> int | None:
    """How much the database grows in a day; None while only one day is known (step)."""
    sizes = known_sizes(db)
    if len(sizes) < 2:
        return None
    (first, before), (last, after) = sizes[0], sizes[-1]
    days = (datetime.fromisoformat(last) - datetime.fromisoformat(first)) / DAY
    return round((after - before) / max(1.0, days))


def database_bytes(db: Session) -> int:
    """How large the database is (step)."""
    if db.info["sqlite"]:
        pages, page = (db.scalar(text(f"PRAGMA {name}")) or 0 for name in ("page_count", "page_size"))
        return int(pages * page)
    return int(db.scalar(text("SELECT pg_database_size(current_database())")) or 0)


def kept(db: Session, config: Config) -> list[Kept]:
    """Every table that grows (step)."""
    return [_kept(db, name, days, config) for name, days in TABLES if _there(db, name)]


def _kept(db: Session, name: str, days: str | int | None, config: Config) -> Kept:
    rows = db.scalar(select(func.count()).select_from(text(name))) or 0
    size = None if db.info["sqlite"] else db.scalar(text("SELECT pg_total_relation_size(:name)"), {"name": name})
    return Kept(name, rows, size, getattr(config, days) if isinstance(days, str) else days)


def _there(db: Session, name: str) -> bool:
    asked = "SELECT 1 FROM sqlite_master WHERE name = :name" if db.info["sqlite"] else "SELECT to_regclass(:name)"
    return db.scalar(text(asked), {"name": name}) is not None
