"""The pages of routers, and of devices that a site knows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from bawaba.core.errors import Problem
from bawaba.routers import devices, queries, removing, router_form, service
from bawaba.routers.driver import GatewayError, Note
from bawaba.routers.errors import RouterInUse
from bawaba.routers.links import driver_class, known_drivers
from bawaba.routers.models import Router
from bawaba.routers.reconcile import reconcile_now
from bawaba.routers.schemas import DeviceIn, RouterChange, RouterIn
from bawaba.sites.service import own_sites
from bawaba.web import pages
from bawaba.web.forms import Form, typed
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import as_number, parse, whole_number
from bawaba.web.language import translate as _
from bawaba.web.language import translate_count as ngettext
from bawaba.web.paging import PageRequest, page_of, page_request

bp = APIBlueprint("routers_pages", __name__, enable_openapi=False)
FIELDS = ("name", "address", "port", "username", "password", "failover_group")
MAKES = {  # as they are offered: what most owners have comes first
    "routeros": "MikroTik RouterOS",
    "linux": "This Linux machine (nftables)",
    "opennds": "openNDS",
    "authmon": "openNDS behind NAT (FAS level 4)",
    "unifi": "UniFi",
    "radius": "RADIUS",
    "fake": "In memory (to try things out)",
}

pages.say(
    router_added="The router is added. It is asked how it is at once.",
    router_saved="The router is saved.",
    router_removed="The router is removed.",
    router_resting="The router is in maintenance: nothing is sent to it.",
    router_back="The router is in service again.",
    device_saved="The device is noted. The routers learn it now.",
    device_forgotten="The device is treated like any other again.",
)


@bp.app_template_global()
def make_name(driver: str) -> str:
    """A make of router in words; one without words by its driver's name."""
    return _(MAKES.get(driver, driver))


@bp.app_template_global()
def in_words(note: str) -> str:
    """A gateway's note in the reader's language, where its make has it as a template."""
    return _(note.template, **note.values) if isinstance(note, Note) else note


