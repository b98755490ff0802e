"""People, sign-ins, keys and the audit log as the API speaks of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from bawaba.accounts import roles
from bawaba.accounts.models import ApiKey, AuditEntry
from bawaba.accounts.passwords import MOST
from bawaba.accounts.people import Person
from bawaba.accounts.rules import USERNAME_MOST
from bawaba.accounts.signing_in import Tokens
from bawaba.accounts.tokens import LIFE
from bawaba.core.actor import Actor
from bawaba.web.input import Input

Role = Literal["admin", "operator", "viewer", "clerk"]
Username = Annotated[str, Field(min_length=1, max_length=USERNAME_MOST)]
Password = Annotated[str, StringConstraints(strip_whitespace=False), Field(min_length=1, max_length=MOST)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
SiteIds = Annotated[list[Annotated[int, Field(ge=1, lt=2**63)]], Field(max_length=1000)]
Code = Annotated[str, Field(min_length=1, max_length=16)]


class LoginIn(Input):
    """A name and a password, and a code where the account asks for one."""

    username: Annotated[str, Field(min_length=1, max_length=255)]
    password: Password
    totp: Code | None = None


class LoginForm(LoginIn):
    """The same from the login page."""

    next: str = ""


class RefreshIn(Input):
    """A refresh token."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=200)]


class LogoutIn(Input):
    """Which sign-in to end: that of the refresh token, else the caller's."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class UserIn(Input):
    """Somebody to let in. Without `site_ids`: the only site there is. Without `language`: as at their first sign-in."""

    username: Username
    password: Password
    role: Role
    language: Language | None = None
    site_ids: SiteIds | None = None


class UserChange(Input):
    """What may be changed; what is left out stays (so the defaults here count for nothing)."""

    username: Username = ""
    password: Password = ""
    role: Role = "viewer"
    language: Language = ""
    site_ids: SiteIds = Field(default_factory=list)
    disabled: bool = False

    def changes(self) -> dict[str, Any]:
        """Only what was sent."""
        return self.model_dump(exclude_unset=True)


class OwnChange(Input):
    """What everybody may change of themselves."""

    language: Language


class PasswordIn(Input):
    """The caller's own password, old and new."""

    old_password: Password
    new_password: Password


class ConfirmIn(Input):
    """The caller's password, for what a stranger at their screen must not do."""

    password: Password


class CodeIn(Input):
    """A code from the authenticator app."""

    totp: Code


class KeyIn(Input):
    """A personal key. Without `permissions` it may all that its owner may now."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    permissions: Annotated[list[str], Field(max_length=100)] | None = None


class AuditQuery(Input):
    """Whose deeds, and which: a whole action, or all of one subject by its first word."""

    actor: Annotated[str, Field(max_length=USERNAME_MOST)] = ""
    action: Annotated[str, Field(max_length=40)] = ""


def tokens_out(tokens: Tokens) -> dict[str, Any]:
    """The answer to a sign-in."""
    user = tokens.user
    return {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "token_type": "Bearer",
        "expires_in": int(LIFE.total_seconds()),
        "user": {"id": user.id, "username": user.username, "role": user.role},
    }


def user_out(person: Person) -> dict[str, Any]:
    """A person."""
    user = person.user
    return {
        "id": user.id,
        "username": user.username,
        "role": user.role,
        "permissions": sorted(roles.permissions_of(user.role)),
        "language": user.spoken,
        "site_ids": person.site_ids,
        "disabled": user.disabled_at is not None,
        "totp": user.totp_sealed is not None,
        "created_at": user.created_at,
    }


def me_out(person: Person, actor: Actor) -> dict[str, Any]:
    """The caller; with a key, what the key may."""
    return user_out(person) | {"permissions": sorted(actor.permissions)}


def key_out(key: ApiKey) -> dict[str, Any]:
    """A key, without its secret."""
    return {
        "id": key.id,
        "name": key.name,
        "permissions": key.permissions,
        "created_at": key.created_at,
        "used_at": key.used_at,
    }


def audit_out(entry: AuditEntry) -> dict[str, Any]:
    """One deed."""
    return {
        "id": entry.id,
        "at": entry.at,
        "actor_id": entry.actor_id,
        "actor": entry.actor,
        "action": entry.action,
        "site_id": entry.site_id,
        "subject": entry.subject,
        "subject_id": entry.subject_id,
        "facts": entry.facts,
    }
