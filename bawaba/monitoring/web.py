"""The dashboard: the first page after signing in, and the one that stays open all day."""

from __future__ import annotations

from datetime import timedelta

from apiflask import APIBlueprint
from babel.dates import format_date
from flask import Response, request

from bawaba.monitoring import figures, traffic
from bawaba.monitoring.history import History, seen_of
from bawaba.sites.web import price_at, zone_of
from bawaba.vouchers.queries import STOCK_MOST
from bawaba.web import language, pages
from bawaba.web.charts import Chart, chart, ticks
from bawaba.web.guard import actor, requires, runtime

bp = APIBlueprint("monitoring_pages", __name__, enable_openapi=False)
FEW_CARDS = 20
REGION_NAMES = {
    "dashboard": "Dashboard",
    "plans": "Plans",
    "reports": "Reports",
    "stock": "Stock",
    "samples": "Routers' past",
    "sites": "Site settings",
    "traffic": "Traffic",
}


@bp.get("/dashboard")
@requires("sessions:read")
def dashboard() -> Response:
    """Online now, sold today, cards left, routers, and what needs a person."""
    board = figures.board(runtime(), actor())
    moved = traffic.last_day(runtime(), actor())
    return pages.show(
        "monitoring/dashboard.html",
        "monitoring/_dashboard.html",
        board=board,
        week=_week(board),
        stock_most=STOCK_MOST,
        few_cards=FEW_CARDS,
        short=[plan for plan in board.stock if plan.left < FEW_CARDS] if board.steps.done else [],
        moved=moved,
        traffic=_traffic_chart(moved),
        times=ticks(_clock_times(moved)),
        points=_traffic_words(moved),
    )


@bp.get("/cache")
@requires("diagnostics:read")
def cache_rates() -> Response:
    """What the cache of this process did since it was started."""
    cache = runtime().cache
    return pages.show("monitoring/cache.html", cache=cache, counts=cache.counts(), region_names=REGION_NAMES)


def _traffic_chart(moved: traffic.Traffic) -> Chart:
    down = [point.down_rate if point else None for point in moved.points]
    up = [point.up_rate if point else None for point in moved.points]
    return chart(down, up, least_top=1024, binary=True)


def _clock_times(moved: traffic.Traffic) -> list[str]:
    zone = zone_of(None)
    starts = [moved.since + timedelta(seconds=place * moved.step_s) for place in range(len(moved.points))]
    return [language.clock_time(start, zone) for start in starts]


def _traffic_words(moved: traffic.Traffic) -> list[list[str]]:
    """For each point of the chart the words that are read out of it, its time first."""
    return [
        [when, *rates(point.down_rate, point.up_rate)] if point else [when]
        for when, point in zip(_clock_times(moved), moved.points, strict=True)
    ]


def _week(board: figures.Dashboard) -> list[tuple[float, str, str, str]]:
    """The last days as columns: how high, the weekday, how many cards, and all of it in words."""
    most = max((day.total_minor for day in board.days), default=0) or 1
    locale = language.locale(language.current())
    return [
        (
            day.total_minor / most,
            format_date(day.start, "EEE", locale=locale),
            language.number(day.cards),
            f"{format_date(day.start, 'EEEE', locale=locale)}: {price_at(day.site_id, day.total_minor, day.currency)}",
        )
        for day in board.days
    ]


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
        most_load=max((point.cpu_percent or 0 for point in points if point), default=0),
        moved=[sum(getattr(point, side) for point in points if point) for side in ("down_rate", "up_rate")],
        step_s=found.span.width_s * found.span.together,
        missed=sum(point.missed for point in points if point),
        times=ticks(_times(found)),
        read_out=_read_out(found),
    )


def _read_out(found: History) -> dict[str, list[list[str]]]:
    """For each chart and point the words that are read out of it, its time first."""
    words: dict[str, list[list[str]]] = {"online": [], "traffic": [], "load": []}
    for when, point in zip(_times(found), found.points, strict=True):
        seen = point is not None and point.sessions is not None
        words["online"].append([when, language.number(round(point.sessions or 0, 1))] if point and seen else [when])
        words["traffic"].append([when, *rates(point.down_rate, point.up_rate)] if point and seen else [when])
        words["load"].append(
            [when, f"{point.cpu_percent:.0f} %"] if point and point.cpu_percent is not None else [when]
        )
    return words


def _times(found: History) -> list[str]:
    """When each point of a history begins, on the site's clock: the time of day, or the day where a span is long."""
    zone = zone_of(found.router.site_id)
    step = timedelta(seconds=found.span.width_s * found.span.together)
    starts = [found.since + place * step for place in range(len(found.points))]
    if found.span.name == "day":
        return [language.clock_time(start, zone) for start in starts]
    if found.span.name == "year":
        return [language.day(start, zone) for start in starts]
    return [language.moment(start, zone) for start in starts]


def rates(down: float, up: float) -> tuple[str, str]:
    """How fast guests' data goes, in bytes a second."""
    return f"↓ {language.size(int(down))}/s", f"↑ {language.size(int(up))}/s"