@bp.app_template_global()
def translated(choices: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The choices of a menu in the reader's language."""
    return [(value, _(words)) for value, words in choices]


# Routers


@bp.get("/routers")
@requires("routers:read")
def list_routers() -> Response:
    """The routers and how they are."""
    page = page_request()
    rows = runtime().read(queries.list_routers, actor(), page)
    return pages.show("routers/list.html", "routers/_list.html", page=page_of(rows, page, lambda row: row.id))


@bp.get("/routers/<int:router_id>")
@requires("routers:read")
def show_router(router_id: int) -> Response:
    """One router."""
    return _router_page(router_id)


@bp.post("/routers/<int:router_id>/test")
@requires("routers:write")
def test_router(router_id: int) -> Response:
    """Ask a router who it is, now, and show what it says."""
    info, error = service.test_router(runtime(), actor(), router_id)
    return _router_page(router_id, tested=True, info=info, error=error)


test_router.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for a test


@bp.post("/routers/<int:router_id>/trust")
@requires("routers:write")
def trust_certificate(router_id: int) -> Response:
    """Trust the certificate that the last test showed, and test again."""
    service.trust_certificate(runtime(), actor(), router_id, request.form.get("certificate", ""))
    return test_router(router_id)


@bp.post("/routers/<int:router_id>/reconcile")
@requires("routers:write")
def compare_router(router_id: int) -> Response:
    """Compare what lies on the router with what should, now, and show what came of it."""
    try:
        reconcile_now(runtime(), actor(), router_id)
    except GatewayError as error:
        return _router_page(router_id, tested=True, error=error)
    return _router_page(router_id, compared=True)


@bp.app_template_global()
def drift_words(drift: dict[str, Any]) -> list[str]:
    """What a comparison found, in words; nothing where all is as it should be."""
    said = [
        ngettext("%(count)s thing was missing", "%(count)s things were missing", drift.get("missing", 0)),
        ngettext("%(count)s had other limits", "%(count)s had other limits", drift.get("differing", 0)),
        ngettext("%(count)s was left over", "%(count)s were left over", drift.get("extra", 0)),
        ngettext("%(count)s is to go, but not yet", "%(count)s are to go, but not yet", drift.get("held_back", 0)),
        ngettext("%(count)s is unknown to us", "%(count)s are unknown to us", drift.get("unknown", 0)),
    ]
    counts = [drift.get(name, 0) for name in ("missing", "differing", "extra", "held_back", "unknown")]
    return [words for words, count in zip(said, counts, strict=True) if count]


@bp.get("/routers/new")
@requires("routers:write")
def new_router() -> Response:
    """Which make a new router is; once that is known, the form of this make."""
    make = request.args.get("driver", "")
    return _new_form(make, Form({"driver": make} | router_form.defaults(make)))


@bp.post("/routers/new")
@requires("routers:write")
def add_router() -> ResponseReturnValue:
    """Add a router."""
    make = request.form.get("driver", "")
    try:
        site_id = request.form.get("site_id") or None
        sent = {"site_id": site_id, "driver": make, "options": router_form.options_sent(make)} | _sent()
        router = service.add_router(runtime(), actor(), parse(RouterIn, sent).model_dump())
    except Problem as problem:
        return _new_form(make, typed(problem), problem.status)
    return pages.go(f"/routers/{router.id}", "router_added")


@bp.get("/routers/<int:router_id>/edit")
@requires("routers:write")
def edit_router(router_id: int) -> Response:
    """The form of a router as it is, without its password and its secret options."""
    router = runtime().read(queries.get_router, actor(), router_id)
    values = {name: getattr(router, name) for name in FIELDS if name != "password"}
    return _form(router.driver, Form(values | router_form.values(router)), router)


@bp.post("/routers/<int:router_id>/edit")
@requires("routers:write")
def save_router(router_id: int) -> ResponseReturnValue:
    """Change a router; a password or a secret option that is left empty stays."""
    router = runtime().read(queries.get_router, actor(), router_id)
    try:
        emptied = dict.fromkeys(("port", "username", "failover_group"))
        options = router_form.options_sent(router.driver)
        changes = parse(RouterChange, emptied | _sent() | {"options": options}).changes()
        service.change_router(runtime(), actor(), router_id, changes)
    except Problem as problem:
        return _form(router.driver, typed(problem), router, problem.status)
    return pages.go(f"/routers/{router_id}", "router_saved")


@bp.post("/routers/<int:router_id>/maintenance")
@requires("routers:write")
def set_maintenance(router_id: int) -> ResponseReturnValue:
    """Leave a router alone, or take it into service again."""
    resting = request.form.get("resting") == "true"
    service.change_router(runtime(), actor(), router_id, {"status": "maintenance" if resting else "up"})
    return pages.go(f"/routers/{router_id}", "router_resting" if resting else "router_back")


@bp.get("/routers/<int:router_id>/remove")
@requires("routers:write")
def ask_to_remove(router_id: int) -> Response:
    """What removing a router means."""
    return _removing_page(router_id)


def _removing_page(router_id: int, status: int = 200) -> Response:
    router, online, cards = runtime().read(_what_goes_on, router_id)
    return pages.show(
        "question.html",
        None,
        status,
        question=_("Remove %(name)s?", name=pages.apart(router.name)),
        facts=_what_removing_means(online, cards),
        verb=_("Remove"),
        action=f"/routers/{router_id}/remove",
        back=f"/routers/{router_id}",
        hidden={"online": online},
        destroys=True,
    )


def _what_goes_on(db: Session, router_id: int) -> tuple[Router, int, int]:
    router = queries.get_router(db, actor(), router_id)
    return router, queries.guests_at(db, router.id), queries.lying_on(db, router.id)


def _what_removing_means(online: int, cards: int) -> list[str]:
    sent_off = ngettext(
        "%(count)s guest is online through it and is sent off now; what is left on the card stays.",
        "%(count)s guests are online through it and are sent off now; what is left on their cards stays.",
        online,
    )
    stay = ngettext(
        "%(count)s card lies on it and works there until you delete it from the router itself.",
        "%(count)s cards lie on it and work there until you delete them from the router itself.",
        cards,
    )
    lost = _("Its settings and the work that waits for it are lost. Sessions that went through it stay in the lists.")
    return [*([sent_off] if online else []), *([stay] if cards else []), lost]


@bp.post("/routers/<int:router_id>/remove")
@requires("routers:write")
def remove_router(router_id: int) -> ResponseReturnValue:
    """Remove a router. Who has read that guests are online has confirmed that they are sent off."""
    confirmed = request.form.get("online", "0") != "0"
    try:
        removing.remove_router(runtime(), actor(), router_id, confirmed=confirmed)
    except RouterInUse as refusal:  # somebody came in since the question was asked
        return _removing_page(router_id, refusal.status)
    return pages.go("/routers", "router_removed")


def _router_page(router_id: int, **facts: Any) -> Response:
    def read(db: Session) -> dict[str, Any]:
        router = queries.get_router(db, actor(), router_id)
        jobs = queries.unfinished_jobs(db, actor(), PageRequest(5, None), router.id)
        at = (router.drift or {}).get("at")
        return {"router": router, "jobs": jobs, "compared_at": datetime.fromisoformat(at) if at else None}

    found = {"tested": False, "info": None, "error": None, "compared": False} | facts | runtime().read(read)
    return pages.show("routers/router.html", "routers/_router.html", **found)


def _new_form(make: str, form: Form, status: int = 200) -> Response:
    if make in known_drivers():
        return _form(make, form, None, status)
    order = list(MAKES)
    known = sorted(known_drivers(), key=lambda driver: order.index(driver) if driver in order else len(order))
    makes = [(driver, make_name(driver)) for driver in known]
    return pages.show("routers/choose.html", None, status, form=form, makes=makes)


def _form(make: str, form: Form, router: Router | None = None, status: int = 200) -> Response:
    asked = {"make": make, "needs": driver_class(make).needs, "options": router_form.fields(make, router)}
    return pages.show("routers/form.html", None, status, router=router, form=form, **asked)


def _sent() -> dict[str, Any]:
    """The fields that were filled in, but for the options."""
    sent = {name: request.form.get(name, "").strip() for name in FIELDS}
    return {name: text for name, text in sent.items() if text}


# Known devices


@bp.get("/devices")
@requires("devices:read")
def list_devices() -> Response:
    """Devices that are online without a card, and those that never are."""
    return _devices_page(Form({"standing": "trusted"}))


@bp.post("/devices")
@requires("devices:write")
def set_device() -> ResponseReturnValue:
    """Trust or block a device."""
    try:
        sent = {name: request.form.get(name, "").strip() for name in ("mac", "standing", "note")}
        wanted = parse(DeviceIn, sent | {"site_id": _site_id()})
        service.set_device(runtime(), actor(), wanted.site_id, wanted.mac, wanted.standing, wanted.note)
    except Problem as problem:
        return _devices_page(typed(problem), problem.status)
    return pages.go(f"/devices?site_id={_site_id() or ''}", "device_saved")


@bp.post("/devices/<mac>/forget")
@requires("devices:write")
def forget_device(mac: str) -> ResponseReturnValue:
    """Treat a device like any other again."""
    service.set_device(runtime(), actor(), _site_id(), mac, None, "")
    return pages.go(f"/devices?site_id={_site_id() or ''}", "device_forgotten")


def _devices_page(form: Form, status: int = 200) -> Response:
    site_id = _site_id()
    known = runtime().read(lambda db: list(devices.known(db, site_id))) if site_id else []
    return pages.show("routers/devices.html", None, status, form=form, known=known, site_id=site_id)


def _site_id() -> int | None:
    """The site that is meant: the one named, else the reader's first."""
    asked = as_number(request.form.get("site_id", ""))
    wanted = whole_number("site_id", 0, 2**53, least=0) if asked is None else asked
    sites = runtime().read(own_sites, actor())
    return next((site.id for site in sites if site.id == wanted), None) or next((site.id for site in sites), None)
