"""The login page, and signing out of a browser."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue

from bawaba.accounts import browser, signing_in
from bawaba.accounts.authentication import authenticate
from bawaba.accounts.errors import TotpRequired
from bawaba.accounts.schemas import LoginForm
from bawaba.core.errors import Invalid, Problem, TooMany
from bawaba.web.guard import caller, open_to_everyone, runtime, signed_in
from bawaba.web.input import form
from bawaba.web.messages import sentence

bp = APIBlueprint("accounts_web", __name__, enable_openapi=False)


@bp.get("/login")
@open_to_everyone
def login_page() -> ResponseReturnValue:
    """Ask for a name and a password; who is signed in goes on."""
    browser.speak()
    path = browser.safe_next(request.args.get("next", ""))
    if (known := authenticate(runtime())) is not None:
        return redirect(browser.open_page(path, known.actor.role), 303)
    return _page(path)


@bp.post("/login")
@open_to_everyone
def log_in() -> ResponseReturnValue:
    """Take the login page's form."""
    return sign_browser_in()


def sign_browser_in() -> Response:
    """Sign a browser in by its form, or show the form again with what was wrong. Raises `CsrfFailed`."""
    browser.refuse_foreign_form()
    spoken = browser.speak()
    path = browser.safe_next(request.form.get("next", ""))
    try:
        typed = form(LoginForm)
        login = signing_in.sign_in_browser(
            runtime(), typed.username, typed.password, typed.totp, request.remote_addr or "", spoken
        )
    except Problem as problem:
        return _refused(problem, path)
    return browser.welcome(login, path)


def _refused(problem: Problem, path: str) -> Response:
    message = sentence("form_incomplete" if isinstance(problem, Invalid) else problem.code, problem.details)
    asks_code = isinstance(problem, TotpRequired) or bool(request.form.get("totp"))
    answer = make_response(_page(path, message, request.form.get("username", ""), asks_code), problem.status)
    if isinstance(problem, TooMany):
        answer.headers["Retry-After"] = str(problem.details["retry_after_s"])
    return answer


def _page(path: str, message: str = "", username: str = "", asks_code: bool = False) -> str:
    switched = request.args.get("lang")
    facts = {"next": path, "message": message, "username": username, "asks_code": asks_code, "switched": switched}
    return render_template("accounts/login.html", **facts)


@bp.post("/sign-out")
@signed_in
def sign_out() -> ResponseReturnValue:
    """End this browser's sign-in."""
    asking = caller()
    if asking is not None and asking.login_id is not None:
        signing_in.sign_out(runtime(), asking.login_id)
    return browser.farewell()
