"""The dashboard: the first page after signing in, and the one that stays open all day."""

from __future__ import annotations

from apiflask import APIBlueprint
from babel.dates import format_date
from flask import Response, request

from bawaba.monitoring import figures
from bawaba.monitoring.charts import HEIGHT, WIDTH, chart
from bawaba.monitoring.history import seen_of
from bawaba.vouchers.queries import STOCK_MOST
from bawaba.web import language, pages
from bawaba.web.guard import actor, requires, runtime

bp = APIBlueprint("monitoring_pages", __name__, enable_openapi=False)
FEW_CARDS = 20
REGION_NAMES = {
    "dashboard": "Dashboard",
    "plans": "Plans",
    "reports": "Reports",
    "samples": "Routers' past",
    "sites": "Site settings",
}


@bp.get("/dashboard")
@requires("sessions:read")
def dashboard() -> Response:
    """Online now, sold today, cards left, routers, and what needs a person."""
    board = figures.board(runtime(), actor())
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


@bp.get("/cache")
@requires("diagnostics:read")
def cache_rates() -> Response:
    """What the cache of this process did since it was started."""
    cache = runtime().cache
    return pages.show("monitoring/cache.html", cache=cache, counts=cache.counts(), region_names=REGION_NAMES)


@bp.get("/routers/<int:router_id>/history")
@requires("routers:read")
def router_history(router_id: int) -> Response:
    """A router's past as charts."""
    rt = runtime()
    found = seen_of(rt, actor(), router_id, request.args.get("span", "day"))
    points = found.points
    return pages.show(
        "monitoring/history.html",
        "monitoring/_history.html",
        found=found,
        online=chart([point.sessions if point else None for point in points], least_top=5),
        traffic=chart(
            [point.down_rate if point and point.sessions is not None else None for point in points],
            [point.up_rate if point and point.sessions is not None else None for point in points],
            least_top=1024,
            binary=True,
        ),
        load=chart([point.cpu_percent if point else None for point in points], least_top=100),
        most=max((point.sessions_most for point in points if point), default=0),
        moved=[sum(getattr(point, side) for point in points if point) for side in ("down_rate", "up_rate")],
        step_s=found.span.width_s * found.span.together,
        missed=sum(point.missed for point in points if point),
        box=(WIDTH, HEIGHT),
    )
