"""Sales over the API, as JSON and as a file for spreadsheets."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from bawaba.sales.asked import asked_by, asked_period
from bawaba.sales.report import Report, report
from bawaba.sales.rules import Period
from bawaba.sites import rules as money
from bawaba.sites.asked import asked_site
from bawaba.sites.models import Site
from bawaba.sites.service import resolve_site
from bawaba.vouchers import csv_export
from bawaba.web.guard import actor, requires, runtime

bp = APIBlueprint("sales_api", __name__)


@bp.get("/api/sales")
@requires("reports:read")
def sales() -> dict[str, Any]:
    """What a site sold `from` one day `to` another (both included, on its clock), `by` day, plan or batch."""
    site, time, by, found = _found()
    totals = [{"currency": row[0], "cards": row[1], "total_minor": row[2]} for row in found.totals]
    items = [
        {by: line.of, "id": line.id, "currency": line.currency, "cards": line.cards, "total_minor": line.total_minor}
        for line in found.lines
    ]
    days = {"from": time.first.isoformat(), "to": time.last.isoformat()}
    return {"site_id": site.id, **days, "by": by, "items": items, "totals": totals, "is_cut": found.is_cut}


@bp.get("/api/sales.csv")
@requires("reports:read")
def sales_csv() -> Response:
    """The same as a spreadsheet file; `total` is in whole units of money."""
    site, time, by, found = _found()
    header = (by, "cards", "total", "total_minor", "currency")
    rows = [
        (line.of, line.cards, _whole(site, line.total_minor, line.currency), line.total_minor, line.currency)
        for line in found.lines
    ]
    name = f"sales-{by}-{time.first.isoformat()}-{time.last.isoformat()}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
    return Response(b"".join(csv_export.table(header, rows)), mimetype="text/csv", headers=headers)


def _found() -> tuple[Site, Period, str, Report]:
    rt = runtime()
    site = rt.read(resolve_site, actor(), asked_site())
    time, by = asked_period(site), asked_by()
    return site, time, by, rt.read(report, site, time, by)


def _whole(site: Site, minor: int, currency: str) -> str:
    decimals = money.decimals_for(currency, site.currency, site.currency_decimals)
    return f"{minor / 10**decimals:.{decimals}f}"
