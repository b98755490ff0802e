"""The pages of reports: filters in the address, figures beside those of the days before, a chart and a table."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from apiflask import APIBlueprint
from babel.dates import get_day_names
from flask import Response, request

from bawaba.core.errors import Invalid
from bawaba.reports import counting, rules, words
from bawaba.reports.asked import asked_way
from bawaba.reports.stock import Stock, stock_of
from bawaba.reports.summary import Line, Report, report_of
from bawaba.sales.asked import asked_period
from bawaba.sales.rules import period
from bawaba.sites.asked import asked_site
from bawaba.sites.models import Site
from bawaba.sites.service import get_site, own_sites
from bawaba.web import language, pages
from bawaba.web.forms import Form
from bawaba.web.guard import actor, requires, runtime

bp = APIBlueprint("reports_pages", __name__, enable_openapi=False)
BARS_MOST = 62
WAYS = (*rules.WAYS, "stock")


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the chart: its name, its amount in words, and its height in percent of the highest."""

    name: str
    words: str
    percent: float


@bp.get("/reports")
@requires("reports:read")
def reports() -> Response:
    """One site's report of a period, or its stock."""
    rt = runtime()
    sites = rt.read(own_sites, actor())
    site_id = asked_site() or (sites[0].id if sites else None)
    if site_id is None:
        return pages.show("reports/reports.html", site=None)
    site = rt.read(get_site, actor(), site_id)
    if request.args.get("by") == "stock":
        return _stock(site)
    problem = None
    try:
        time, by = asked_period(site), asked_way()
    except Invalid as invalid:
        problem, time, by = invalid, period("", "", site.time_zone, rt.clock.now()), "day"
    shown = {"from": time.first.isoformat(), "to": time.last.isoformat(), "by": by, "site_id": site.id}
    form = Form(shown | (request.args.to_dict() if problem else {}), problem)
    found = report_of(rt, site, time, by)
    return pages.show(
        "reports/reports.html", None, problem.status if problem else 200,
        site=site, form=form, by=by, ways=WAYS, found=found, files=urlencode(shown), bars=bars(site, found),
        more=rules.percent_more, before=dict(found.before.income), level=rules.level, words=words,
        most=max(map(max, found.heat), default=0), weekdays=_weekdays(),
        is_counting=rt.read(counting.is_counting, site),
    )  # fmt: skip


def _stock(site: Site) -> Response:
    found: list[Stock] = stock_of(runtime(), site)
    form = Form({"site_id": site.id}, None)
    return pages.show("reports/stock.html", site=site, form=form, by="stock", ways=WAYS, stock=found)


def bars(site: Site, found: Report) -> list[Bar]:
    """The lines as bars: income in the currency with most cards, or sessions where nothing was sold. Times run on."""
    lines = found.lines[:BARS_MOST]
    if found.by in ("day", "month"):
        lines = lines[::-1]
    if found.by == "day" and lines:  # days on which nothing happened are bars too
        known = {line.of: line for line in lines}
        days = [day.isoformat() for day, _start, _end in found.time.days()][-BARS_MOST:]
        lines = [known.get(day, Line(day)) for day in days]
    currency = found.totals.income[0][0] if found.totals.income else None
    amounts = [line.income.get(currency, 0) if currency else line.sessions for line in lines]
    most = max(amounts, default=0)
    return [
        Bar(
            words.line_name(found.by, line),
            words.amount(site, amount, currency) if currency else language.number(amount),
            round(100 * amount / most, 1) if most else 0,
        )
        for line, amount in zip(lines, amounts, strict=True)
    ]


def _weekdays() -> list[str]:
    names = get_day_names("abbreviated", locale=language.locale(language.current()))
    return [names[day] for day in range(7)]
