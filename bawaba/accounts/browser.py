"""A browser's side of signing in: its cookie, where it goes next, and whether the form came from a page of ours."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import urlsplit

from flask import Response, g, make_response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from bawaba.accounts import rules
from bawaba.accounts.authentication import COOKIE
from bawaba.accounts.roles import CLERK
from bawaba.accounts.signing_in import BrowserLogin, Spoken
from bawaba.web import language, pages
from bawaba.web.guard import CsrfFailed, runtime

HOME = "/dashboard"
COUNTER = "/counter"
OF_CLERKS = (COUNTER, "/check", "/account")
LOGIN_PAGE = "/login"
LANGUAGE_COOKIE = "bawaba_language"
YEAR_S = 365 * 86400
Answer = TypeVar("Answer", bound=AnyResponse)
FROM_OUTSIDE = frozenset({"cross-site", "same-site"})


def refuse_foreign_form() -> None:
    """A page of somebody else's must not sign a browser in under a name of its own (login CSRF).

    Before there is a login there is no token to compare, so the browser's own word counts (Origin, Fetch Metadata).
    Programs that are no browsers send neither, and carry no cookie that could be abused. The scheme is left out: a
    proxy that speaks TLS for us may not be known to us. Raises `CsrfFailed`.
    """
    origin = request.headers.get("Origin")
    ours = {request.host, urlsplit(runtime().config.public_url).netloc} - {""}
    if origin is not None and urlsplit(origin.lower()).netloc not in ours:
        raise CsrfFailed()
    if origin is None and request.headers.get("Sec-Fetch-Site") in FROM_OUTSIDE:
        raise CsrfFailed()


def safe_next(path: str) -> str:
    """Where to go after signing in: a page of ours, and not the login page again."""
    return path if rules.is_local_path(path) and not path.startswith((LOGIN_PAGE, "/api/")) else HOME


def open_page(path: str, role: str) -> str:
    """The page to open for somebody of a role: a clerk has the counter and what belongs to it."""
    path = safe_next(path)
    return COUNTER if role == CLERK and not path.startswith(OF_CLERKS) else path


def welcome(login: BrowserLogin, path: str) -> Response:
    """Send a browser that has signed in to its page, with its cookie."""
    answer = make_response(redirect(open_page(path, login.role), 303))
    answer.set_cookie(
        COOKIE,
        login.cookie,
        max_age=int(login.life.total_seconds()),
        httponly=True,
        samesite="Lax",
        secure=request.is_secure,
    )
    remember_language(answer, login.language)
    return answer


def remember_language(answer: Answer, spoken: str) -> Answer:
    """Have the login page of this browser speak so the next time."""
    answer.set_cookie(LANGUAGE_COOKIE, spoken, max_age=YEAR_S, httponly=True, samesite="Lax", secure=request.is_secure)
    return answer


def remember_theme(answer: Answer, theme: str) -> Answer:
    """Have this browser show light or dark pages from now on; anything else leaves it to the device."""
    if theme not in pages.THEMES:
        answer.delete_cookie(pages.THEME_COOKIE, httponly=True, samesite="Lax", secure=request.is_secure)
        return answer
    answer.set_cookie(
        pages.THEME_COOKIE, theme, max_age=YEAR_S, httponly=True, samesite="Lax", secure=request.is_secure
    )
    return answer


def speak() -> Spoken:
    """Choose the login page's language: the one that was switched to, else the one that this browser's last person
    reads, else what the browser asks for."""
    asked = request.args.get("lang")
    if asked in language.languages():
        return Spoken(asked, True)
    g.language = language.choose(request.cookies.get(LANGUAGE_COOKIE), request.accept_languages, "en")
    return Spoken(g.language, False)


def farewell() -> Response:
    """Send a browser that has signed out to the login page, without its cookie."""
    answer = make_response(redirect(LOGIN_PAGE, 303))
    answer.delete_cookie(COOKIE, httponly=True, samesite="Lax", secure=request.is_secure)
    return answer
