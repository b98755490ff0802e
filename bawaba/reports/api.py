"""Reports over the API, as JSON, as a file for spreadsheets and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from bawaba.reports import counting, paper
from bawaba.reports.asked import asked_report
from bawaba.reports.rules import Totals
from bawaba.reports.stock import stock_of
from bawaba.reports.summary import Line, Report
from bawaba.sites import rules as money
from bawaba.sites.asked import asked_site
from bawaba.sites.models import Site
from bawaba.sites.service import resolve_site
from bawaba.vouchers import csv_export
from bawaba.web.downloads import send_once
from bawaba.web.guard import actor, requires, runtime

bp = APIBlueprint("reports_api", __name__)
USE = ("sessions", "seconds", "bytes_down", "bytes_up")


@bp.get("/api/reports")
@requires("reports:read")
def report() -> dict[str, Any]:
    """What a site sold and its guests used `from` one day `to` another (on its clock), `by` day, month, plan, batch,
    router, seller or hour; `before` is the same number of days right before. Use counts on the day that it began."""
    site, found = asked_report()
    days = {"from": found.time.first.isoformat(), "to": found.time.last.isoformat()}
    return {
        "site_id": site.id,
        **days,
        "by": found.by,
        "items": [_line_out(found.by, line) for line in found.lines],
        "totals": _totals_out(found.totals),
        "before": _totals_out(found.before),
        "sessions_by_weekday_and_hour": found.heat or None,
        "is_cut": found.is_cut,
        "is_counting": runtime().read(counting.is_counting, site),
    }


@bp.get("/api/reports/stock")
@requires("reports:read")
def stock() -> dict[str, Any]:
    """Unused cards that could be sold now, by plan, and how many of them are over within 7 and within 30 days."""
    site = runtime().read(resolve_site, actor(), asked_site())
    found = stock_of(runtime(), site)
    items = [
        {"plan_id": one.plan_id, "name": one.name, "left": one.left, "over_in_7_days": one.week,
         "over_in_30_days": one.month}
        for one in found
    ]  # fmt: skip
    return {"site_id": site.id, "items": items}


@bp.get("/api/reports.csv")
@requires("reports:read")
def report_csv() -> Response:
    """The same as a spreadsheet file, a line for each currency; `total` is in whole units of money."""
    site, found = asked_report()
    header = (found.by, "cards", "total", "total_minor", "currency", *USE)
    data = b"".join(csv_export.table(header, _csv_rows(site, found)))
    headers = {"Content-Disposition": f'attachment; filename="{_file_name(found)}.csv"'}
    return Response(data, mimetype="text/csv", headers=headers | {"Cache-Control": "private, no-store"})


@bp.get("/api/reports.pdf")
@requires("reports:read")
def report_pdf() -> Response:
    """The same on A4, in the reader's language."""
    site, found = asked_report()
    return send_once(paper.on_paper(runtime(), site, found), f"{_file_name(found)}.pdf", "application/pdf")


def _csv_rows(site: Site, found: Report) -> Iterator[tuple[object, ...]]:
    for line in found.lines:
        use: tuple[object, ...] = (line.sessions, line.seconds, line.down, line.up)
        for currency, minor in list(line.income.items()) or [("", 0)]:
            cards = line.cards if use[0] != "" else ""  # of all currencies, on the first line
            yield (line.of, cards, _whole(site, minor, currency) if currency else "", minor, currency, *use)
            use = ("",) * len(USE)


def _whole(site: Site, minor: int, currency: str) -> str:
    decimals = money.decimals_for(currency, site.currency, site.currency_decimals)
    return f"{minor / 10**decimals:.{decimals}f}"


def _file_name(found: Report) -> str:
    return f"report-{found.by}-{found.time.first.isoformat()}-{found.time.last.isoformat()}"


def _line_out(by: str, line: Line) -> dict[str, Any]:
    return {
        by: line.of,
        "id": line.id,
        "cards": line.cards,
        "income": _income_out(line.income.items()),
        "sessions": line.sessions,
        "seconds": line.seconds,
        "bytes_down": line.down,
        "bytes_up": line.up,
    }


def _totals_out(totals: Totals) -> dict[str, Any]:
    return {
        "cards": totals.cards,
        "income": _income_out(totals.income),
        "sessions": totals.sessions,
        "seconds": totals.seconds,
        "bytes_down": totals.down,
        "bytes_up": totals.up,
    }


def _income_out(income: Any) -> list[dict[str, Any]]:
    return [{"currency": currency, "total_minor": minor} for currency, minor in income]
