"""The site that a request names, looked up before the rest of it is judged: 404 comes before 422."""

from __future__ import annotations

from typing import Any

from flask import request

from bawaba.core.errors import field_fault
from bawaba.sites.service import get_site
from bawaba.web.guard import actor, runtime


def asked_site() -> int | None:
    """`site_id` of the query string, which must be one of the caller's. Raises `SiteNotFound`."""
    text = request.args.get("site_id", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise field_fault("site_id", "must be a number")
    return runtime().read(get_site, actor(), int(text)).id


def site_in_body() -> None:
    """When the JSON body names a site, it must be one of the caller's. Raises `SiteNotFound`."""
    data: Any = request.get_json(silent=True)
    site_id = data.get("site_id") if isinstance(data, dict) else None
    if type(site_id) is int:
        runtime().read(get_site, actor(), site_id)
