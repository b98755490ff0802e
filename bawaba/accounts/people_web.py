"""The pages of people: who may sign in, and everybody's own account."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from bawaba.accounts import browser, keys, people, roles, second_factor, signing_in
from bawaba.accounts.errors import NeedsSignIn
from bawaba.accounts.models import ApiKey
from bawaba.accounts.schemas import CodeIn, ConfirmIn, KeyIn, PasswordIn, UserChange, UserIn
from bawaba.core.errors import Problem, Unauthenticated
from bawaba.web import pages
from bawaba.web.forms import Form, typed
from bawaba.web.guard import actor, caller, requires, runtime, signed_in
from bawaba.web.input import form as form_as
from bawaba.web.input import parse
from bawaba.web.language import translate as _
from bawaba.web.paging import PageRequest, page_of, page_request
from bawaba.web.qr_picture import qr_data_url

bp = APIBlueprint("people_pages", __name__, enable_openapi=False)
ROLES = {
    roles.ADMIN: ("Administrator", "Everything, at every site."),
    roles.OPERATOR: ("Operator", "Makes and prints cards, sees who is online, disconnects devices."),
    roles.VIEWER: ("Viewer", "Looks on; codes are hidden."),
    roles.CLERK: ("Clerk", "Sells cards at the counter, checks a card, and sees nothing else."),
}
KEYS_MOST = 100

pages.say(
    person_added="The account is ready. Pass on the user name and the password.",
    person_saved="The account is saved.",
    person_removed="The account is removed.",
    password_changed="Your password is changed. Every other sign-in of yours has ended.",
    totp_on="From now on you sign in with a code too.",
    totp_off="You sign in with the password alone again.",
    key_revoked="The key does not work any more.",
)


@bp.app_template_global()
def role_name(role: str) -> str:
    """A role in the reader's language."""
    return _(ROLES[role][0]) if role in ROLES else role


# People


@bp.get("/people")
@requires("users:read")
def list_people() -> Response:
    """Everybody who may sign in."""
    page = page_request()
    rows = runtime().read(people.list_people, page)
    return pages.show("accounts/people.html", page=page_of(rows, page, lambda person: person.user.id))


@bp.get("/people/new")
@requires("users:write")
def new_person() -> Response:
    """The form of a new account."""
    return _person_form(None, Form({"role": roles.OPERATOR, "language": "ar"}))


@bp.post("/people/new")
@requires("users:write")
def add_person() -> ResponseReturnValue:
    """Let somebody in."""
    try:
        wanted = parse(UserIn, _sent() | ({"site_ids": _site_ids()} if _site_ids() else {}))
        people.add_person(runtime(), actor(), people.NewPerson(**wanted.model_dump()))
    except Problem as problem:
        return _person_form(None, typed(problem), problem.status)
    return pages.go("/people", "person_added")


@bp.get("/people/<int:user_id>")
@requires("users:write")
def edit_person(user_id: int) -> Response:
    """The form of an account as it is."""
    person = runtime().read(people.get_person, user_id)
    user = person.user
    values = {
        "username": user.username,
        "role": user.role,
        "language": user.spoken,
        "site_ids": person.site_ids,
        "disabled": "true" if user.disabled_at else "",
    }
    return _person_form(person, Form(values))


@bp.post("/people/<int:user_id>")
@requires("users:write")
def save_person(user_id: int) -> ResponseReturnValue:
    """Change an account; a password that is left empty stays."""
    person = runtime().read(people.get_person, user_id)
    try:
        sent = _sent() | {"disabled": request.form.get("disabled") == "true"}
        if request.form.get("sites_shown"):
            sent["site_ids"] = _site_ids()
        people.change_person(runtime(), actor(), user_id, parse(UserChange, sent).changes())
    except Problem as problem:
        return _person_form(person, typed(problem), problem.status)
    return pages.go("/people", "person_saved")


@bp.get("/people/<int:user_id>/remove")
@requires("users:write")
def ask_to_remove(user_id: int) -> Response:
    """What removing an account means."""
    person = runtime().read(people.get_person, user_id)
    return pages.show(
        "question.html",
        question=_("Remove %(name)s?", name=pages.apart(person.user.username)),
        facts=[_("This person is signed out everywhere and can never sign in again; their keys end.")],
        verb=_("Remove"),
        action=f"/people/{user_id}/remove",
        back=f"/people/{user_id}",
        hidden={},
        destroys=True,
    )


@bp.post("/people/<int:user_id>/remove")
@requires("users:write")
def remove_person(user_id: int) -> ResponseReturnValue:
    """Let somebody go."""
    people.remove_person(runtime(), actor(), user_id)
    return pages.go("/people", "person_removed")


def _person_form(person: people.Person | None, form: Form, status: int = 200) -> Response:
    may_give = [
        (role, _(name), _(about)) for role, (name, about) in ROLES.items() if roles.may_give(actor().role, role)
    ]
    return pages.show("accounts/person.html", None, status, person=person, form=form, roles=may_give)


