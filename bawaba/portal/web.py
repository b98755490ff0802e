"""The guest's pages over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from apiflask import APIBlueprint
from flask import Response, redirect, request
from flask.typing import ResponseReturnValue

from bawaba.authmon import calls
from bawaba.core.database import DatabaseAway
from bawaba.core.errors import Forbidden, NotFound, Problem
from bawaba.plans.rules import USED_TIME
from bawaba.portal import pages, words
from bawaba.portal.visit import Visit, visit
from bawaba.sessions import admission, guest_cards, redeem, service, trial
from bawaba.sessions.errors import NothingToResume, UnknownPlace
from bawaba.sessions.standing import Standing
from bawaba.sites.logos import logo
from bawaba.vouchers import codes
from bawaba.web.guard import open_to_everyone, runtime
from bawaba.web.language import translate as _

bp = APIBlueprint("portal_web", __name__, enable_openapi=False)
View = Callable[..., ResponseReturnValue]


class ForeignForm(Forbidden):
    """The form was on somebody else's page."""

    code = "csrf_failed"


def for_guests(view: Callable[..., ResponseReturnValue]) -> View:
    """Hand the view its visit; whatever is refused becomes a page in the guest's words."""

    @open_to_everyone
    @wraps(view)
    def answered(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        here, typed = visit(runtime()), request.form.get("code", "")
        try:
            here.speak()
            try:
                return view(here, *args, **kwargs)
            except DatabaseAway:
                raise
            except Problem as problem:
                return pages.refusal(here, problem, typed)
        except DatabaseAway:
            return pages.away(here, typed)

    return answered


@bp.get("/")
@open_to_everyone
def index() -> ResponseReturnValue:
    """The way in; and where openNDS calls, for it has one address for its guests and for itself."""
    return calls.answer(runtime()) if calls.is_call() else way_in()


@for_guests
def way_in(here: Visit) -> ResponseReturnValue:
    """Who is online sees how they stand, who has something left goes on, the others type a code."""
    return _home(here)


@bp.route("/fas/", methods=["GET", "POST"])
@open_to_everyone
def from_opennds() -> ResponseReturnValue:
    """Where openNDS sends its guests, and calls itself (FAS level 4)."""
    return calls.answer(runtime()) if calls.is_call() else redirect(visit(runtime()).link("/"), 302)


@bp.get("/guest/s/<site>/")
@for_guests
def from_unifi(here: Visit, site: str) -> ResponseReturnValue:
    """Where a UniFi controller sends guests: the site's name is in the path."""
    return redirect(here.link("/"), 302)


@bp.get("/c/<code>")
@bp.get("/C/<code>")
@for_guests
def by_link(here: Visit, code: str) -> ResponseReturnValue:
    """A card's QR code or link: the code is filled in, the guest only confirms."""
    codes.parse(code)
    return pages.enter(here, code, confirm=True)


@bp.get("/status")
@for_guests
def status(here: Visit) -> ResponseReturnValue:
    """How the guest stands."""
    return _home(here, _("You are not online."))


@bp.get("/add")
@for_guests
def add_card(here: Visit) -> ResponseReturnValue:
    """Type another card while online: the device goes on with that one."""
    now = here.standing
    return pages.enter(here, using=now if now is not None and not now.over else None)


@bp.post("/add")
@for_guests
def add_to_card(here: Visit) -> ResponseReturnValue:
    """Put the card that was typed onto the one in use."""
    _own_form()
    guest_cards.add_to_mine(here.rt, request.form.get("code", ""), here.guest)
    return redirect(here.link("/status"), 303)


@bp.post("/left")
@for_guests
def look_at_card(here: Visit) -> ResponseReturnValue:
    """What is left on a card, without signing in by it."""
    _own_form()
    typed = request.form.get("code", "")
    found = guest_cards.look(here.rt, typed, here.guest)
    return pages.left_on_card(here, found, typed)


@bp.post("/trial")
@for_guests
def try_it(here: Visit) -> ResponseReturnValue:
    """The place's free trial."""
    _own_form()
    trial.begin_trial(here.rt, here.guest)
    return redirect(here.link("/status"), 303)


@bp.get("/terms")
@for_guests
def terms(here: Visit) -> ResponseReturnValue:
    """What guests of the place agree to."""
    return pages.page(here, "terms")


@bp.get("/logo/<digest>.png")
@open_to_everyone
def logo_picture(digest: str) -> ResponseReturnValue:
    """A site's logo; its address changes with it, so browsers may keep it."""
    png = runtime().read(logo, digest)
    if png is None:
        raise NotFound()
    return Response(png, mimetype="image/png", headers={"Cache-Control": "public, max-age=31536000, immutable"})


@bp.post("/resume")
@for_guests
def resume(here: Visit) -> ResponseReturnValue:
    """Go on with the card that this device used last."""
    _own_form()
    redeem.resume(here.rt, here.guest, move="move" in request.form)
    return redirect(here.link("/status"), 303)


@bp.post("/logout")
@for_guests
def log_out(here: Visit) -> ResponseReturnValue:
    """Leave; the rest of a used-time card is kept."""
    _own_form()
    try:
        service.log_out(here.rt, here.guest)
    except NothingToResume:
        return redirect(here.link("/"), 303)
    return redirect(here.link("/", out="1"), 303)


def _home(here: Visit, note: str = "") -> Response:
    """What fits this device now; `note` is said to who is not online."""
    if here.router is None:
        raise UnknownPlace()
    now = here.standing
    if now is not None and not now.over and not now.run_out:
        if now.opening:
            return _opening(here, now)
        return pages.standing(here, now)
    if here.is_trusted:
        return pages.page(here, "trusted")
    if request.args.get("out"):
        note = words.logged_out(here, now)
    elif now is not None:
        note = words.farewell(here, now) or note
    left = here.left_behind
    paused = bool(request.args.get("out")) and left is not None and left.card.kind == USED_TIME
    return pages.enter(here, note=note, left=left, paused=paused)


def _opening(here: Visit, now: Standing) -> Response:
    """The router has not let the device in yet: wait, or give the guest's own browser what it has to send there."""
    if not here.rt.read(admission.is_handed, now.session.id):
        return pages.standing(here, now)
    got = redeem.look_again(here.rt, here.guest)
    if got is not None and got.handoff is not None:
        return pages.hand_over(here, got.handoff)
    here.look_anew()
    return pages.standing(here, here.standing or now)


def _own_form() -> None:
    """There are no cookies here to protect, but no other page shall log a guest out. Raises `ForeignForm`."""
    origin = request.headers.get("Origin")
    if origin and origin != "null" and urlsplit(origin).netloc != request.host:
        raise ForeignForm()
