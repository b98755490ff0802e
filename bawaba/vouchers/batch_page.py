"""The page of one batch: how far it is, its cards on paper, and switching all of them off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from bawaba.accounts.queries import usernames
from bawaba.core.errors import NotFound, Problem
from bawaba.vouchers import printing, queries, switching
from bawaba.vouchers.models import Batch, PrintRun
from bawaba.web import pages
from bawaba.web.downloads import send_once
from bawaba.web.forms import Form, plain_number
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.language import languages, translate_count
from bawaba.web.language import translate as _

bp = APIBlueprint("batch_page", __name__, enable_openapi=False)
FIRST_CARDS = 10

pages.say(
    batch_disabled="Its unused cards are switched off.",
    batch_enabled="Its cards work again, as they did before.",
)


@bp.get("/batches/<int:batch_id>")
@requires("vouchers:read")
def show_batch(batch_id: int) -> Response:
    """A batch: how far it is; once it is ready, its cards and how to print them."""
    return _page(batch_id, Form({}))


@bp.get("/batches/<int:batch_id>/print")
@requires("batches:print")
def print_batch(batch_id: int) -> Response:
    """The sheet as PDF; or the page again, with what is wrong at its field."""
    asked = {name: plain_number(request.args.get(name, "")) for name in ("from_serial", "to_serial")}
    order = printing.SheetOrder(batch_id, request.args.get("layout", ""), **asked, language=paper_language())
    try:
        sheet = printing.print_sheet(runtime(), actor(), order)
    except NotFound:
        raise
    except Problem as problem:
        return _page(batch_id, Form(request.args, problem), problem.status)
    return send_once(sheet.path, sheet.name, "application/pdf", inline=True)


def paper_language() -> str | None:
    """The language that a sheet was asked for in; `lang` is the page's own."""
    asked = request.args.get("language")
    return asked if asked in languages() else None


def _page(batch_id: int, form: Form, status: int = 200) -> Response:
    def read(db: Session) -> dict[str, Any]:
        batch = queries.get_batch(db, actor(), batch_id)
        ((_batch, version, sync),) = queries.with_plans(db, [batch])
        ready = batch.state == "ready"
        return {
            "batch": batch,
            "version": version,
            "sync": sync,
            "standing": queries.standing_of_batch(db, batch, runtime().clock.now()),
            "cards": queries.batch_cards(db, batch.id, 0, batch.quantity, FIRST_CARDS) if ready else [],
            "journal": with_names(db, queries.print_journal(db, batch.id)),
        }

    found = runtime().read(read)
    return pages.show("vouchers/batch.html", "vouchers/_batch.html", status, form=form, layouts=layouts(), **found)


def with_names(db: Session, runs: Sequence[PrintRun]) -> list[tuple[PrintRun, str]]:
    """Entries of the print journal with who printed (step)."""
    names = usernames(db, {run.printed_by for run in runs if run.printed_by is not None})
    return [(run, names.get(run.printed_by or 0, "")) for run in runs]


def layouts() -> list[tuple[str, str, str]]:
    """The papers that cards are printed on: key, name, what fits."""
    a_page = _("A4, %(count)s cards a page")
    return [
        ("a4-3x8", _("Large"), a_page % {"count": 24}),
        ("a4-4x10", _("Medium"), a_page % {"count": 40}),
        ("a4-5x13", _("Small"), a_page % {"count": 65}),
        ("roll-80", _("Roll 80 mm"), _("One below the other")),
        ("roll-58", _("Roll 58 mm"), _("One below the other")),
    ]


@bp.get("/batches/<int:batch_id>/disable")
@requires("vouchers:disable")
def ask_to_disable(batch_id: int) -> Response:
    """What switching a batch off means, and for how many cards."""
    batch, count = runtime().read(switching.what_it_touches, actor(), batch_id, True)
    one, many = "%(count)s unused card will be switched off.", "%(count)s unused cards will be switched off."
    facts = [translate_count(one, many, count)]
    facts.append(_("Their codes are refused from now on. Cards in use go on. You can switch them on again."))
    return _question(batch, _("Switch batch %(label)s off?"), facts, _("Switch off"), "disable")


@bp.post("/batches/<int:batch_id>/disable")
@requires("vouchers:disable")
def disable_batch(batch_id: int) -> ResponseReturnValue:
    """Switch all unused cards of a batch off."""
    switching.set_batch_disabled(runtime(), actor(), batch_id, True)
    return pages.go(f"/batches/{batch_id}", "batch_disabled")


@bp.get("/batches/<int:batch_id>/enable")
@requires("vouchers:disable")
def ask_to_enable(batch_id: int) -> Response:
    """How many cards come back."""
    batch, count = runtime().read(switching.what_it_touches, actor(), batch_id, False)
    facts = [translate_count("%(count)s card will work again.", "%(count)s cards will work again.", count)]
    facts.append(_("Cards that were switched off by themselves stay off."))
    return _question(batch, _("Switch batch %(label)s on again?"), facts, _("Switch on again"), "enable")


@bp.post("/batches/<int:batch_id>/enable")
@requires("vouchers:disable")
def enable_batch(batch_id: int) -> ResponseReturnValue:
    """Switch on again what was switched off with the batch."""
    switching.set_batch_disabled(runtime(), actor(), batch_id, False)
    return pages.go(f"/batches/{batch_id}", "batch_enabled")


def _question(batch: Batch, question: str, facts: list[str], verb: str, deed: str) -> Response:
    return pages.show(
        "question.html",
        question=question % {"label": pages.ltr(printing.batch_label(batch))},
        facts=facts,
        verb=verb,
        action=f"/batches/{batch.id}/{deed}",
        back=f"/batches/{batch.id}",
        hidden={},
        destroys=deed == "disable",
    )
