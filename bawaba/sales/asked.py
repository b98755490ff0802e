"""What a request for sales asks for; the page and the API read it the same way."""

from __future__ import annotations

from flask import request

from bawaba.core.errors import field_fault
from bawaba.sales import report
from bawaba.sales.rules import Period, period
from bawaba.sites.models import Site
from bawaba.web.guard import runtime


def asked_period(site: Site) -> Period:
    """`from` and `to` of the query string, on the site's clock. Raises `Invalid`."""
    first, last = request.args.get("from", "").strip(), request.args.get("to", "").strip()
    return period(first, last, site.time_zone, runtime().clock.now())


def asked_by() -> str:
    """`by` of the query string. Raises `Invalid`."""
    by = request.args.get("by") or "day"
    if by not in report.BY:
        raise field_fault("by", f"must be one of {', '.join(report.BY)}")
    return by
