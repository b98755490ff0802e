"""Routers and device lists over the API."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint
from flask import request

from bawaba.accounts.idempotency import idempotent, once
from bawaba.core.errors import field_fault
from bawaba.routers import queries, removing, service
from bawaba.routers.driver import GatewayError, UnknownCertificate
from bawaba.routers.reconcile import reconcile_now
from bawaba.routers.schemas import DeviceIn, RouterChange, RouterIn, device_out, router_out
from bawaba.sites.asked import asked_site, site_in_body
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import body, takes
from bawaba.web.paging import page_of, page_request

bp = APIBlueprint("routers_api", __name__)
YES_NO = {"true": True, "1": True, "false": False, "0": False}


@bp.get("/api/routers")
@requires("routers:read")
def list_routers() -> dict[str, Any]:
    """The routers of the sites that the caller sees."""
    page = page_request()
    rows = runtime().read(queries.list_routers, actor(), page)
    return page_of(rows, page, lambda row: row.id).answer(router_out)


def _show(router_id: int) -> dict[str, Any]:
    return router_out(runtime().read(queries.get_router, actor(), router_id))


@bp.post("/api/routers")
@requires("routers:write")
@takes(RouterIn)
@idempotent(again=_show)
def add_router() -> tuple[dict[str, Any], int]:
    """Add a router."""
    site_in_body()
    return router_out(service.add_router(runtime(), actor(), body(RouterIn).model_dump(), once())), 201


@bp.get("/api/routers/<int:router_id>")
@requires("routers:read")
def get_router(router_id: int) -> dict[str, Any]:
    """One router."""
    return _show(router_id)


@bp.patch("/api/routers/<int:router_id>")
@requires("routers:write")
@takes(RouterChange)
def change_router(router_id: int) -> dict[str, Any]:
    """Change a router; what is left out stays."""
    runtime().read(queries.get_router, actor(), router_id)
    return router_out(service.change_router(runtime(), actor(), router_id, body(RouterChange).changes()))


@bp.delete("/api/routers/<int:router_id>")
@requires("routers:write")
def remove_router(router_id: int) -> tuple[str, int]:
    """Remove a router; `confirm=true` where guests are online through it, who are sent off then."""
    confirm = request.args.get("confirm", "false")
    runtime().read(queries.get_router, actor(), router_id)
    if confirm not in YES_NO:
        raise field_fault("confirm", "must be true or false")
    removing.remove_router(runtime(), actor(), router_id, confirmed=YES_NO[confirm])
    return "", 204


@bp.post("/api/routers/<int:router_id>/test")
@requires("routers:write")
def test_router(router_id: int) -> dict[str, Any]:
    """Ask a router who it is, now."""
    info, error = service.test_router(runtime(), actor(), router_id)
    if info is None:
        shown = {"certificate": error.certificate} if isinstance(error, UnknownCertificate) else {}
        return {"ok": False, "error": error.code if error else "gateway_error", "message": str(error), **shown}
    return {
        "ok": True,
        "version": info.version,
        "board": info.board,
        "skew_seconds": info.skew_s,
        "missing_rights": info.missing_rights,
        "notes": info.notes,
    }


@bp.post("/api/routers/<int:router_id>/reconcile")
@requires("routers:write")
def reconcile_router(router_id: int) -> dict[str, Any]:
    """Compare what lies on a router with what should, now, and mend what is ours."""
    try:
        drift = reconcile_now(runtime(), actor(), router_id)
    except GatewayError as error:
        return {"ok": False, "error": error.code, "message": str(error)}
    return {"ok": True, "can_compare": drift is not None, "drift": asdict(drift) if drift else None}


@bp.get("/api/devices")
@requires("devices:read")
def list_devices() -> dict[str, Any]:
    """The devices that a site trusts or blocks (500 at most)."""
    found = service.device_list(runtime(), actor(), asked_site())
    return {"items": [device_out(device) for device in found], "next": None}


@bp.put("/api/devices")
@requires("devices:write")
@takes(DeviceIn)
def set_device() -> tuple[str, int]:
    """Trust or block a device."""
    site_in_body()
    wanted = body(DeviceIn)
    service.set_device(runtime(), actor(), wanted.site_id, wanted.mac, wanted.standing, wanted.note)
    return "", 204


@bp.delete("/api/devices/<mac>")
@requires("devices:write")
def forget_device(mac: str) -> tuple[str, int]:
    """Treat a device like any other again."""
    service.set_device(runtime(), actor(), asked_site(), mac, None, "")
    return "", 204
