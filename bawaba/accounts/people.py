"""The people who run the hotspot: letting them in, changing what they may do, and letting them go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import column, delete, exists, insert, literal, select, table, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bawaba.accounts import audit, passwords, roles, rules, second_factor, throttle
from bawaba.accounts.errors import LastAdmin, RoleTooHigh, UsernameTaken
from bawaba.accounts.events import AccessChanged
from bawaba.accounts.idempotency import Once
from bawaba.accounts.models import UNCHOSEN, User, UserSite
from bawaba.accounts.signing_in import revoke_logins, set_language
from bawaba.core.actor import SYSTEM, Actor
from bawaba.core.errors import NotFound, field_fault
from bawaba.core.keyring import Keyring
from bawaba.core.runtime import Runtime
from bawaba.core.statement import Statement
from bawaba.web.language import languages
from bawaba.web.paging import PageRequest

SITES = table("site", column("id"))  # who is above is known here by its key alone
GONE = "#"  # stands in no living person's name
INSERT = Statement(
    'INSERT INTO "user" (username, password_hash, role, language, totp_last_step, password_changed_at, created_at) '
    "VALUES (:username, :password_hash, :role, :language, 0, :now, :now) "
    "ON CONFLICT (username) DO NOTHING RETURNING id",
    "id",
)


@dataclass(frozen=True, slots=True)
class Person:
    """A person and the sites that they were given (an admin sees all, whatever stands there)."""

    user: User
    site_ids: list[int]


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Whom to let in. `site_ids` None: the only site there is."""

    username: str
    password: str
    role: str
    language: str | None = None  # None: the one of the page where they first sign in
    site_ids: Sequence[int] | None = None


def add_person(rt: Runtime, actor: Actor, wanted: NewPerson, once: Once | None = None) -> Person:
    """Let somebody in. Raises `Invalid` by field, `UsernameTaken`, `RoleTooHigh`."""
    name = checked_name(wanted.username)
    check_password(wanted.password, name)
    password_hash = passwords.hash_password(wanted.password)
    return rt.transact(_add, actor, name, password_hash, wanted, rt.clock.now(), once)


def _add(
    db: Session, actor: Actor, name: str, password_hash: str, wanted: NewPerson, now: datetime, once: Once | None
) -> Person:
    if not roles.may_give(actor.role, wanted.role):
        raise RoleTooHigh()
    language = checked_language(wanted.language) if wanted.language is not None else UNCHOSEN
    facts = {"password_hash": password_hash, "role": wanted.role, "language": language}
    row = INSERT.first(db, username=name, now=now, **facts)
    if row is None:
        raise UsernameTaken()
    _set_sites(db, row.id, _chosen_sites(db, wanted.role, wanted.site_ids))
    audit.record(db, actor, "user.added", None, "user", row.id, now, username=name, role=wanted.role)
    if once is not None:
        once.record(db, row.id)
    return get_person(db, row.id)


def get_person(db: Session, user_id: int) -> Person:
    """A person who is still with us (step). Raises `NotFound`."""
    user = db.get(User, user_id)
    if user is None or user.deleted_at is not None:
        raise NotFound()
    return Person(user, site_ids_of(db, user))


def list_people(db: Session, page: PageRequest) -> list[Person]:
    """Everybody, newest first, one more than the page holds."""
    wanted = select(User).where(User.deleted_at.is_(None)).order_by(User.id.desc()).limit(page.limit + 1)
    if page.after_id is not None:
        wanted = wanted.where(User.id < page.after_id)
    users = db.scalars(wanted).all()
    every = list(db.scalars(select(SITES.c.id).order_by(SITES.c.id)))
    given: dict[int, list[int]] = {}
    own = select(UserSite).where(UserSite.user_id.in_([user.id for user in users])).order_by(UserSite.site_id)
    for row in db.scalars(own):
        given.setdefault(row.user_id, []).append(row.site_id)
    return [Person(user, every if roles.sees_every_site(user.role) else given.get(user.id, [])) for user in users]


def site_ids_of(db: Session, user: User) -> list[int]:
    """The sites that a person sees (step)."""
    if roles.sees_every_site(user.role):
        return list(db.scalars(select(SITES.c.id).order_by(SITES.c.id)))
    return list(db.scalars(select(UserSite.site_id).where(UserSite.user_id == user.id).order_by(UserSite.site_id)))


