"""Redeeming over HTTP, for programs and for the portal's own form; and the Captive Portal API (RFC 8908)."""

from __future__ import annotations

from typing import Any

import orjson
from apiflask import APIBlueprint
from flask import Response, redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import MethodNotAllowed

from bawaba.portal import pages, redirects
from bawaba.portal.guests import Told, identify
from bawaba.portal.visit import Visit, visit
from bawaba.portal.web import for_guests
from bawaba.radius import signing_in
from bawaba.sessions import redeem
from bawaba.sessions.redeem import Redemption
from bawaba.sessions.schemas import RedeemIn
from bawaba.web.guard import open_to_everyone, runtime
from bawaba.web.input import body_or_form, form, takes

bp = APIBlueprint("portal_api", __name__)


@bp.post("/api/voucher/redeem")
@open_to_everyone
@takes(RedeemIn, "json_or_form")
def redeem_card() -> ResponseReturnValue:
    """Trade a card's code for time online. JSON sent or asked for: JSON; a browser's form: a page."""
    if not _is_program():
        return _by_form()
    wanted = body_or_form(RedeemIn)
    ref = redirects.site_ref(wanted.token)
    source_ip = request.remote_addr or ""
    told = Told(source_ip, wanted.router, wanted.client_mac, wanted.client_ip, wanted.at, ref)
    return _answer(redeem.redeem(runtime(), wanted.code, identify(runtime(), told), move=wanted.move))


@for_guests
def _by_form(here: Visit) -> ResponseReturnValue:
    wanted = form(RedeemIn)
    if here.router is not None and signing_in.signs_in_itself(here.router.driver):
        ref = here.told.site_ref
        return pages.hand_over(here, signing_in.form_for(here.rt, here.router.id, wanted.code, ref))
    redeem.redeem(here.rt, wanted.code, here.guest, move=wanted.move)
    return redirect(here.link("/status"), 303)


@bp.get("/api/voucher/redeem")
@open_to_everyone
@bp.doc(hide=True)
def back_to_the_form() -> ResponseReturnValue:
    """A browser that opens the address of a refusal again comes back to the form."""
    if _is_program():
        raise MethodNotAllowed(["POST"])
    return redirect(visit(runtime()).link("/"), 303)


@bp.get("/capport/api")
@open_to_everyone
def captive_portal_api() -> Response:
    """What a phone's system asks of a captive network (RFC 8908, 5); it knows the phone by where it asks from. Where we
    cannot tell (503), the phone goes by its probes."""
    rt = runtime()
    here = visit(rt)
    told: dict[str, Any] = {"captive": True}
    if rt.config.portal_url.startswith("https:"):  # the RFC wants TLS here, and phones keep to that
        told["user-portal-url"] = f"{rt.config.portal_url}/"
    now = here.standing
    if now is not None and now.online:
        told |= {"captive": False, "can-extend-session": True}
        amounts = {"seconds-remaining": now.left.seconds, "bytes-remaining": now.left.bytes_total}
        told |= {name: amount for name, amount in amounts.items() if amount is not None}
    elif here.is_trusted:
        told["captive"] = False
    headers = {"Cache-Control": "private, no-store"}
    return Response(orjson.dumps(told), mimetype="application/captive+json", headers=headers)


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
    told: dict[str, Any] = {"status": got.status, "session": session}
    if got.handoff is not None:
        told["handoff"] = {
            "action_url": got.handoff.action_url,
            "method": got.handoff.method,
            "fields": dict(got.handoff.fields),
        }
    return told


def _is_program() -> bool:
    """JSON sent, or asked for before HTML."""
    if request.is_json:
        return True
    accepted = request.accept_mimetypes
    return accepted["application/json"] > accepted["text/html"]
