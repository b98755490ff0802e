"""The runs: each is one backup, or the try at one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base, BigId, UtcDateTime, where_clause


class BackupRun(Base):
    """One run. At most one is `running` in an installation, however many processes it has: an index says so.

    `stored` lists whole copies as the API does: {"store": "local", "path": …}, {"store": "s3", "key": …}. `lease_until`
    is renewed while somebody works on it; a run whose lease is over died with its process.
    """

    __tablename__ = "backup_run"
    __table_args__ = (
        Index("backup_run_one", "state", unique=True, **where_clause("state = 'running'")),
        Index("backup_run_started", "started_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(12))  # scheduled, manual
    state: Mapped[str] = mapped_column(String(12))  # running, confirmed, failed
    step: Mapped[str] = mapped_column(String(12))  # one of run.STEPS; of a failed run, where it failed
    progress: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # of the step, in thousandths
    wants_drill: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    file: Mapped[str] = mapped_column(String(120))  # its name in every store
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    stored: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)
    shape: Mapped[str | None] = mapped_column(String(32))  # the database's newest migration
    key_fingerprint: Mapped[str | None] = mapped_column(String(16))
    recipient: Mapped[str | None] = mapped_column(String(100))  # the public key that it is encrypted to
    row_count: Mapped[int | None] = mapped_column(BigInteger)
    drill: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # {state, at, seconds, rows, error?}
    last_check: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # the last look at the copies: {state, at, error?}
    error: Mapped[str | None] = mapped_column(String(32))  # a code of errors.py
    error_text: Mapped[str | None] = mapped_column(String(500))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_owner: Mapped[str | None] = mapped_column(String(80))
    lease_until: Mapped[datetime] = mapped_column(UtcDateTime)
