"""What a request for a report asks for; the page, the API and the files read it the same way."""

from __future__ import annotations

from flask import request

from bawaba.core.errors import field_fault
from bawaba.reports.rules import WAYS
from bawaba.reports.summary import Report, report_of
from bawaba.sales.asked import asked_period
from bawaba.sites.asked import asked_site
from bawaba.sites.models import Site
from bawaba.sites.service import resolve_site
from bawaba.web.guard import actor, runtime


def asked_way() -> str:
    """`by` of the query string. Raises `Invalid`."""
    by = request.args.get("by") or "day"
    if by not in WAYS:
        raise field_fault("by", f"must be one of {', '.join(WAYS)}")
    return by


def asked_report() -> tuple[Site, Report]:
    """The report of a request, and its site. Raises `Invalid`, `SiteNotFound`, `ChooseSite`."""
    site = runtime().read(resolve_site, actor(), asked_site())
    return site, report_of(runtime(), site, asked_period(site), asked_way())
