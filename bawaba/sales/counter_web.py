"""The counter page: one button a plan, the sold card on the screen, and what was sold today."""

from __future__ import annotations

import secrets

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from bawaba.accounts.idempotency import KeyTaken, form_once, made_before
from bawaba.core.errors import Invalid, Problem
from bawaba.plans.errors import PlanNotFound
from bawaba.plans.service import list_plans
from bawaba.sales import counter
from bawaba.sales.counter import Sold
from bawaba.sites.models import Site
from bawaba.sites.service import own_sites
from bawaba.vouchers import codes, making, printing, qr
from bawaba.web import pages
from bawaba.web.downloads import send_once
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import as_number, whole_number
from bawaba.web.language import translate as _
from bawaba.web.messages import sentence
from bawaba.web.paging import PageRequest

bp = APIBlueprint("counter", __name__, enable_openapi=False)
PLANS_MOST = 60
ROLLS = ("roll-80", "roll-58")
PRIVATE = {"Cache-Control": "private, no-store"}

pages.say(
    card_sold="Sold. Give the guest the code, the picture or the slip.",
    sold_before=pages.Said(
        "The button was pressed twice: this is the card that it made. For the next guest, start a new sale.", "bad"
    ),
    sale_undone="The sale is taken back, and its card does not work any more.",
)


@bp.get("/counter")
@requires("counter:sell")
def show_counter() -> Response:
    """One big button a plan, and the seller's own sales of today."""
    return _counter()


def _counter(problem: Problem | None = None) -> Response:
    rt, asked = runtime(), whole_number("site_id", 0, 2**53, least=0)
    sites = rt.read(own_sites, actor())
    site = next((one for one in sites if one.id == asked), sites[0] if sites else None)

    def read(db: Session, site: Site) -> dict[str, object]:
        now = rt.clock.now()
        plans = list_plans(db, actor(), PageRequest(PLANS_MOST, None), site_id=site.id)[:PLANS_MOST]
        return {
            "plans": sorted(plans, key=lambda plan: (plan[1].price_minor, plan[1].name)),
            "sales": counter.own_sales_today(db, actor(), site, now),
            "takings": counter.own_takings_today(db, actor(), site, now),
        }

    found = rt.read(read, site) if site is not None else {"plans": [], "sales": [], "takings": []}
    told = sentence(problem.code, problem.details) if problem else ""
    facts = {"site": site, "once": secrets.token_urlsafe(16), "told": told, **found}
    return pages.show("sales/counter.html", None, problem.status if problem else 200, **facts)


@bp.post("/counter")
@requires("counter:sell")
def sell() -> ResponseReturnValue:
    """Sell one card. A double tap leads to the card that the first tap made."""
    once = form_once()
    try:
        plan_id = as_number(request.form.get("plan_id", ""))
        if once is None or plan_id is None:
            raise Invalid(fields={"plan_id": [_("Choose one from the list.")]})
        card, _version = counter.sell(runtime(), actor(), plan_id, once)
    except PlanNotFound:
        raise
    except KeyTaken:
        made = runtime().read(made_before, once.user_id, once.key) if once else None
        return pages.go(f"/counter/{made}" if made else "/counter", "sold_before")
    except Problem as problem:
        return _counter(problem)
    return pages.go(f"/counter/{card.id}", "card_sold")


@bp.get("/counter/<int:voucher_id>")
@requires("counter:sell")
def show_sold(voucher_id: int) -> Response:
    """The card that was sold, to hand over: QR, code, slip, picture, link."""
    rt, sold = runtime(), _own(voucher_id)
    code = making.open_code(rt.keyring, sold.card)
    site = next(one for one in rt.read(own_sites, actor()) if one.id == sold.card.site_id)
    link = f"{rt.config.portal_url}/c/{code}"
    return pages.show(
        "sales/sold.html",
        sold=sold,
        code=codes.grouped(code),
        link=link,
        share=share_text(site, codes.grouped(code), link),
        undo=sold.may_be_undone(rt.clock.now()),
    )


def share_text(site: Site, code: str, link: str) -> str:
    """What is sent to a guest's phone: three lines that read well in any messenger."""
    lines = [_("WiFi: %(name)s", name=site.wifi_name or site.name), _("Code: %(code)s", code=code), link]
    return "\n".join(lines)


@bp.get("/counter/<int:voucher_id>/qr.svg")
@requires("counter:sell")
def qr_of_sold(voucher_id: int) -> Response:
    """The QR image of a card that the caller sold."""
    picture = qr.svg(printing.matrix_of(runtime(), _own(voucher_id).card))
    return Response(picture, mimetype="image/svg+xml", headers=PRIVATE)


@bp.get("/counter/<int:voucher_id>/card.png")
@requires("counter:sell")
def picture_of_sold(voucher_id: int) -> Response:
    """A card that the caller sold, as a picture to send or to put on paper."""
    _own(voucher_id)
    return Response(printing.picture(runtime(), actor(), voucher_id, None), mimetype="image/png", headers=PRIVATE)


@bp.get("/counter/<int:voucher_id>/print")
@requires("counter:sell")
def print_sold(voucher_id: int) -> Response:
    """A slip for the roll printer, 80 or 58 mm."""
    _own(voucher_id)
    layout = request.args.get("layout", "")
    sheet = printing.print_card(runtime(), actor(), voucher_id, layout if layout in ROLLS else ROLLS[0])
    return send_once(sheet.path, sheet.name, "application/pdf", inline=True)


@bp.get("/counter/<int:voucher_id>/undo")
@requires("counter:sell")
def ask_to_undo(voucher_id: int) -> Response:
    """What taking a sale back means."""
    sold = _own(voucher_id)
    return pages.show(
        "question.html",
        question=_("Take the sale of card %(serial)s back?", serial=pages.ltr(sold.card.serial)),
        facts=[
            _("Give the money back. The card's code is refused from now on, and the sale leaves your list."),
            _("It is noted who did this and when."),
        ],
        verb=_("Take it back"),
        action=f"/counter/{voucher_id}/undo",
        back=f"/counter/{voucher_id}",
        hidden={},
        destroys=True,
    )


@bp.post("/counter/<int:voucher_id>/undo")
@requires("counter:sell")
def undo(voucher_id: int) -> ResponseReturnValue:
    """Take a sale back."""
    counter.take_back(runtime(), actor(), voucher_id)
    return pages.go("/counter", "sale_undone")


def _own(voucher_id: int) -> Sold:
    return runtime().read(counter.own_sale, actor(), voucher_id)
