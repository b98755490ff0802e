"""Redeeming over HTTP, for programs and for the portal's own form; and the Captive Portal API (RFC 8908)."""

from __future__ import annotations

from typing import Any

import orjson
from apiflask import APIBlueprint
from flask import Response, redirect, request
from flask.typing import ResponseReturnValue

from bawaba.core.database import DatabaseAway
from bawaba.core.errors import Problem
from bawaba.portal import pages
from bawaba.portal.guests import Told, identify
from bawaba.portal.visit import visit
from bawaba.sessions import redeem, standing
from bawaba.sessions.redeem import Redemption
from bawaba.sessions.schemas import RedeemIn
from bawaba.web.guard import open_to_everyone, runtime
from bawaba.web.input import body, form, takes

bp = APIBlueprint("portal_api", __name__)


@bp.post("/api/voucher/redeem")
@open_to_everyone
@takes(RedeemIn, "json_or_form")
def redeem_card() -> ResponseReturnValue:
    """Trade a card's code for time online. JSON sent or asked for: JSON; a browser's form: a page."""
    if _is_program():
        return _answer(_redeem(body(RedeemIn) if request.is_json else form(RedeemIn)))
    try:
        here = visit(runtime())
        try:
            _redeem(form(RedeemIn))
        except DatabaseAway:
            raise
        except Problem as problem:
            return pages.refusal(here, problem, request.form.get("code", ""))
        return redirect(here.link("/status"), 303)
    except DatabaseAway:
        return pages.away()


@bp.get("/capport/api")
@open_to_everyone
def captive_portal_api() -> Response:
    """What a phone's system asks of a captive network (RFC 8908, 5). By source address; never believed further."""
    rt, here = runtime(), visit(runtime())
    told: dict[str, Any] = {"captive": True, "user-portal-url": f"{rt.config.portal_url}/"}
    router = here.router
    if router is not None:
        try:
            now = rt.read(standing.of_device, router.site_id, here.guest.mac, rt.clock.now())
        except DatabaseAway:
            raise
        except Problem:
            now = None
        if now is not None and now.online:
            told |= {"captive": False, "can-extend-session": True}
            if now.left.seconds is not None:
                told["seconds-remaining"] = now.left.seconds
            if now.left.bytes_total is not None:
                told["bytes-remaining"] = now.left.bytes_total
    headers = {"Cache-Control": "private, no-store"}
    return Response(orjson.dumps(told), mimetype="application/captive+json", headers=headers)


def _redeem(wanted: RedeemIn) -> Redemption:
    told = Told(request.remote_addr or "", wanted.router, wanted.client_mac, wanted.client_ip)
    return redeem.redeem(runtime(), wanted.code, identify(runtime(), told), move=wanted.move)


def _answer(got: Redemption) -> dict[str, Any]:
    session = {
        "id": got.session_id,
        "voucher_id": got.voucher_id,
        "start_time": got.start_time,
        "end_time": got.end_time,
        "remaining_seconds": got.remaining_seconds,
        "remaining_bytes": got.remaining_bytes,
        "resumed": got.resumed,
    }
    return {"status": got.status, "session": session}


def _is_program() -> bool:
    """JSON sent, or asked for before HTML."""
    if request.is_json:
        return True
    accepted = request.accept_mimetypes
    return accepted["application/json"] > accepted["text/html"]
