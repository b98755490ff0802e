"""What can be wrong with an installation that could be opened: database, Redis, routers, work, people, links."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from bawaba.accounts.models import User
from bawaba.core.actor import SYSTEM
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime
from bawaba.diagnostics.finding import BAD, GOOD, WARN, Finding
from bawaba.routers import service
from bawaba.routers.models import Router, RouterJob
from bawaba.web.language import number, span, translate_count
from bawaba.web.language import translate as _

ROUTERS_MOST = 50
AT_ONCE = 8
POSTGRES_LEAST = 15
WAITS_LONG = timedelta(minutes=10)
REDIS_S = 3.0


def database(rt: Runtime) -> Finding:
    """It answers, and is new enough."""
    title = _("Database")
    try:
        version = rt.read(_version)
    except (Problem, SQLAlchemyError) as error:
        how = _("Start it, and look at BAWABA_DATABASE_URL.")
        return Finding("database", BAD, title, _("It does not answer: %(why)s", why=type(error).__name__), how)
    if not rt.database.is_sqlite and int(version.split(".")[0]) < POSTGRES_LEAST:
        how = _("Bawaba needs PostgreSQL 15 or newer.")
        return Finding("database", BAD, title, f"PostgreSQL {version}", how)
    return Finding("database", GOOD, title, f"{'SQLite' if rt.database.is_sqlite else 'PostgreSQL'} {version}")


def _version(db: Session) -> str:
    asked = "SELECT sqlite_version()" if db.info["sqlite"] else "SHOW server_version"
    return str(db.execute(text(asked)).scalar()).split(" ")[0]


def redis(rt: Runtime) -> Finding:
    """It answers, where it is used."""
    title = "Redis"
    if not rt.config.redis_url:
        return Finding("redis", GOOD, title, _("Not used: one process serves alone."))
    from redis import Redis, RedisError

    try:
        with Redis.from_url(rt.config.redis_url, socket_timeout=REDIS_S, socket_connect_timeout=REDIS_S) as client:
            client.ping()
    except (RedisError, OSError, ValueError) as error:
        how = _("Start it, and look at BAWABA_REDIS_URL. Until then pages of other processes hear news late.")
        return Finding("redis", BAD, title, _("It does not answer: %(why)s", why=type(error).__name__), how)
    return Finding("redis", GOOD, title, _("It answers."))


def routers(rt: Runtime) -> list[Finding]:
    """Ask every router who it is and what we may do there; one finding each."""
    found = rt.read(lambda db: list(db.scalars(select(Router).order_by(Router.id).limit(ROUTERS_MOST))))
    if not found:
        how = _("Add one on the page of routers, or with bawaba router add")
        return [Finding("routers", WARN, _("Routers"), _("There is none."), how)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda router: _router(rt, router), found))


def _router(rt: Runtime, router: Router) -> Finding:
    code, title = f"router_{router.id}", _("Router %(name)s", name=router.name)
    if router.status == "maintenance":
        return Finding(code, GOOD, title, _("In maintenance: left alone."))
    try:
        info, error = service.test_router(rt, SYSTEM, router.id)
    except Problem as problem:
        return Finding(code, BAD, title, problem.code, "")
    if info is None:
        how = _(
            "Look at its power and link, its address, and its user name and password: bawaba router test %(id)s",
            id=router.id,
        )
        return Finding(code, BAD, title, f"{error.code if error else ''}: {error}", how)
    if info.missing_rights:
        how = _("Run its setup script again: bawaba router setup-script %(id)s", id=router.id)
        lacks = _("It lacks rights: %(rights)s", rights=", ".join(info.missing_rights))
        return Finding(code, WARN, title, lacks, how)
    return Finding(code, GOOD, title, f"{info.board} {info.version}".strip())


def routers_as_seen(db: Session) -> list[Finding]:
    """How the routers were at the last look, without asking any (step)."""
    rows = db.execute(select(Router.status, func.count()).group_by(Router.status)).all()
    by_status: dict[str, int] = {row[0]: row[1] for row in rows}
    away = by_status.get("down", 0) + by_status.get("degraded", 0)
    total = sum(by_status.values())
    fact = _("%(up)s of %(total)s are well.", up=number(total - away), total=number(total))
    how = _("See the page of routers.") if away else ""
    return [Finding("routers", WARN if away else GOOD, _("Routers"), fact, how)]


def promises(db: Session, now: datetime) -> Finding:
    """Work that routers were promised and did not take yet (step)."""
    title = _("Promised work")
    failed = db.scalar(select(func.count()).where(RouterJob.state == "failed")) or 0
    oldest = db.scalar(select(func.min(RouterJob.created_at)).where(RouterJob.state == "open"))
    if failed:
        needs = translate_count("%(count)s piece of work needs you.", "%(count)s pieces of work need you.", failed)
        return Finding("promises", WARN, title, needs, _("Decide about it in the error list."))
    if oldest is not None and now - oldest > WAITS_LONG:
        fact = _("The oldest waits for %(span)s.", span=span((now - oldest).total_seconds()))
        return Finding("promises", WARN, title, fact, _("See which router does not answer, in the error list."))
    return Finding("promises", GOOD, title, _("Nothing waits for long."))


def admins(db: Session) -> Finding:
    """Whether the accounts that may do everything have a second factor (step)."""
    title = _("Second factor")
    weak = list(
        db.scalars(
            select(User.username).where(User.role == "admin", User.disabled_at.is_(None), User.totp_sealed.is_(None))
        )
    )
    if weak:
        how = _("Each sets one up on the page of their account.")
        return Finding("second_factor", WARN, title, _("Admins without one: %(names)s", names=", ".join(weak)), how)
    return Finding("second_factor", GOOD, title, _("Every admin has one."))


def backups(db: Session, now: datetime) -> Finding:
    """Whether there is a good copy of all this, and how old it is (step)."""
    title, how = _("Backup"), _("Make one now: bawaba backup now")
    if not _has_table(db, "backup_run"):
        return Finding(
            "backup", WARN, title, _("None was made by Bawaba."), _("Copy the data folder and the key file regularly.")
        )
    asked = select(func.max(text("ended_at"))).select_from(text("backup_run")).where(text("state = 'confirmed'"))
    last: Any = db.scalar(asked)
    if last is None:
        return Finding("backup", WARN, title, _("None was ever confirmed."), how)
    at = last if isinstance(last, datetime) else _from_micros(last)
    old = now - at > timedelta(days=2)
    fact = _("The last good one is %(span)s old.", span=span((now - at).total_seconds()))
    return Finding("backup", WARN if old else GOOD, title, fact, how if old else "")


def _from_micros(value: int) -> datetime:
    from bawaba.core.database import from_micros

    return from_micros(value)


def _has_table(db: Session, name: str) -> bool:
    asked = "SELECT 1 FROM sqlite_master WHERE name = :name" if db.info["sqlite"] else "SELECT to_regclass(:name)"
    return db.scalar(text(asked), {"name": name}) is not None
