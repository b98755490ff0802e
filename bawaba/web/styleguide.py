"""The living page of docs/design-language.md: every piece that pages are put together from, as it is now."""

from __future__ import annotations

import math

from apiflask import APIBlueprint
from flask import Response

from bawaba.core.errors import field_fault
from bawaba.web import pages
from bawaba.web.charts import chart, ticks
from bawaba.web.forms import Form
from bawaba.web.guard import requires
from bawaba.web.language import number, size
from bawaba.web.language import translate as _

bp = APIBlueprint("styleguide", __name__, enable_openapi=False)
COLOURS = (
    *("page", "surface", "sunk", "line", "line-strong", "ink", "ink-soft"),
    *("accent", "accent-strong", "accent-soft", "on-accent"),
    *("good", "good-soft", "warn", "warn-soft", "bad", "bad-strong", "bad-soft", "info", "info-soft"),
)
HOURS = 24
MEGABYTE = 1024**2


@bp.get("/styleguide")
@requires("plans:read")
def styleguide() -> Response:
    """Colours, letters, forms, tables, charts and words, each shown once with made-up facts."""
    down = [(2 + 1.6 * math.sin(hour / 3.8)) * MEGABYTE for hour in range(HOURS)]
    up = [rate / 6 for rate in down]
    hours = [f"{hour:02}:00" for hour in range(HOURS)]
    typed = {"name": "3 h", "price": "two", "quota": "1", "quota_unit": "GB", "style": "digits", "on": "true"}
    form = Form(typed, field_fault("price", _("Write a number.")))
    return pages.show(
        "styleguide.html",
        colours=COLOURS,
        form=form,
        traffic=chart(down, up, least_top=1024, binary=True),
        hours=ticks(hours),
        points=[
            [hour, f"↓ {size(int(a))}/s", f"↑ {size(int(b))}/s"] for hour, a, b in zip(hours, down, up, strict=True)
        ],
        days=[
            (cards / 38, str(day), number(cards), number(cards))
            for day, cards in enumerate((14, 22, 17, 31, 26, 38, 9), start=1)
        ],
    )
