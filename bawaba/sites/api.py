"""Sites over the API."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from bawaba.accounts.idempotency import idempotent, once
from bawaba.sites import service
from bawaba.sites.schemas import SiteChange, SiteIn, site_out
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import body, takes
from bawaba.web.paging import page_of, page_request

bp = APIBlueprint("sites_api", __name__)


@bp.get("/api/sites")
@requires("sites:read")
def list_sites() -> dict[str, Any]:
    """The sites that the caller sees."""
    page = page_request()
    rows = runtime().read(service.list_sites, actor(), page)
    return page_of(rows, page, lambda site: site.id).answer(site_out)


def _show(site_id: int) -> dict[str, Any]:
    return site_out(runtime().read(service.get_site, actor(), site_id))


@bp.post("/api/sites")
@requires("sites:write")
@takes(SiteIn)
@idempotent(again=_show)
def add_site() -> tuple[dict[str, Any], int]:
    """Add a site."""
    return site_out(service.add_site(runtime(), actor(), body(SiteIn).model_dump(), once())), 201


@bp.get("/api/sites/<int:site_id>")
@requires("sites:read")
def get_site(site_id: int) -> dict[str, Any]:
    """One site."""
    return _show(site_id)


@bp.patch("/api/sites/<int:site_id>")
@requires("sites:write")
@takes(SiteChange)
def change_site(site_id: int) -> dict[str, Any]:
    """Change a site; what is left out stays."""
    runtime().read(service.get_site, actor(), site_id)
    return site_out(service.change_site(runtime(), actor(), site_id, body(SiteChange).changes()))
