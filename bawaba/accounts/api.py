"""Signing in, people, personal keys and the audit log over the API."""

from __future__ import annotations

import hmac
from typing import Any

from apiflask import APIBlueprint
from flask import request
from flask.typing import ResponseReturnValue

from bawaba.accounts import audit, keys, people, second_factor, signing_in
from bawaba.accounts.authentication import authenticate
from bawaba.accounts.errors import NeedsSignIn
from bawaba.accounts.idempotency import idempotent, once
from bawaba.accounts.schemas import (
    AuditQuery,
    CodeIn,
    ConfirmIn,
    KeyIn,
    LoginIn,
    LogoutIn,
    OwnChange,
    PasswordIn,
    RefreshIn,
    UserChange,
    UserIn,
    audit_out,
    key_out,
    me_out,
    tokens_out,
    user_out,
)
from bawaba.accounts.web import sign_browser_in
from bawaba.core.errors import Unauthenticated
from bawaba.web.guard import CsrfFailed, actor, caller, open_to_everyone, requires, runtime, signed_in
from bawaba.web.input import body, parse, takes
from bawaba.web.paging import page_of, page_request

bp = APIBlueprint("accounts_api", __name__)


@bp.post("/api/auth/login")
@open_to_everyone
@takes(LoginIn)
def log_in() -> ResponseReturnValue:
    """Sign in: JSON gets tokens and no cookie, the login page's form a cookie and the way to the dashboard."""
    if not request.is_json and request.form:
        return sign_browser_in()
    typed = body(LoginIn)
    return tokens_out(
        signing_in.sign_in_program(runtime(), typed.username, typed.password, typed.totp, request.remote_addr or "")
    )


@bp.post("/api/auth/refresh")
@open_to_everyone
@takes(RefreshIn)
def refresh() -> dict[str, Any]:
    """Trade a refresh token in for new tokens. Each is good once."""
    return tokens_out(signing_in.refresh(runtime(), body(RefreshIn).refresh_token))


@bp.post("/api/auth/logout")
@open_to_everyone
@takes(LogoutIn)
def log_out() -> tuple[str, int]:
    """End the sign-in of the refresh token; without one, the caller's own."""
    token = body(LogoutIn).refresh_token
    if token is not None:
        signing_in.sign_out_token(runtime(), token)
    else:
        signing_in.sign_out(runtime(), _login_of_open_view())
    return "", 204


def _login_of_open_view() -> int:
    """The guard lets everybody through here, so what it does elsewhere is done by hand."""
    found = authenticate(runtime())
    if found is None or found.login_id is None:
        raise Unauthenticated()
    if found.csrf is not None and not hmac.compare_digest(
        request.headers.get("X-CSRF-Token", "").encode(), found.csrf.encode()
    ):
        raise CsrfFailed()
    return found.login_id


def _own_login() -> int:
    """The sign-in of the caller, for what a key may not do. Raises `NeedsSignIn`."""
    asking = caller()
    if asking is None or asking.login_id is None:
        raise NeedsSignIn()
    return asking.login_id


def _own_id() -> int:
    user_id = actor().user_id
    if user_id is None:
        raise Unauthenticated()
    return user_id


@bp.get("/api/me")
@signed_in
def get_me() -> dict[str, Any]:
    """Who the caller is, and what they may do."""
    return me_out(runtime().read(people.get_person, _own_id()), actor())


@bp.patch("/api/me")
@signed_in
@takes(OwnChange)
def change_me() -> dict[str, Any]:
    """Choose one's own language."""
    _own_login()
    people.choose_language(runtime(), actor(), body(OwnChange).language)
    return me_out(runtime().read(people.get_person, _own_id()), actor())


@bp.post("/api/me/password")
@signed_in
@takes(PasswordIn)
def change_password() -> tuple[str, int]:
    """Change one's own password; every other sign-in ends."""
    login_id = _own_login()
    typed = body(PasswordIn)
    people.check_password(typed.new_password, actor().username, "new_password")
    signing_in.change_password(
        runtime(), actor(), login_id, typed.old_password, typed.new_password, request.remote_addr or ""
    )
    return "", 204


