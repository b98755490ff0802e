"""Cards and batches over the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.accounts.idempotency import idempotent, once
from bawaba.core.errors import field_fault
from bawaba.plans.models import PlanVersion
from bawaba.plans.service import get_plan
from bawaba.routers import cards as held
from bawaba.sites.asked import asked_site
from bawaba.vouchers import codes, making, printing, qr, queries, rules, switching
from bawaba.vouchers.models import Batch, Voucher
from bawaba.vouchers.schemas import BulkIn, VoucherIn, batch_out, print_run_out, voucher_out
from bawaba.web import language
from bawaba.web.downloads import send_once
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import body, body_id, row_id, takes
from bawaba.web.paging import page_of, page_request

bp = APIBlueprint("vouchers_api", __name__)
CODES = "vouchers:codes"


def card_answer(voucher: Voucher, version: PlanVersion, router_sync: str | None) -> dict[str, Any]:
    """A card for the caller: with its code for those who may read codes, masked for others."""
    code = making.open_code(runtime().keyring, voucher)
    shown = code if actor().may(CODES) else rules.masked(code)
    return voucher_out(voucher, version, runtime().clock.now(), shown, router_sync, runtime().config)


def _show(voucher_id: int) -> dict[str, Any]:
    voucher, version = runtime().read(queries.get_card, actor(), voucher_id)
    return card_answer(voucher, version, making.sync_of(runtime(), [voucher_id]).get(voucher_id))


def _show_batch(batch_id: int) -> dict[str, Any]:
    return runtime().read(_batch_answer, batch_id)


def _batch_answer(db: Session, batch_id: int) -> dict[str, Any]:
    batch = queries.get_batch(db, actor(), batch_id)
    return _batches_out(db, [batch])[0]


def _batches_out(db: Session, batches: Sequence[Batch]) -> list[dict[str, Any]]:
    """Batches with their plans and what their routers hold, in three queries however many there are."""
    version_ids = {batch.plan_version_id for batch in batches}
    versions = {v.id: v for v in db.scalars(select(PlanVersion).where(PlanVersion.id.in_(version_ids)))}
    syncs = queries.batch_syncs(db, [batch.id for batch in batches if batch.state == "ready"])
    return [
        batch_out(batch, versions.get(batch.plan_version_id), queries.batch_sync(batch, syncs.get(batch.id)))
        for batch in batches
    ]


@bp.post("/api/vouchers")
@requires("vouchers:create")
@takes(VoucherIn)
@idempotent(again=_show)
def make_card() -> tuple[dict[str, Any], int]:
    """Make one card. A router that does not answer leaves `router_sync` pending; the card exists."""
    _look_up_plan()
    order = body(VoucherIn)
    made, version = making.make_card(runtime(), actor(), making.CardOrder(**order.model_dump()), once())
    return card_answer(made, version, making.sync_of(runtime(), [made.id]).get(made.id)), 201


@bp.post("/api/vouchers/bulk")
@requires("vouchers:create")
@takes(BulkIn)
@idempotent(again=_show_batch, status=202)
def order_batch() -> tuple[dict[str, Any], int]:
    """Order up to 100,000 cards; they are made in the background, exactly so many or none."""
    _look_up_plan()
    order = body(BulkIn)
    batch = making.order_batch(runtime(), actor(), making.BatchOrder(**order.model_dump()), once())
    return _show_batch(batch.id), 202


def _look_up_plan() -> None:
    """A plan that is not there is said before whatever else is wrong. Raises `PlanNotFound`."""
    if (plan_id := body_id("plan_id")) is not None:
        runtime().read(get_plan, actor(), plan_id)


@bp.get("/api/vouchers/odds")
@requires("vouchers:create")
def odds() -> dict[str, Any]:
    """How well a stock of cards stands against guessing, at the site's own cap on wrong tries."""
    style, quantity = request.args.get("code_style", "digits"), request.args.get("quantity", "0")
    if style not in codes.CODES_POSSIBLE:
        raise field_fault("code_style", "must be digits or letters")
    if not (quantity.isascii() and quantity.isdigit() and len(quantity) < 8):
        raise field_fault("quantity", "must be a whole number")
    return runtime().read(queries.odds_for, actor(), asked_site(), style, int(quantity))


@bp.get("/api/vouchers")
@requires("vouchers:read")
def list_cards() -> dict[str, Any]:
    """Cards, newest first; `q` finds a serial by its beginning, or a whole code."""
    page, status, batch_id = page_request(), request.args.get("status"), row_id("batch_id")
    if status is not None and status not in queries.STATUSES:
        raise field_fault("status", f"must be one of {', '.join(queries.STATUSES)}")
    rt = runtime()
    rows, syncs = rt.read(_page_of_cards, page, status, batch_id, request.args.get("q", "")[:64])
    found = page_of(rows, page, lambda row: row[0].id)
    return found.answer(lambda row: card_answer(row[0], row[1], syncs.get(row[0].id)))


def _page_of_cards(
    db: Session, page: Any, status: str | None, batch_id: int | None, q: str
) -> tuple[list[queries.Card], dict[int, str]]:
    rt = runtime()
    rows = queries.list_cards(
        db, actor(), page, rt.clock.now(), keyring=rt.keyring, batch_id=batch_id, status=status, q=q
    )
    return rows, held.sync_states(db, [voucher.id for voucher, _ in rows])


