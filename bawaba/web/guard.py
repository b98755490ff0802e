"""Who may come in. Deny by default: a view without a mark is refused, and a test walks all of them."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from flask import Flask, current_app, g, request

from bawaba.core import tracing
from bawaba.core.actor import Actor
from bawaba.core.errors import Forbidden, Unauthenticated
from bawaba.core.runtime import Runtime
from bawaba.web import language

View = TypeVar("View", bound=Callable[..., Any])
EVERYONE = "open"  # no sign-in at all: guests, sign-in itself, health
SIGNED_IN = "signed_in"  # any signed-in person, for what is their own
MACHINE = "machine"  # a program of ours on this machine, which proves itself by the view's own check; no person
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class CsrfFailed(Forbidden):
    """The page's form is not one of ours, or too old."""

    code = "csrf_failed"


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in caller. `csrf` is set when a browser's cookie spoke for them: writes must prove it."""

    actor: Actor
    csrf: str | None = None
    login_id: int | None = None  # None: a personal key
    expires_at: datetime | None = None


class Authenticate(Protocol):
    """Turns the request's token, key or cookie into a caller; None when it carries none that holds."""

    def __call__(self, rt: Runtime) -> Caller | None: ...


def requires(permission: str) -> Callable[[View], View]:
    """Name the permission that a view needs."""

    def mark(view: View) -> View:
        view.permission = permission  # type: ignore[attr-defined]
        return view

    return mark


def open_to_everyone(view: View) -> View:
    """Mark a view that needs no sign-in."""
    view.permission = EVERYONE  # type: ignore[attr-defined]
    return view


def signed_in(view: View) -> View:
    """Mark a view that any signed-in person may use, for their own things."""
    view.permission = SIGNED_IN  # type: ignore[attr-defined]
    return view


def for_machine(check: Callable[[Runtime], bool]) -> Callable[[View], View]:
    """Mark a view that only a program may use which `check` knows; to everybody else it is shut."""

    def mark(view: View) -> View:
        view.permission, view.knows = MACHINE, check  # type: ignore[attr-defined]
        return view

    return mark


def runtime() -> Runtime:
    """The Runtime behind this request."""
    rt: Runtime = current_app.extensions["bawaba"]
    return rt


def actor() -> Actor:
    """Who is asking. Only in views that are not open to everyone."""
    caller: Caller = g.caller
    return caller.actor


def caller() -> Caller | None:
    """Who is asking, or None on an open page."""
    found: Caller | None = g.get("caller")
    return found


def install(app: Flask, authenticate: Authenticate) -> None:
    """Check every request before its view runs."""

    @app.before_request
    def check() -> None:
        view = app.view_functions.get(request.endpoint or "")
        if view is not None:  # nothing is there: Flask answers 404 or 405
            with tracing.timed(tracing.AUTH_CHECK):
                _let_in(permission_of(view), view, authenticate)


def _let_in(permission: str | None, view: Any, authenticate: Authenticate) -> None:
    """Find out who is asking, where that matters. Raises `Unauthenticated`, `Forbidden`."""
    g.caller = None
    if permission == EVERYONE:
        return
    if permission == MACHINE:
        if not view.knows(runtime()):
            raise Unauthenticated()
        return
    found = authenticate(runtime())
    if found is None:
        raise Unauthenticated()
    g.caller = found
    if found.csrf is not None and request.args.get("lang") not in language.languages():
        g.language = language.choose(found.actor.language, None, "en")  # a person at a browser chose theirs once
    if found.csrf is not None and request.method not in SAFE_METHODS:
        _check_csrf(found.csrf)
    if permission != SIGNED_IN and not found.actor.may(permission or ""):
        raise Forbidden(permission=permission)


def permission_of(view: Any) -> str | None:
    """The mark of a view, wherever decorators have put it; None means that nobody may."""
    return getattr(view, "permission", None)


def _check_csrf(expected: str) -> None:
    sent = request.headers.get("X-CSRF-Token") or request.form.get("csrf_token", "")
    if not hmac.compare_digest(sent.encode(), expected.encode()):
        raise CsrfFailed()
