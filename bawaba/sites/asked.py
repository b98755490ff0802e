"""The site that a request names, looked up before the rest of it is judged: 404 comes before 422."""

from __future__ import annotations

from typing import Any

from flask import request

from bawaba.sites.service import get_site
from bawaba.web.guard import actor, runtime
from bawaba.web.input import row_id
from bawaba.web.row_id import ROW_ID_MOST


def asked_site() -> int | None:
    """`site_id` of the query string, which must be one of the caller's. Raises `SiteNotFound`."""
    site_id = row_id("site_id")
    return runtime().read(get_site, actor(), site_id).id if site_id is not None else None


def site_in_body() -> None:
    """When the JSON body names a site, it must be one of the caller's. Raises `SiteNotFound`."""
    data: Any = request.get_json(silent=True)
    site_id = data.get("site_id") if isinstance(data, dict) else None
    if type(site_id) is int and 0 < site_id <= ROW_ID_MOST:
        runtime().read(get_site, actor(), site_id)
