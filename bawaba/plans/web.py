"""The pages of plans: the list, and one form for a new plan and a change."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue

from bawaba.core.errors import Invalid, Problem
from bawaba.plans import rules, service
from bawaba.plans.models import PlanVersion
from bawaba.plans.schemas import PlanChange, PlanIn
from bawaba.plans.words import plan_more, plan_title, plan_words
from bawaba.sites.models import Site
from bawaba.sites.service import get_site, own_sites, resolve_site
from bawaba.web import pages
from bawaba.web.forms import Form, amount, typed
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import as_number, parse
from bawaba.web.language import translate as _
from bawaba.web.paging import page_of, page_request

bp = APIBlueprint("plans_pages", __name__, enable_openapi=False)
SPANS = {"minutes": 60, "hours": 3600, "days": 86400}
SIZES = {"MB": 1024**2, "GB": 1024**3}
MEASURES = {
    "duration_seconds": SPANS,
    "valid_for_seconds": SPANS,
    "shelf_life_seconds": SPANS,
    "idle_timeout_seconds": SPANS,
    "quota_bytes": SIZES,
    "quota_up_bytes": SIZES,
    "quota_down_bytes": SIZES,
}
RATES = ("rate_down_kbps", "rate_up_kbps")
KBPS_PER_MBPS = 1000
UNITS_AT_FIRST = {
    "duration_seconds": "hours",
    "valid_for_seconds": "days",
    "shelf_life_seconds": "days",
    "quota_bytes": "GB",
    "quota_up_bytes": "GB",
    "quota_down_bytes": "GB",
}

pages.say(
    plan_added="The plan is ready. Make cards of it.",
    plan_saved="The plan is saved. Cards made before keep what they were made with.",
    plan_archived="The plan is put away. Its cards go on working.",
    plan_restored="The plan is back.",
)


bp.add_app_template_global(plan_title)
bp.add_app_template_global(plan_more)  # beside its name
bp.add_app_template_global(plan_words)  # any template may say what a plan buys


@bp.get("/plans")
@requires("plans:read")
def list_plans() -> Response:
    """The plans, or those that were put away."""
    page, archived = page_request(), request.args.get("archived") == "true"
    rows = runtime().read(service.list_plans, actor(), page, archived=archived)
    return pages.show("plans/list.html", page=page_of(rows, page, lambda row: row[0].id), archived=archived)


@bp.get("/plans/new")
@requires("plans:write")
def new_plan() -> Response:
    """The form of a new plan."""
    usual = {
        "kind": rules.ELAPSED,
        "devices_at_once": 1,
        "idle_timeout_seconds": 5,
        "idle_timeout_seconds_unit": "minutes",
    }
    usual |= {f"{name}_unit": unit for name, unit in UNITS_AT_FIRST.items()}
    return _form(None, Form(usual))


@bp.post("/plans/new")
@requires("plans:write")
def add_plan() -> ResponseReturnValue:
    """Add a plan."""
    try:
        site = _asked_site()
        wanted = parse(PlanIn, _sent(site) | {"site_id": site.id})
        service.add_plan(runtime(), actor(), site.id, wanted.facts())
    except Problem as problem:
        return _form(None, typed(problem), problem.status)
    return pages.go("/plans", "plan_added")


@bp.get("/plans/<int:plan_id>")
@requires("plans:write")
def edit_plan(plan_id: int) -> Response:
    """The form of a plan as it is."""
    plan, version = runtime().read(service.get_plan, actor(), plan_id)
    site = runtime().read(get_site, actor(), plan.site_id)
    return _form((plan, version), Form(_as_typed(version, site)))


@bp.post("/plans/<int:plan_id>")
@requires("plans:write")
def save_plan(plan_id: int) -> ResponseReturnValue:
    """Change a plan: a new version, when anything that a card says is different."""
    found = runtime().read(service.get_plan, actor(), plan_id)
    try:
        changes = parse(PlanChange, _sent(runtime().read(get_site, actor(), found[0].site_id))).changes()
        service.change_plan(runtime(), actor(), plan_id, changes)
    except Problem as problem:
        return _form(found, typed(problem), problem.status)
    return pages.go("/plans", "plan_saved")


@bp.post("/plans/<int:plan_id>/archive")
@requires("plans:write")
def archive_plan(plan_id: int) -> ResponseReturnValue:
    """Put a plan away."""
    service.change_plan(runtime(), actor(), plan_id, {}, archived=True)
    return pages.go("/plans", "plan_archived")


@bp.post("/plans/<int:plan_id>/restore")
@requires("plans:write")
def restore_plan(plan_id: int) -> ResponseReturnValue:
    """Bring a plan back."""
    service.change_plan(runtime(), actor(), plan_id, {}, archived=False)
    return pages.go("/plans", "plan_restored")


@bp.get("/plans/<int:plan_id>/archive")
@requires("plans:write")
def ask_to_archive(plan_id: int) -> Response:
    """What putting a plan away means."""
    _plan, version = runtime().read(service.get_plan, actor(), plan_id)
    return pages.show(
        "question.html",
        question=_("Put %(name)s away?", name=pages.apart(version.name)),
        facts=[_("No new cards are made of it. Cards that were made go on working. You can bring it back.")],
        verb=_("Put it away"),
        action=f"/plans/{plan_id}/archive",
        back=f"/plans/{plan_id}",
        hidden={},
        destroys=True,
    )


def _form(found: service.PlanNow | None, form: Form, status: int = 200) -> Response:
    sites = runtime().read(own_sites, actor())
    site = next((site for site in sites if found and site.id == found[0].site_id), None) or next(iter(sites), None)
    return pages.show(
        "plans/form.html",
        None,
        status,
        plan=found[0] if found else None,
        version=found[1] if found else None,
        form=form,
        site=site,
        span_units=[("minutes", _("minutes")), ("hours", _("hours")), ("days", _("days"))],
        size_units=[("MB", "MB"), ("GB", "GB")],
        has_more=_has_more(form),
    )


def _has_more(form: Form) -> bool:
    """Whether the fields that few plans need should be open."""
    rare = ("quota_up_bytes", "quota_down_bytes", "rate_up_kbps", "devices_ever", "shelf_life_seconds")
    return any(form.value(name) or form.fault(name) for name in rare) or bool(form.fault("idle_timeout_seconds"))


def _asked_site() -> Site:
    return runtime().read(resolve_site, actor(), as_number(request.form.get("site_id", "")))


def _sent(site: Site) -> dict[str, Any]:
    """The form's fields in the units of the product. Raises `Invalid` with all numbers that are none."""
    faults: dict[str, list[str]] = {}

    def number(name: str, per_unit: int, optional: bool = True) -> int | None:
        try:
            return amount(name, per_unit, optional=optional)
        except Invalid as problem:
            faults.update(problem.details["fields"])
            return None

    sent: dict[str, Any] = {"name": request.form.get("name", ""), "kind": request.form.get("kind", rules.ELAPSED)}
    for name, units in MEASURES.items():
        sent[name] = number(name, units.get(request.form.get(f"{name}_unit", ""), 1), name != "idle_timeout_seconds")
    for name in RATES:
        sent[name] = number(name, KBPS_PER_MBPS)
    sent["devices_at_once"] = number("devices_at_once", 1, optional=False)
    sent["devices_ever"] = number("devices_ever", 1)
    sent["price_minor"] = number("price_minor", 10**site.currency_decimals, optional=False)
    if faults:
        raise Invalid(fields=faults)
    return sent


def _as_typed(version: PlanVersion, site: Site) -> dict[str, Any]:
    """A plan as the form would have been filled in."""
    values: dict[str, Any] = {
        name: getattr(version, name) for name in ("name", "kind", "devices_at_once", "devices_ever")
    }
    for name, units in MEASURES.items():
        value = getattr(version, name)
        unit = next((unit for unit in reversed(units) if value and value % units[unit] == 0), next(iter(units)))
        values[f"{name}_unit"] = unit if value else UNITS_AT_FIRST.get(name, "minutes")
        values[name] = _plain(value, units[unit])
    for name in RATES:
        values[name] = _plain(getattr(version, name), KBPS_PER_MBPS)
    values["price_minor"] = f"{version.price_minor / 10**site.currency_decimals:.{site.currency_decimals}f}"
    return values


def _plain(value: int | None, per_unit: int) -> str:
    """A number in a larger unit, without needless decimals."""
    return "" if value is None else f"{value / per_unit:.6f}".rstrip("0").rstrip(".")
