"""The page of sales: what was sold, by day, by plan or by batch."""

from __future__ import annotations

from datetime import date
from urllib.parse import urlencode

from apiflask import APIBlueprint
from babel.dates import format_date
from flask import Response, request

from bawaba.core.errors import Invalid
from bawaba.sales.asked import asked_by, asked_period
from bawaba.sales.report import report
from bawaba.sales.rules import period
from bawaba.sites.asked import asked_site
from bawaba.sites.service import get_site, own_sites
from bawaba.web import language, pages
from bawaba.web.forms import Form
from bawaba.web.guard import actor, requires, runtime

bp = APIBlueprint("sales_pages", __name__, enable_openapi=False)


@bp.get("/sales")
@requires("reports:read")
def sales() -> Response:
    """What one site sold in a period."""
    rt = runtime()
    sites = rt.read(own_sites, actor())
    site_id = asked_site() or (sites[0].id if sites else None)
    if site_id is None:
        return pages.show("sales/sales.html", site=None)
    site = rt.read(get_site, actor(), site_id)
    problem = None
    try:
        time, by = asked_period(site), asked_by()
    except Invalid as invalid:
        problem, time, by = invalid, period("", "", site.time_zone, rt.clock.now()), "day"
    shown = {"from": time.first.isoformat(), "to": time.last.isoformat(), "by": by, "site_id": site.id}
    form = Form(shown | (request.args.to_dict() if problem else {}), problem)
    found = rt.read(report, site, time, by)
    file = f"/api/sales.csv?{urlencode(shown)}"
    status = problem.status if problem else 200
    return pages.show("sales/sales.html", None, status, site=site, form=form, by=by, found=found, file=file)


@bp.app_template_global()
def written_day(iso: str) -> str:
    """A day like 2026-03-01 as people write it."""
    pattern = language.translate("EEE d MMM y")
    return format_date(date.fromisoformat(iso), pattern, locale=language.locale(language.current()))
