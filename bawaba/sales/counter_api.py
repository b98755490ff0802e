"""Selling over the API, for a till or an app of one's own."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from sqlalchemy.orm import Session

from bawaba.accounts.idempotency import idempotent, once
from bawaba.plans.service import get_plan
from bawaba.sales import counter
from bawaba.sales.counter import Sold
from bawaba.sites.asked import asked_site
from bawaba.sites.service import resolve_site
from bawaba.vouchers import making, rules
from bawaba.vouchers.schemas import voucher_out
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import Id, Input, body, body_id, takes

bp = APIBlueprint("counter_api", __name__)


class SaleIn(Input):
    """What is sold: one card of a plan, at the plan's price."""

    plan_id: Id


def _shown(sold: Sold, code: str) -> dict[str, Any]:
    rt, now = runtime(), runtime().clock.now()
    sync = making.sync_of(rt, [sold.card.id]).get(sold.card.id)
    return {
        "sold_at": sold.sale.sold_at,
        "price_minor": sold.sale.price_minor,
        "currency": sold.sale.currency,
        "may_be_undone": sold.may_be_undone(now),
        "voucher": voucher_out(sold.card, sold.version, now, code, sync, rt.config),
    }


def _show(voucher_id: int) -> dict[str, Any]:
    """A sale of the caller's own, with its card's code: they have just handed it over."""
    sold = runtime().read(counter.own_sale, actor(), voucher_id)
    return _shown(sold, making.open_code(runtime().keyring, sold.card))


@bp.post("/api/counter/sales")
@requires("counter:sell")
@takes(SaleIn)
@idempotent(again=_show)
def sell() -> tuple[dict[str, Any], int]:
    """Make a card and sell it."""
    if (plan_id := body_id("plan_id")) is not None:
        runtime().read(get_plan, actor(), plan_id)
    card, _version = counter.sell(runtime(), actor(), body(SaleIn).plan_id, once())
    return _show(card.id), 201


@bp.get("/api/counter/sales")
@requires("counter:sell")
def list_own() -> dict[str, Any]:
    """What the caller sold at a site today, the latest first, 200 at most; codes are masked."""
    rt, site_id = runtime(), asked_site()

    def read(db: Session) -> Any:
        site = resolve_site(db, actor(), site_id)
        return counter.own_sales_today(db, actor(), site, rt.clock.now())

    def masked(sold: Sold) -> str:
        return rules.masked(making.open_code(rt.keyring, sold.card))

    return {"items": [_shown(sold, masked(sold)) for sold in rt.read(read)], "next": None}


@bp.post("/api/counter/sales/<int:voucher_id>/undo")
@requires("counter:sell")
def undo(voucher_id: int) -> tuple[str, int]:
    """Take a sale of one's own back, within five minutes and while the card is unused."""
    counter.take_back(runtime(), actor(), voucher_id)
    return "", 204