def _sent() -> dict[str, Any]:
    sent = {name: request.form.get(name, "") for name in ("username", "password", "role", "language")}
    return {name: text for name, text in sent.items() if text}


def _site_ids() -> list[str]:
    return request.form.getlist("site_ids")


# One's own account


@bp.get("/account")
@signed_in
def show_account() -> Response:
    """One's own language, password, second factor and keys."""
    return _account()


@bp.post("/account/language")
@signed_in
def choose_language() -> ResponseReturnValue:
    """The language in which the pages speak to one."""
    _own_login()
    chosen = request.form.get("language", "")
    people.choose_language(runtime(), actor(), chosen)
    return browser.remember_language(pages.go(pages.back_to("/account")), chosen)


@bp.post("/account/theme")
@signed_in
def choose_theme() -> ResponseReturnValue:
    """Light or dark pages in this browser, or as the device has it."""
    return browser.remember_theme(pages.go(pages.back_to("/account")), request.form.get("theme", ""))


@bp.post("/account/password")
@signed_in
def change_password() -> ResponseReturnValue:
    """Change one's own password."""
    login_id = _own_login()
    try:
        sent = form_as(PasswordIn)
        people.check_password(sent.new_password, actor().username, "new_password")
        signing_in.change_password(
            runtime(), actor(), login_id, sent.old_password, sent.new_password, request.remote_addr or ""
        )
    except Problem as problem:
        return _account("password", problem)
    return pages.go("/account", "password_changed")


@bp.post("/account/totp")
@signed_in
def begin_totp() -> ResponseReturnValue:
    """Show a secret for an authenticator app; it counts once a code of it was typed."""
    _own_login()
    try:
        _confirm_password()
    except Problem as problem:
        return _account("totp", problem)
    secret, uri = second_factor.begin(runtime(), actor())
    return _totp_page(secret, uri, Form({}))


@bp.post("/account/totp/confirm")
@signed_in
def confirm_totp() -> ResponseReturnValue:
    """Prove with a code that the app has the secret."""
    _own_login()
    try:
        second_factor.confirm(runtime(), actor(), form_as(CodeIn).totp)
    except Problem as problem:
        return _totp_page(None, None, typed(problem), problem.status)
    return pages.go("/account", "totp_on")


@bp.post("/account/totp/off")
@signed_in
def end_totp() -> ResponseReturnValue:
    """Sign in with the password alone again."""
    _own_login()
    try:
        _confirm_password()
    except Problem as problem:
        return _account("totp", problem)
    second_factor.switch_off(runtime(), actor())
    return pages.go("/account", "totp_off")


@bp.post("/account/keys")
@signed_in
def make_key() -> ResponseReturnValue:
    """Make a personal key, and show it this once."""
    _own_login()
    try:
        key, secret = keys.make_key(runtime(), actor(), form_as(KeyIn).name, None)
    except Problem as problem:
        return _account("key", problem)
    return pages.show("accounts/key.html", key=key, secret=secret)


@bp.post("/account/keys/<int:key_id>/revoke")
@signed_in
def revoke_key(key_id: int) -> ResponseReturnValue:
    """End one of one's own keys."""
    _own_login()
    keys.revoke_key(runtime(), actor(), key_id)
    return pages.go("/account", "key_revoked")


def _account(part: str = "", problem: Problem | None = None) -> Response:
    """The page; what was wrong with one of its forms stands in that one."""

    def read(db: Session) -> tuple[people.Person, list[ApiKey]]:
        user_id = actor().user_id
        if user_id is None:
            raise Unauthenticated()
        return people.get_person(db, user_id), list(keys.list_keys(db, actor(), PageRequest(KEYS_MOST, None)))

    person, own_keys = runtime().read(read)
    forms = {name: typed(problem) if name == part and problem else Form({}) for name in ("password", "totp", "key")}
    status = problem.status if problem else 200
    return pages.show("accounts/account.html", None, status, person=person, keys=own_keys[:KEYS_MOST], forms=forms)


def _totp_page(secret: str | None, uri: str | None, form: Form, status: int = 200) -> Response:
    picture = qr_data_url(uri) if uri else None
    return pages.show("accounts/totp.html", None, status, secret=secret, picture=picture, form=form)


def _confirm_password() -> None:
    """Make sure that it is the person and not a stranger at their screen."""
    password = parse(ConfirmIn, {"password": request.form.get("password", "")}).password
    signing_in.confirm_password(runtime(), actor(), password, request.remote_addr or "")


def _own_login() -> int:
    """This browser's sign-in. A key may not do these things. Raises `NeedsSignIn`."""
    asking = caller()
    if asking is None or asking.login_id is None:
        raise NeedsSignIn()
    return asking.login_id