def change_person(rt: Runtime, actor: Actor, user_id: int, changes: dict[str, Any]) -> Person:
    """Change username, password, role, language, site_ids or disabled; what is left out stays.

    A new password or being disabled ends their sign-ins; a new role counts at once. Raises `NotFound`, `Invalid` by
    field, `UsernameTaken`, `RoleTooHigh`, `LastAdmin`.
    """
    if "username" in changes:
        changes = {**changes, "username": checked_name(changes["username"])}
    person = rt.read(get_person, user_id)
    password_hash = None
    if (password := changes.get("password")) is not None:
        check_password(password, changes.get("username", person.user.username))
        password_hash = passwords.hash_password(password)
    person = rt.transact(_change, actor, user_id, changes, password_hash, rt.clock.now())
    rt.publish(AccessChanged(user_id))
    return person


def _change(
    db: Session, actor: Actor, user_id: int, changes: dict[str, Any], password_hash: str | None, now: datetime
) -> Person:
    user = get_person(db, user_id).user
    if not roles.may_give(actor.role, user.role):
        raise RoleTooHigh()
    if "username" in changes:
        _set_name(db, user, changes["username"])
    if "role" in changes:
        _set_role(db, actor, user, changes["role"])
    if "site_ids" in changes or ("role" in changes and not site_ids_of(db, user)):
        _set_sites(db, user.id, _chosen_sites(db, user.role, changes.get("site_ids")))
    if "language" in changes:
        user.language = checked_language(changes["language"])
    if "disabled" in changes:
        _set_disabled(db, user, changes["disabled"], now)
    if password_hash is not None:
        user.password_hash, user.password_changed_at = password_hash, now
        revoke_logins(db, user.id, now)
    fields = sorted(changes)
    audit.record(db, actor, "user.changed", None, "user", user.id, now, username=user.username, fields=fields)
    return Person(user, site_ids_of(db, user))


def _set_name(db: Session, user: User, name: str) -> None:
    try:
        if db.scalar(select(exists().where(User.username == name, User.id != user.id))):
            raise UsernameTaken()
        db.execute(update(User).where(User.id == user.id).values(username=name))
    except IntegrityError as error:  # PostgreSQL: somebody took it this very moment
        raise UsernameTaken() from error


def _set_role(db: Session, actor: Actor, user: User, role: str) -> None:
    if not roles.may_give(actor.role, role):
        raise RoleTooHigh()
    if role != roles.ADMIN:
        _keep_an_admin(db, user.id)
    user.role = role


def _set_disabled(db: Session, user: User, disabled: bool, now: datetime) -> None:
    if disabled == (user.disabled_at is not None):
        return
    if disabled:
        _keep_an_admin(db, user.id)
        revoke_logins(db, user.id, now)
    user.disabled_at = now if disabled else None


def _keep_an_admin(db: Session, but: int) -> None:
    """Somebody else must be an admin. The rows are locked: of two admins who remove each other, one stays."""
    able = select(User.id).where(User.role == roles.ADMIN, User.disabled_at.is_(None)).order_by(User.id)
    admins = db.scalars(able.with_for_update()).all()
    if but in admins and len(admins) == 1:
        raise LastAdmin()


def remove_person(rt: Runtime, actor: Actor, user_id: int) -> None:
    """Let somebody go: their sign-ins and keys hold no more, their name is free again, and the audit log keeps theirs.

    Raises `NotFound`, `RoleTooHigh`, `LastAdmin`.
    """
    rt.transact(_remove, actor, user_id, rt.clock.now())
    rt.publish(AccessChanged(user_id))


def _remove(db: Session, actor: Actor, user_id: int, now: datetime) -> None:
    user = get_person(db, user_id).user
    if not roles.may_give(actor.role, user.role):
        raise RoleTooHigh()
    name = user.username
    _set_disabled(db, user, True, now)
    second_factor.forget(user)
    user.deleted_at, user.username = now, f"{user_id}{GONE}{name}"[: rules.USERNAME_MOST]
    audit.record(db, actor, "user.removed", None, "user", user_id, now, username=name)


def put_everybody_at(db: Session, site_id: int) -> None:
    """Give a site to everybody who has none (step): the first site is where they all work."""
    lonely = select(User.id, literal(site_id)).where(~exists().where(UserSite.user_id == User.id))
    db.execute(insert(UserSite).from_select(["user_id", "site_id"], lonely))


