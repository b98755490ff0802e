"""The page of one card: its code, how it stands, what is left, and who used it when."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from bawaba.accounts.audit import deeds_of_card as deeds_of
from bawaba.accounts.queries import usernames
from bawaba.routers import cards as held
from bawaba.sessions import queries, service
from bawaba.sessions.checking import left_at
from bawaba.sessions.ending import LIVE
from bawaba.sessions.web import lines
from bawaba.vouchers import making, printing
from bawaba.vouchers.batch_page import layouts, paper_language, with_names
from bawaba.vouchers.models import Batch, Voucher
from bawaba.vouchers.queries import card_journal, get_card
from bawaba.vouchers.rules import status_at
from bawaba.web import pages
from bawaba.web.downloads import send_once
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.language import translate as _
from bawaba.web.language import translate_count
from bawaba.web.paging import page_of, page_request

bp = APIBlueprint("card_page", __name__, enable_openapi=False)

pages.say(
    card_disabled="The card is switched off. Whoever was online by it is offline.",
    card_enabled="The card works again, as it did before.",
)


DEEDS = {
    "card.made": "Made",
    "card.sold": "Sold at the counter",
    "sale.undone": "Sale taken back",
    "card.printed": "Printed",
    "card.disabled": "Switched off",
    "card.enabled": "Switched on again",
    "card.extended": "Extended",
    "card.added_to": "Another card added",
    "card.frozen": "Frozen",
    "card.unfrozen": "Let go on",
    "card.replaced": "Replaced",
}


@bp.app_template_global()
def card_deed(action: str) -> str:
    """What was done to a card, in words."""
    return _(DEEDS[action]) if action in DEEDS else action


@bp.get("/cards/<int:voucher_id>")
@requires("vouchers:read")
def show_card(voucher_id: int) -> Response:
    """One card and its sessions."""
    rt, page = runtime(), page_request()

    def read(db: Session) -> dict[str, Any]:
        voucher, version = get_card(db, actor(), voucher_id)
        now = rt.clock.now()
        rows = queries.list_sessions(db, actor(), page, voucher_id=voucher.id)
        return {
            "card": voucher,
            "version": version,
            "status": status_at(voucher, now),
            "left": left_at(db, voucher, now),
            "deeds": deeds_of(db, voucher.id),
            "other": db.get(Voucher, voucher.moved_to) if voucher.moved_to else None,
            "batch": db.get(Batch, voucher.batch_id) if voucher.batch_id else None,
            "made_by": usernames(db, [voucher.created_by] if voucher.created_by else []).get(voucher.created_by or 0),
            "sync": held.sync_states(db, [voucher.id]).get(voucher.id),
            "journal": with_names(db, card_journal(db, voucher.id)),
            "page": page_of(lines(db, rows), page, lambda line: line.session.id),
        }

    found = rt.read(read)
    link = None
    if actor().may("vouchers:codes"):
        link = f"{rt.config.portal_url}/c/{making.open_code(rt.keyring, found['card'])}"
    return pages.show("sessions/card.html", "sessions/_card.html", link=link, layouts=layouts(), **found)


@bp.get("/cards/<int:voucher_id>/print")
@requires("batches:print")
def print_card(voucher_id: int) -> Response:
    """The card as PDF, on the paper that was chosen."""
    layout = request.args.get("layout", "roll-80")
    sheet = printing.print_card(runtime(), actor(), voucher_id, layout, paper_language())
    return send_once(sheet.path, sheet.name, "application/pdf", inline=True)


@bp.get("/cards/<int:voucher_id>/disable")
@requires("vouchers:disable")
def ask_to_disable(voucher_id: int) -> Response:
    """What switching a card off means."""

    def read(db: Session) -> tuple[str, int]:
        voucher, _version = get_card(db, actor(), voucher_id)
        return voucher.serial, len(LIVE.all(db, voucher_id=voucher.id))

    serial, online = runtime().read(read)
    facts = [_("Its code is refused from now on. You can switch it on again, and it will stand as before.")]
    if online:
        one = "%(count)s device is online by it and will be cut off."
        facts.insert(0, translate_count(one, "%(count)s devices are online by it and will be cut off.", online))
    return pages.show(
        "question.html",
        question=_("Switch card %(serial)s off?", serial=pages.ltr(serial)),
        facts=facts,
        verb=_("Switch off"),
        action=f"/cards/{voucher_id}/disable",
        back=f"/cards/{voucher_id}",
        hidden={},
        destroys=True,
    )


@bp.post("/cards/<int:voucher_id>/disable")
@requires("vouchers:disable")
def disable_card(voucher_id: int) -> ResponseReturnValue:
    """Switch a card off, and cut off whoever is online by it."""
    service.set_disabled(runtime(), actor(), voucher_id, True)
    return pages.go(f"/cards/{voucher_id}", "card_disabled")


@bp.post("/cards/<int:voucher_id>/enable")
@requires("vouchers:disable")
def enable_card(voucher_id: int) -> ResponseReturnValue:
    """Switch a card on again."""
    service.set_disabled(runtime(), actor(), voucher_id, False)
    return pages.go(f"/cards/{voucher_id}", "card_enabled")
