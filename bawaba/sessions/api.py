"""Sessions over the API, and switching cards off: that ends sessions."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import request

from bawaba.core.errors import field_fault
from bawaba.sessions import queries, service
from bawaba.sessions.schemas import session_out
from bawaba.vouchers import making
from bawaba.vouchers.api import card_answer
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import row_id
from bawaba.web.paging import page_of, page_request

bp = APIBlueprint("sessions_api", __name__)
YES_NO = {"true": True, "1": True, "false": False, "0": False}


@bp.get("/api/sessions")
@requires("sessions:read")
def list_sessions() -> dict[str, Any]:
    """Sessions, newest first; `active=true` for who is online."""
    page, active = page_request(), request.args.get("active")
    if active is not None and active not in YES_NO:
        raise field_fault("active", "must be true or false")
    numbers = {name: row_id(name) for name in ("voucher_id", "router_id")}
    rows = runtime().read(
        queries.list_sessions, actor(), page, active=YES_NO[active] if active is not None else None, **numbers
    )
    return page_of(rows, page, lambda row: row[0].id).answer(lambda row: session_out(*row))


@bp.get("/api/sessions/<int:session_id>")
@requires("sessions:read")
def get_session(session_id: int) -> dict[str, Any]:
    """One session."""
    return session_out(*runtime().read(queries.get_session, actor(), session_id))


@bp.post("/api/sessions/<int:session_id>/terminate")
@requires("sessions:terminate")
def terminate(session_id: int) -> dict[str, Any]:
    """End a session, here and on its router."""
    return session_out(*service.terminate(runtime(), actor(), session_id))


@bp.post("/api/vouchers/<int:voucher_id>/disable")
@requires("vouchers:disable")
def disable_card(voucher_id: int) -> dict[str, Any]:
    """Switch a card off; whoever is online by it is offline."""
    return _switched(voucher_id, disabled=True)


@bp.post("/api/vouchers/<int:voucher_id>/enable")
@requires("vouchers:disable")
def enable_card(voucher_id: int) -> dict[str, Any]:
    """Switch a card on again, as it was."""
    return _switched(voucher_id, disabled=False)


def _switched(voucher_id: int, *, disabled: bool) -> dict[str, Any]:
    voucher, version = service.set_disabled(runtime(), actor(), voucher_id, disabled)
    return card_answer(voucher, version, making.sync_of(runtime(), [voucher_id]).get(voucher_id))
