"""The guest's pages over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from apiflask import APIBlueprint
from flask import Response, redirect, request
from flask.typing import ResponseReturnValue

from bawaba.core.database import DatabaseAway
from bawaba.core.errors import Forbidden, Problem
from bawaba.portal import pages
from bawaba.portal.visit import Visit, visit
from bawaba.sessions import redeem, service, standing
from bawaba.sessions.errors import NothingToResume
from bawaba.sessions.standing import Standing
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
        try:
            here = visit(runtime())
            try:
                return view(here, *args, **kwargs)
            except DatabaseAway:
                raise
            except Problem as problem:
                return pages.refusal(here, problem, "")
        except DatabaseAway:
            return pages.away()

    return answered


@bp.get("/")
@for_guests
def index(here: Visit) -> ResponseReturnValue:
    """The way in: who is online sees how they stand, who has something left goes on, the others type a code."""
    now = _standing(here)
    if now is not None and not now.over:
        return _status(here, now)
    note = _("You are logged out. What is left on the card stays on it.") if request.args.get("out") else ""
    return pages.enter(here, note=note, left=_resumable(now))


@bp.get("/c/<code>")
@bp.get("/C/<code>")
@for_guests
def by_link(here: Visit, code: str) -> ResponseReturnValue:
    """A card's QR code or link: the code is filled in, the guest only confirms."""
    return pages.enter(here, code[:64], confirm=True)


@bp.get("/status")
@for_guests
def status(here: Visit) -> ResponseReturnValue:
    """How the guest stands."""
    now = _standing(here)
    if now is None or now.over:
        return pages.enter(here, note=_("You are not online."), left=_resumable(now))
    return _status(here, now)


@bp.get("/add")
@for_guests
def add_card(here: Visit) -> ResponseReturnValue:
    """Type another card while online: the device goes on with that one."""
    return pages.enter(here)


@bp.post("/resume")
@for_guests
def resume(here: Visit) -> ResponseReturnValue:
    """Go on with the card that this device used last."""
    _own_form()
    redeem.resume(here.rt, here.guest)
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


def _status(here: Visit, now: Standing) -> Response:
    if now.opening:
        return pages.page(here, "opening", refresh_s=pages.REFRESH_OPENING_S, refresh_to=here.link("/status"))
    return pages.page(here, "status", now=now, refresh_s=pages.REFRESH_STATUS_S, refresh_to=here.link("/status"))


def _standing(here: Visit) -> Standing | None:
    """How the device stands; None where we cannot tell which device it is."""
    router = here.router
    if router is None:
        return None
    try:
        guest = here.guest
    except DatabaseAway:
        raise
    except Problem:
        return None
    return here.rt.read(standing.of_device, router.site_id, guest.mac, here.rt.clock.now())


def _resumable(now: Standing | None) -> Standing | None:
    return now if now is not None and standing.may_resume(now, runtime().clock.now()) else None


def _own_form() -> None:
    """There are no cookies here to protect, but no other page shall log a guest out. Raises `ForeignForm`."""
    origin = request.headers.get("Origin")
    if origin and origin != "null" and urlsplit(origin).netloc != request.host:
        raise ForeignForm()
