"""What FreeRADIUS asks (rlm_rest). Every refusal is an answer; anything but 200 and 204 makes it keep silent, so that
the NAS tries again, or its spare."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from bawaba.radius import accounting, authorising
from bawaba.radius.door import for_freeradius
from bawaba.radius.packet import Packet
from bawaba.web.guard import runtime
from bawaba.web.input import read_body

bp = APIBlueprint("radius_api", __name__, enable_openapi=False)


@bp.post("/api/radius/<int:router_id>/authorize")
@for_freeradius
def authorise(router_id: int) -> dict[str, Any]:
    """May this guest come in, and with which limits?"""
    verdict = authorising.authorise(runtime(), router_id, Packet.read(read_body()))
    told = {"control:Auth-Type": _set("Accept" if verdict.accepted else "Reject")}
    return told | {f"reply:{name}": _set(value) for name, value in verdict.attributes.items()}


@bp.post("/api/radius/<int:router_id>/accounting")
@for_freeradius
def account(router_id: int) -> tuple[str, int]:
    """Note what a NAS reports."""
    accounting.account(runtime(), router_id, Packet.read(read_body()))
    return "", 204


def _set(value: int | str) -> dict[str, Any]:
    return {"op": ":=", "value": [value]}