def _chosen_sites(db: Session, role: str, site_ids: Sequence[int] | None) -> list[int]:
    """The sites to give: those named, else the only one. Raises `Invalid` when one is not there or must be chosen."""
    there = list(db.scalars(select(SITES.c.id)))
    if site_ids is not None:
        if not set(site_ids) <= set(there):
            raise field_fault("site_ids", "one of these sites is not there")
        return sorted(set(site_ids))
    if len(there) > 1 and not roles.sees_every_site(role):
        raise field_fault("site_ids", "choose the sites where this person works")
    return there if len(there) == 1 else []


def _set_sites(db: Session, user_id: int, site_ids: Iterable[int]) -> None:
    db.execute(delete(UserSite).where(UserSite.user_id == user_id))
    rows = [{"user_id": user_id, "site_id": site_id} for site_id in site_ids]
    if rows:
        db.execute(insert(UserSite), rows)


def checked_name(name: str) -> str:
    """The one spelling of a user name. Raises `Invalid`."""
    folded = rules.fold_username(name)
    if fault := rules.username_fault(folded):
        raise field_fault("username", fault)
    return folded


def check_password(password: str, username: str, field: str = "password") -> None:
    """Refuse a password that is too short or too easy (`Invalid`)."""
    if not passwords.LEAST <= len(password) <= passwords.MOST:
        raise field_fault(field, "must have 8 to 256 characters")
    if fault := rules.password_fault(password, username):
        raise field_fault(field, fault)


def choose_language(rt: Runtime, actor: Actor, language: str) -> None:
    """The language in which Bawaba speaks to the caller. Raises `Invalid`."""
    rt.transact(set_language, actor.user_id, checked_language(language))
    rt.publish(AccessChanged(actor.user_id or 0))


def checked_language(language: str) -> str:
    """A language that there is a catalogue for. Raises `Invalid`."""
    if language not in languages():
        raise field_fault("language", "is not a language that Bawaba speaks")
    return language


def ensure_admin(rt: Runtime) -> str | None:
    """On an empty database, make the first admin; returns the password when one was made up, to be shown once."""
    if rt.read(_anybody):
        return None
    made_up = None if rt.config.admin_password else passwords.made_up()
    name = checked_name(rt.config.admin_username)
    password_hash = passwords.hash_password(made_up or rt.config.admin_password)
    return made_up if rt.transact(_first, name, password_hash, rt.clock.now()) else None


def _anybody(db: Session) -> bool:
    return bool(db.scalar(select(exists(select(User.id)))))


def _first(db: Session, name: str, password_hash: str, now: datetime) -> bool:
    """False when another process was quicker."""
    if _anybody(db):
        return False
    facts = {"password_hash": password_hash, "role": roles.ADMIN, "language": UNCHOSEN}
    row = INSERT.first(db, username=name, now=now, **facts)
    if row is not None:
        audit.record(db, SYSTEM, "user.added", None, "user", row.id, now, username=name, role=roles.ADMIN)
    return row is not None


def add_user(rt: Runtime, username: str, role: str, language: str | None = None) -> str:
    """Let somebody in from the command line; returns the password that was made up. Raises what `add_person` does."""
    password = passwords.made_up()
    add_person(rt, SYSTEM, NewPerson(username, password, role, language))
    return password


def reset_password(rt: Runtime, username: str) -> str:
    """Give a locked-out person a new password, which is returned. Their sign-ins end, the wait after wrong tries and
    the second factor are lifted, and a disabled account is let in again. Raises `Invalid` for a name nobody has."""
    name, password = rules.fold_username(username), passwords.made_up()
    password_hash = passwords.hash_password(password)
    user_id = rt.transact(_reset, rt.keyring, name, password_hash, rt.clock.now())
    rt.publish(AccessChanged(user_id))
    return password


def _reset(db: Session, keyring: Keyring, name: str, password_hash: str, now: datetime) -> int:
    user = db.scalar(select(User).where(User.username == name, User.deleted_at.is_(None)))
    if user is None:
        raise field_fault("username", "nobody has this name")
    user.password_hash, user.password_changed_at, user.disabled_at = password_hash, now, None
    second_factor.forget(user)
    revoke_logins(db, user.id, now)
    throttle.forgive(db, throttle.account_of(keyring, name))
    audit.record(db, SYSTEM, "user.password_reset", None, "user", user.id, now, username=name)
    return user.id