@bp.post("/api/me/totp")
@signed_in
@takes(ConfirmIn)
def begin_totp() -> dict[str, Any]:
    """Begin to use an authenticator app: the secret, and its address for a QR code. It counts once confirmed."""
    _own_login()
    signing_in.confirm_password(runtime(), actor(), body(ConfirmIn).password, request.remote_addr or "")
    secret, uri = second_factor.begin(runtime(), actor())
    return {"secret": secret, "otpauth_uri": uri}


@bp.post("/api/me/totp/confirm")
@signed_in
@takes(CodeIn)
def confirm_totp() -> tuple[str, int]:
    """Prove with a code that the app has the secret."""
    _own_login()
    second_factor.confirm(runtime(), actor(), body(CodeIn).totp)
    return "", 204


@bp.delete("/api/me/totp")
@signed_in
@takes(ConfirmIn)
def end_totp() -> tuple[str, int]:
    """Sign in with the password alone again."""
    _own_login()
    signing_in.confirm_password(runtime(), actor(), body(ConfirmIn).password, request.remote_addr or "")
    second_factor.switch_off(runtime(), actor())
    return "", 204


@bp.get("/api/users")
@requires("users:read")
def list_users() -> dict[str, Any]:
    """Everybody who may sign in."""
    page = page_request()
    rows = runtime().read(people.list_people, page)
    return page_of(rows, page, lambda person: person.user.id).answer(user_out)


def _show_user(user_id: int) -> dict[str, Any]:
    return user_out(runtime().read(people.get_person, user_id))


@bp.post("/api/users")
@requires("users:write")
@takes(UserIn)
@idempotent(again=_show_user)
def add_user() -> tuple[dict[str, Any], int]:
    """Let somebody in."""
    wanted = people.NewPerson(**body(UserIn).model_dump())
    return user_out(people.add_person(runtime(), actor(), wanted, once())), 201


@bp.get("/api/users/<int:user_id>")
@requires("users:read")
def get_user(user_id: int) -> dict[str, Any]:
    """One person."""
    return _show_user(user_id)


@bp.patch("/api/users/<int:user_id>")
@requires("users:write")
@takes(UserChange)
def change_user(user_id: int) -> dict[str, Any]:
    """Change a person; what is left out stays. A new password or being disabled ends their sign-ins."""
    runtime().read(people.get_person, user_id)
    return user_out(people.change_person(runtime(), actor(), user_id, body(UserChange).changes()))


@bp.delete("/api/users/<int:user_id>")
@requires("users:write")
def remove_user(user_id: int) -> tuple[str, int]:
    """Let somebody go. What they did stays in the audit log under their name."""
    people.remove_person(runtime(), actor(), user_id)
    return "", 204


@bp.get("/api/keys")
@signed_in
def list_keys() -> dict[str, Any]:
    """The caller's own keys."""
    page = page_request()
    rows = runtime().read(keys.list_keys, actor(), page)
    return page_of(rows, page, lambda key: key.id).answer(key_out)


@bp.post("/api/keys")
@signed_in
@takes(KeyIn)
@idempotent()
def make_key() -> tuple[dict[str, Any], int]:
    """Make a personal key. `key` is shown this once."""
    _own_login()
    wanted = body(KeyIn)
    key, secret = keys.make_key(runtime(), actor(), wanted.name, wanted.permissions, once())
    return key_out(key) | {"key": secret}, 201


@bp.delete("/api/keys/<int:key_id>")
@signed_in
def revoke_key(key_id: int) -> tuple[str, int]:
    """End one of the caller's own keys."""
    _own_login()
    keys.revoke_key(runtime(), actor(), key_id)
    return "", 204


@bp.get("/api/audit")
@requires("audit:read")
@takes(AuditQuery, "query")
def list_audit() -> dict[str, Any]:
    """Who did what, newest first; `actor` is a user name, `action` a whole name or its first word (`plan`)."""
    page, asked = page_request(), parse(AuditQuery, {k: v for k, v in request.args.items() if k in ("actor", "action")})
    rows = runtime().read(audit.list_entries, actor(), page, by=asked.actor, action=asked.action)
    return page_of(rows, page, lambda entry: entry.id).answer(audit_out)
