"""The page of a site's settings; and, for all templates, money and times as they are at a site."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint
from babel.numbers import get_currency_name
from flask import Response, g, request
from flask.typing import ResponseReturnValue

from bawaba.core.errors import Invalid, Problem
from bawaba.sites import logos, rules, service
from bawaba.sites.models import Site
from bawaba.sites.schemas import SiteChange, SiteIn
from bawaba.web import guard, language, pages
from bawaba.web.forms import Form, typed
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import parse, whole_number
from bawaba.web.language import translate as _

bp = APIBlueprint("sites_pages", __name__, enable_openapi=False)
MAY_BE_EMPTY = frozenset({"wifi_name", "support", "colour", "terms"})
MAY_BE_NONE = frozenset({"trial_minutes", "trial_rate_kbps"})
OFTEN_USED = ("YER", "SYP", "IQD", "SAR", "EGP", "JOD", "SDG", "LYD", "USD", "EUR")
NO_PLACES = ("Etc/", "US/", "Brazil/", "Canada/", "Chile/", "Mexico/", "SystemV/")

pages.say(
    site_saved="The settings are saved.",
    site_added="The site is added.",
    logo_saved="The logo is saved.",
    logo_removed="The logo is removed.",
)


@bp.app_context_processor
def about_the_place() -> dict[str, str]:
    """What stands below the product's name."""
    return {"place": my_sites()[0].name if guard.caller() and my_sites() else ""}


@bp.app_template_global()
def my_sites() -> Sequence[Site]:
    """The sites that the reader sees, read once a request."""
    if "sites" not in g:
        g.sites = runtime().recall(service.CACHED, actor().sight, service.own_sites, actor())
    found: Sequence[Site] = g.sites
    return found


@bp.app_template_global()
def site_options() -> list[tuple[int, str]]:
    """The reader's sites, to choose from."""
    return [(site.id, site.name) for site in my_sites()]


@bp.app_template_global()
def site_name(site_id: int) -> str:
    """The name of one of the reader's sites."""
    site = _site(site_id)
    return site.name if site else ""


@bp.app_template_global()
def price_at(site_id: int, minor: int, currency: str) -> str:
    """An amount with the decimals that the site writes."""
    site = _site(site_id)
    decimals = (
        rules.decimals_for(currency, site.currency, site.currency_decimals) if site else rules.usual_decimals(currency)
    )
    return language.money(minor, currency, decimals)


@bp.app_template_global()
def time_at(site_id: int | None, at: datetime | None) -> str:
    """A time on the site's clock: of today only the time of day, else with its date."""
    if at is None:
        return "—"
    zone = zone_of(site_id)
    is_today = at.astimezone(ZoneInfo(zone)).date() == runtime().clock.now().astimezone(ZoneInfo(zone)).date()
    return language.clock_time(at, zone) if is_today else language.moment(at, zone)


@bp.app_template_global()
def day_at(site_id: int | None, at: datetime | None) -> str:
    """A time on the site's clock, always with its date."""
    return language.moment(at, zone_of(site_id)) if at is not None else "—"


@bp.app_template_global()
def is_past(at: datetime | None) -> bool:
    """Whether a time is over."""
    return at is not None and at <= runtime().clock.now()


@bp.app_template_global()
def seconds_to(at: datetime) -> float:
    """How long it is until a time; 0 when it is over."""
    return max(0.0, (at - runtime().clock.now()).total_seconds())


@bp.app_template_global()
def seconds_since(at: datetime) -> float:
    """How long a time is ago; 0 when it is to come."""
    return max(0.0, (runtime().clock.now() - at).total_seconds())


@bp.get("/site")
@requires("sites:write")
def show_site() -> ResponseReturnValue:
    """A site's settings; without a site, the form of the first one."""
    site_id = whole_number("site_id", 0, 2**53, least=0)
    site = _site(site_id) if site_id else next(iter(my_sites()), None)
    if site is None:
        return pages.go("/site/new")
    return _form(site, Form({name: getattr(site, name) for name in SiteIn.model_fields}))


