"""What a report's lines and figures are called, and how they are written."""

from __future__ import annotations

from datetime import date

from babel.dates import format_date

from bawaba.reports.summary import Line
from bawaba.sites import rules as money
from bawaba.sites.models import Site
from bawaba.web import language
from bawaba.web.language import translate as _

NAMELESS = {
    "batch": "Cards made alone",
    "router": "Sold at no router",
    "seller": "By the guest, at first use",
    "plan": "",
}
HEADINGS = {
    "day": "Day",
    "month": "Month",
    "plan": "Plan",
    "batch": "Batch",
    "router": "Router",
    "seller": "Seller",
    "hour": "Hour",
}


def line_name(by: str, line: Line) -> str:
    """What a line is of, as people write it."""
    locale = language.locale(language.current())
    if by == "day":
        return format_date(date.fromisoformat(line.of), _("EEE d MMM y"), locale=locale)
    if by == "month":
        return format_date(date.fromisoformat(f"{line.of}-01"), "LLLL y", locale=locale)
    return line.of or _(NAMELESS.get(by, ""))


def income_words(site: Site, income: dict[str, int]) -> str:
    """Amounts in each currency, one after the other."""
    return " + ".join(amount(site, minor, currency) for currency, minor in income.items()) or "—"


def amount(site: Site, minor: int, currency: str) -> str:
    """Money as the site writes it."""
    return language.money(minor, currency, money.decimals_for(currency, site.currency, site.currency_decimals))