@bp.get("/api/vouchers/<int:voucher_id>")
@requires("vouchers:read")
def get_card(voucher_id: int) -> dict[str, Any]:
    """One card."""
    return _show(voucher_id)


@bp.get("/api/vouchers/<int:voucher_id>/qr.png")
@requires(CODES)
def card_qr_png(voucher_id: int) -> Response:
    """The card's QR image."""
    return Response(qr.png(_matrix(voucher_id)), mimetype="image/png", headers={"Cache-Control": "private, no-store"})


@bp.get("/api/vouchers/<int:voucher_id>/qr.svg")
@requires(CODES)
def card_qr_svg(voucher_id: int) -> Response:
    """The card's QR image as SVG."""
    return Response(
        qr.svg(_matrix(voucher_id)), mimetype="image/svg+xml", headers={"Cache-Control": "private, no-store"}
    )


@bp.get("/api/vouchers/<int:voucher_id>/card.png")
@requires(CODES)
def card_picture(voucher_id: int) -> Response:
    """The whole card as a picture, to send to a guest."""
    picture = printing.picture(runtime(), actor(), voucher_id, _asked_language())
    return Response(picture, mimetype="image/png", headers={"Cache-Control": "private, no-store"})


def _matrix(voucher_id: int) -> qr.QrMatrix:
    """The stored QR image; one that was lost with its file is made again from the sealed code."""
    voucher, _ = runtime().read(queries.get_card, actor(), voucher_id)
    return printing.matrix_of(runtime(), voucher)


@bp.get("/api/batches")
@requires("vouchers:read")
def list_batches() -> dict[str, Any]:
    """Batches, newest first."""
    page = page_request()

    def read(db: Session) -> tuple[Sequence[Batch], list[dict[str, Any]]]:
        rows = queries.list_batches(db, actor(), page)
        return rows, _batches_out(db, rows)

    rows, shown = runtime().read(read)
    by_id = {entry["id"]: entry for entry in shown}
    return page_of(rows, page, lambda row: row.id).answer(lambda row: by_id[row.id])


@bp.get("/api/batches/<int:batch_id>")
@requires("vouchers:read")
def get_batch(batch_id: int) -> dict[str, Any]:
    """One batch, with how far it is."""
    return _show_batch(batch_id)


@bp.get("/api/batches/<int:batch_id>/cards.pdf")
@requires("batches:print")
def batch_pdf(batch_id: int) -> Response:
    """The batch, or a range of its serials, on paper; noted in the print journal."""
    rt = runtime()
    rt.read(queries.get_ready_batch, actor(), batch_id)
    wanted = printing.SheetOrder(
        batch_id,
        request.args.get("layout", "a4-3x8"),
        request.args.get("from_serial") or None,
        request.args.get("to_serial") or None,
        _asked_language(),
    )
    sheet = printing.print_sheet(rt, actor(), wanted)
    return send_once(sheet.path, sheet.name, "application/pdf", inline=True)


@bp.get("/api/vouchers/<int:voucher_id>/card.pdf")
@requires("batches:print")
def card_pdf(voucher_id: int) -> Response:
    """One card on paper; noted in the print journal."""
    rt = runtime()
    rt.read(queries.get_card, actor(), voucher_id)
    sheet = printing.print_card(rt, actor(), voucher_id, request.args.get("layout", "roll-80"), _asked_language())
    return send_once(sheet.path, sheet.name, "application/pdf", inline=True)


@bp.post("/api/batches/<int:batch_id>/disable")
@requires("vouchers:disable")
def disable_batch(batch_id: int) -> dict[str, Any]:
    """Switch all unused cards of a batch off; `cards_switched` says how many."""
    return _switched(batch_id, disabled=True)


@bp.post("/api/batches/<int:batch_id>/enable")
@requires("vouchers:disable")
def enable_batch(batch_id: int) -> dict[str, Any]:
    """Switch the cards on again that were switched off with their batch; `cards_switched` says how many."""
    return _switched(batch_id, disabled=False)


def _switched(batch_id: int, *, disabled: bool) -> dict[str, Any]:
    count = switching.set_batch_disabled(runtime(), actor(), batch_id, disabled)
    return {**_show_batch(batch_id), "cards_switched": count}


@bp.get("/api/batches/<int:batch_id>/cards.csv")
@requires("batches:print")
def batch_csv(batch_id: int) -> Response:
    """The batch as a spreadsheet file."""
    rt = runtime()
    rt.read(queries.get_ready_batch, actor(), batch_id)
    sheet = printing.export_csv(rt, actor(), batch_id, with_codes=actor().may(CODES))
    return send_once(sheet.path, sheet.name, "text/csv; charset=utf-8")


@bp.get("/api/batches/<int:batch_id>/prints")
@requires("vouchers:read")
def print_journal(batch_id: int) -> dict[str, Any]:
    """What was printed of a batch, newest first."""

    def read(db: Session) -> list[dict[str, Any]]:
        queries.get_batch(db, actor(), batch_id)
        return [print_run_out(run) for run in queries.print_journal(db, batch_id)]

    return {"items": runtime().read(read), "next": None}


def _asked_language() -> str | None:
    asked = request.args.get("lang")
    if asked is not None and asked not in language.languages():
        raise field_fault("lang", f"must be one of {', '.join(language.languages())}")
    return asked