@bp.post("/site/<int:site_id>")
@requires("sites:write")
def save_site(site_id: int) -> ResponseReturnValue:
    """Change a site."""
    site = runtime().read(service.get_site, actor(), site_id)
    try:
        changes = parse(SiteChange, _sent()).changes()
        service.change_site(runtime(), actor(), site_id, changes)
    except Problem as problem:
        return _form(site, typed(problem), problem.status)
    return pages.go(f"/site?site_id={site_id}", "site_saved")


@bp.post("/site/<int:site_id>/logo")
@requires("sites:write")
def save_logo(site_id: int) -> ResponseReturnValue:
    """Take a picture as the site's logo, or take the logo away."""
    site = runtime().read(service.get_site, actor(), site_id)
    if request.form.get("remove"):
        logos.remove_logo(runtime(), actor(), site_id)
        return pages.go(f"/site?site_id={site_id}", "logo_removed")
    try:
        file = request.files.get("logo")
        if file is None or not file.filename:
            raise Invalid(fields={"logo": [_("Choose a picture.")]})
        logos.set_logo(runtime(), actor(), site_id, file.read(logos.UPLOAD_MOST + 1))
    except Invalid as problem:
        values = {name: getattr(site, name) for name in SiteIn.model_fields}
        return _form(site, Form(values, problem), problem.status)
    return pages.go(f"/site?site_id={site_id}", "logo_saved")


@bp.get("/site/new")
@requires("sites:write")
def new_site() -> Response:
    """The form of a new site."""
    usual = {name: field.default for name, field in SiteIn.model_fields.items() if not field.is_required()}
    usual |= {"time_zone": "Asia/Aden", "currency": "YER", "language": language.current()}
    return _form(None, Form(usual))


@bp.post("/site/new")
@requires("sites:write")
def add_site() -> ResponseReturnValue:
    """Add a site."""
    try:
        site = service.add_site(runtime(), actor(), parse(SiteIn, _sent()).model_dump())
    except Problem as problem:
        return _form(None, typed(problem), problem.status)
    return pages.go(f"/site?site_id={site.id}", "site_added")


def _sent() -> dict[str, str | None]:
    """The fields of the form; an empty one means "none" where that may be, else that it was left out."""
    sent = {name: request.form[name].strip() for name in SiteIn.model_fields if name in request.form}
    kept: dict[str, str | None] = {name: text for name, text in sent.items() if text or name in MAY_BE_EMPTY}
    return kept | {name: None for name, text in sent.items() if not text and name in MAY_BE_NONE}


def _form(site: Site | None, form: Form, status: int = 200) -> Response:
    logo = runtime().read(logos.digest_of, site.id) if site else ""
    lists = {"time_zones": _time_zones(), "currencies": _currencies()}
    return pages.show("sites/site.html", None, status, site=site, form=form, logo=logo, **lists)


def _time_zones() -> list[tuple[str, str]]:
    places = [name for name in rules.time_zones() if "/" in name and not name.startswith(NO_PLACES)]
    return [(name, name.replace("_", " ")) for name in sorted([*places, "UTC"])]


def _currencies() -> list[tuple[str, str]]:
    first = [code for code in OFTEN_USED if code in rules.currencies()]
    rest = sorted(rules.currencies() - set(first))
    locale = language.locale(language.current())
    return [(code, f"{code} · {get_currency_name(code, locale=locale)}") for code in [*first, *rest]]


def _site(site_id: int) -> Site | None:
    return next((site for site in my_sites() if site.id == site_id), None)


@bp.app_template_global()
def zone_of(site_id: int | None) -> str:
    """A site's time zone; for what belongs to no site, that of the reader's first one."""
    site = _site(site_id) if site_id is not None else next(iter(my_sites()), None)
    return site.time_zone if site else "UTC"
