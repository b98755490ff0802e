"""The pages of cards and batches: make them, watch them grow, print them, find them again."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, get_args
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from bawaba.accounts.idempotency import KeyTaken, form_once
from bawaba.core.errors import Invalid, Problem
from bawaba.plans.models import Plan, PlanVersion
from bawaba.plans.service import CACHED as CACHED_PLANS
from bawaba.plans.service import PlanNow, get_plan, list_plans
from bawaba.routers import cards as held
from bawaba.sites.models import Site
from bawaba.sites.service import get_site
from bawaba.vouchers import codes, making, queries, rules
from bawaba.vouchers.models import Batch, Voucher
from bawaba.vouchers.schemas import BulkIn, VoucherIn
from bawaba.web import pages
from bawaba.web.forms import Form, amount, amount_of, plain_number, typed
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import as_number, parse, whole_number
from bawaba.web.language import translate as _
from bawaba.web.paging import Page, PageRequest, page_of, page_request

bp = APIBlueprint("vouchers_pages", __name__, enable_openapi=False)
QUANTITIES = (1, 24, 40, 100, 500, 1000)
PLANS_MOST = 200
WORRYING_A_YEAR = 1.0
EXAMPLES = {"digits": "4821-0937-5561", "letters": "7KX2M-Q9RTW"}

pages.say(
    card_made="The card is ready.",
    ordered_already=pages.Said("These cards were ordered already: here they are.", "good"),
)


bp.add_app_template_global(rules.serial_of, "serial_of")


@bp.app_template_global()
def batch_label(batch: Batch) -> str:
    """A batch by the beginning of its cards' serials."""
    return f"B{batch.number:03d}"


@bp.app_template_global()
def card_status(voucher: Voucher) -> str:
    """How a card stands now."""
    return rules.status_at(voucher, runtime().clock.now())


@bp.app_template_global("card_code")
def shown_code(voucher: Voucher) -> str:
    """A card's code as it is printed; for those who may not read codes, only its end."""
    code = making.open_code(runtime().keyring, voucher)
    return codes.grouped(code) if actor().may("vouchers:codes") else rules.masked(code)


@bp.get("/cards/new")
@requires("vouchers:create")
def new_cards() -> Response:
    """The form: which plan, how many, what codes."""
    plans = _plans()
    chosen = request.args.get("plan_id") or (str(plans[0][0].id) if plans else "")
    return _form(plans, Form({"plan_id": chosen, "quantity": "1", "once": secrets.token_urlsafe(16)}))


@bp.post("/cards/new")
@requires("vouchers:create")
def make_cards() -> ResponseReturnValue:
    """Make one card at once, or order a batch."""
    try:
        return _make(*_asked_plan())
    except KeyTaken:
        return pages.go("/batches", "ordered_already")
    except Problem as problem:
        return _form(_plans(), typed(problem), problem.status)


def _make(plan: Plan, site: Site) -> ResponseReturnValue:
    sent = {name: request.form.get(name, "").strip() for name in ("code_style", "prefix", "note")}
    order: dict[str, Any] = {name: text for name, text in sent.items() if text} | {"plan_id": plan.id}
    order["price_minor"] = amount("price_minor", 10**site.currency_decimals)
    quantity = plain_number(request.form.get("quantity", ""))
    ends_at = _local_time("ends_at", site)
    if quantity == "1":
        card = parse(VoucherIn, order | {"ends_at": ends_at})
        voucher, _version = making.make_card(runtime(), actor(), making.CardOrder(**card.model_dump()), form_once())
        return pages.go(f"/cards/{voucher.id}", "card_made")
    if ends_at is not None:
        raise Invalid(fields={"ends_at": [_("Only a single card can have a fixed end.")]})
    bulk = parse(BulkIn, order | {"quantity": quantity})
    batch = making.order_batch(runtime(), actor(), making.BatchOrder(**bulk.model_dump()), form_once())
    return pages.go(f"/batches/{batch.id}")


@bp.get("/cards/odds")
@requires("vouchers:create")
def odds() -> Response:
    """How the cards of the form would stand against guessing: a piece of its page."""
    return pages.show("vouchers/_odds.html", **_odds(request.args))


@bp.get("/batches")
@requires("vouchers:read")
def list_batches() -> Response:
    """Batches, newest first."""
    page = page_request()

    def read(db: Session) -> list[tuple[Batch, PlanVersion, str]]:
        return queries.with_plans(db, queries.list_batches(db, actor(), page))

    rows = page_of(runtime().read(read), page, lambda row: row[0].id)
    is_making = any(batch.state == "making" for batch, _version, _sync in rows.items)
    return pages.show("vouchers/batches.html", "vouchers/_batches.html", page=rows, is_making=is_making)


