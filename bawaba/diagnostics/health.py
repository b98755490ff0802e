"""How this installation is, on one page."""

from __future__ import annotations

import os
import platform
import resource
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bawaba.core.clock import SystemClock
from bawaba.core.runtime import Runtime
from bawaba.diagnostics import checks, machine_checks, retention
from bawaba.diagnostics.finding import Finding
from bawaba.notifications.models import NotificationDelivery
from bawaba.routers.models import Router, RouterJob

SHOWN = ("bawaba", "flask", "sqlalchemy", "uvicorn")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Health:
    """What the page shows. Bytes, seconds, aware times."""

    findings: Sequence[Finding]
    process: dict[str, Any]
    holders: Sequence[tuple[str, int, datetime]]  # a process, how many routers it looks after, and until when
    database: dict[str, Any]
    queues: dict[str, Any]
    kept: Sequence[retention.Kept]
    versions: dict[str, str]


def look(rt: Runtime) -> Health:
    """Look at everything that is quick to look at: no router is asked, and no address on the network."""
    config, now = rt.config, rt.clock.now()
    jump_s = rt.clock.jump_s() if isinstance(rt.clock, SystemClock) else 0.0
    findings = [
        checks.database(rt),
        machine_checks.disk(config),
        machine_checks.key_file(config, None),
        machine_checks.clock(jump_s),
        machine_checks.proxies(config),
        checks.redis(rt),
        *rt.read(checks.routers_as_seen),
        rt.read(checks.promises, now),
        rt.read(checks.backups, now),
        rt.read(checks.admins),
    ]
    return Health(
        findings=findings,
        process=process(),
        holders=rt.read(_holders),
        database=rt.read(_database),
        queues=rt.read(queues),
        kept=rt.read(retention.kept, config),
        versions={"Python": platform.python_version()} | {name: version(name) for name in SHOWN},
    )


def process() -> dict[str, Any]:
    """This process: its number, its memory (proc(5)), its threads, and the CPU that it has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "id": os.getpid(),
        "memory_bytes": resident_bytes(),
        "threads": threading.active_count(),
        "cpu_seconds": used.ru_utime + used.ru_stime,
    }


def resident_bytes() -> int:
    """The memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def queues(db: Session) -> dict[str, Any]:
    """What waits: for routers, for a person, for the ways outward (step)."""
    by_state = {
        row[0]: row[1]
        for row in db.execute(
            select(RouterJob.state, func.count())
            .where(RouterJob.state.in_(("open", "failed")))
            .group_by(RouterJob.state)
        )
    }
    outward = select(func.count()).select_from(NotificationDelivery).where(NotificationDelivery.state == "open")
    return {
        "open": by_state.get("open", 0),
        "failed": by_state.get("failed", 0),
        "oldest": db.scalar(select(func.min(RouterJob.created_at)).where(RouterJob.state == "open")),
        "messages": db.scalar(outward) or 0,
    }


def _database(db: Session) -> dict[str, Any]:
    return {"size_bytes": retention.database_bytes(db), "growth_bytes": retention.growth_bytes(db)}


def _holders(db: Session) -> list[tuple[str, int, datetime]]:
    wanted = (
        select(Router.lease_owner, func.count(), func.max(Router.lease_until))
        .where(Router.lease_owner.is_not(None))
        .group_by(Router.lease_owner)
        .order_by(Router.lease_owner)
    )
    return [(str(owner), count, until) for owner, count, until in db.execute(wanted) if until is not None]
