"""The dashboard: the first page after signing in, and the one that stays open all day."""

from __future__ import annotations

from apiflask import APIBlueprint
from babel.dates import format_date
from flask import Response

from bawaba.monitoring import figures
from bawaba.vouchers.queries import STOCK_MOST
from bawaba.web import language, pages
from bawaba.web.guard import actor, requires, runtime

bp = APIBlueprint("monitoring_pages", __name__, enable_openapi=False)
FEW_CARDS = 20


@bp.get("/dashboard")
@requires("sessions:read")
def dashboard() -> Response:
    """Online now, sold today, cards left, routers, and what needs a person."""
    board = runtime().read(figures.dashboard, actor(), runtime().clock.now())
    locale = language.locale(language.current())
    return pages.show(
        "monitoring/dashboard.html",
        "monitoring/_dashboard.html",
        board=board,
        weekdays=[format_date(day.start, "EEE", locale=locale) for day in board.days],
        most_sold=max((day.total_minor for day in board.days), default=0),
        stock_most=STOCK_MOST,
        few_cards=FEW_CARDS,
    )