@bp.get("/cards")
@requires("vouchers:read")
def list_cards() -> Response:
    """Cards: found by serial or code, by how they stand, by batch."""
    page, status, q = page_request(), request.args.get("status"), request.args.get("q", "")[:64].strip()
    status = status if status in queries.STATUSES else None
    batch_id = whole_number("batch_id", 0, 2**53, least=0) or None

    def read(db: Session) -> tuple[list[queries.Card], dict[int, str], Batch | None]:
        rows = _cards(db, page, status, q, batch_id)
        batch = queries.get_batch(db, actor(), batch_id) if batch_id else None
        return rows, held.sync_states(db, [voucher.id for voucher, _version in rows]), batch

    rows, syncs, batch = runtime().read(read)
    found: Page[queries.Card] = page_of(rows, page, lambda row: row[0].id)
    return pages.show(
        "vouchers/cards.html", page=found, syncs=syncs, batch=batch, status=status, q=q, statuses=queries.STATUSES
    )


def _cards(db: Session, page: PageRequest, status: str | None, q: str, batch_id: int | None) -> list[queries.Card]:
    rt = runtime()
    return queries.list_cards(
        db, actor(), page, rt.clock.now(), keyring=rt.keyring, batch_id=batch_id, status=status, q=q
    )


def _plans() -> Sequence[PlanNow]:
    rt, page = runtime(), PageRequest(PLANS_MOST, None)
    return rt.recall(CACHED_PLANS, actor().sight, list_plans, actor(), page)[:PLANS_MOST]


def _form(plans: Sequence[PlanNow], form: Form, status: int = 200) -> Response:
    config = runtime().config
    filled_in = {name: form.value(name) for name in ("plan_id", "quantity", "code_style", "price_minor")}
    facts = _odds(filled_in)
    return pages.show(
        "vouchers/make.html",
        None,
        status,
        form=form,
        plans=plans,
        quantities=QUANTITIES,
        examples=EXAMPLES,
        usual_style=making.default_style(facts["site"]) if "site" in facts else "digits",
        unreachable=config.portal_url if config.is_portal_out_of_reach else "",
        has_more=any(form.value(name) or form.fault(name) for name in ("prefix", "note", "price_minor", "ends_at")),
        **facts,
    )


def _odds(asked: Any) -> dict[str, Any]:
    """The odds of what stands in the form, however unfinished it is."""
    quantity = plain_number(str(asked.get("quantity") or ""))
    count = min(int(quantity), 100_000) if quantity.isascii() and quantity.isdigit() else 0
    plan_id = str(asked.get("plan_id") or "")

    def read(db: Session) -> dict[str, Any]:
        plan, version = get_plan(db, actor(), as_number(plan_id) or 0)
        site = get_site(db, actor(), plan.site_id)
        style = asked.get("code_style") or making.default_style(site)
        style = style if style in get_args(codes.Style) else "digits"
        facts = queries.odds_for(db, actor(), site.id, style, count)
        return {
            "odds": facts,
            "site": site,
            "total_minor": count * _price_typed(asked, site, version),
            "count": count,
            "version": version,
        }

    try:
        return runtime().read(read)
    except Problem:
        return {"odds": None}


def _price_typed(asked: Any, site: Site, version: PlanVersion) -> int:
    """Another price, as far as it is typed already; else the plan's."""
    try:
        typed_minor = amount_of("price_minor", str(asked.get("price_minor") or ""), 10**site.currency_decimals)
    except Invalid:
        return version.price_minor
    return version.price_minor if typed_minor is None else typed_minor


def _asked_plan() -> tuple[Plan, Site]:
    plan_id = as_number(request.form.get("plan_id", ""))
    if plan_id is None:
        raise Invalid(fields={"plan_id": [_("Choose one from the list.")]})
    plan, _version = runtime().read(get_plan, actor(), plan_id)
    return plan, runtime().read(get_site, actor(), plan.site_id)


def _local_time(name: str, site: Site) -> datetime | None:
    """A time from a date-and-time field, which is on the site's clock."""
    text = request.form.get(name, "").strip()
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(site.time_zone))
    except ValueError as error:
        raise Invalid(fields={name: [_("Write a date and time.")]}) from error
