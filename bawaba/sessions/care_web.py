"""The pages of checking a card and of what may be done to it: each deed asks first, with the facts."""

from __future__ import annotations

import secrets
from decimal import Decimal, InvalidOperation

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue

from bawaba.accounts.idempotency import KeyTaken, form_once
from bawaba.core.errors import Invalid, Problem
from bawaba.plans.rules import QUOTA_MOST_BYTES, SPAN_MOST_SECONDS
from bawaba.sessions import care, checking
from bawaba.sessions.checking import Checked
from bawaba.sessions.errors import CardMoved
from bawaba.web import pages
from bawaba.web.forms import Form, plain_number, typed
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.language import size, span, translate_count
from bawaba.web.language import translate as _

bp = APIBlueprint("care_pages", __name__, enable_openapi=False)
REASON_MOST = 200
TIME_UNITS = {"minutes": 60, "hours": 3600, "days": 86_400}
DATA_UNITS = {"MB": 1024**2, "GB": 1024**3}

pages.say(
    card_extended="The card has more now.",
    card_extended_before=pages.Said(
        "This form was sent before, and the card got once what you gave it. To give more, open the form anew.", "bad"
    ),
    card_added="What was on the other card is on this one now.",
    card_frozen="The card is frozen: its clock stands still.",
    card_unfrozen="The card goes on with exactly what it had.",
    card_replaced="This is the new card. The lost one does not work any more.",
    card_replaced_before="The card was replaced before: this is the new one.",
)


@bp.get("/check")
@requires("cards:check")
def ask_for_card() -> Response:
    """Which card is to be checked."""
    return pages.show("sessions/check.html", form=Form({}))


@bp.post("/check")
@requires("cards:check")
def find_card() -> ResponseReturnValue:
    """Find a card by what was typed or scanned. The code stays out of addresses and logs."""
    try:
        card_id = checking.check(runtime(), actor(), request.form.get("card", "")[:REASON_MOST])
    except Problem as problem:
        return pages.show("sessions/check.html", None, problem.status, form=typed(problem))
    return pages.go(f"/cards/{card_id}" if actor().may("vouchers:read") else f"/check/{card_id}")


@bp.get("/check/<int:voucher_id>")
@requires("cards:check")
def show_checked(voucher_id: int) -> Response:
    """What a clerk may know of a card: no code, no device, no router."""
    return pages.show("sessions/checked.html", seen=_look(voucher_id))


@bp.get("/cards/<int:voucher_id>/extend")
@requires("cards:change")
def ask_to_extend(voucher_id: int) -> Response:
    """How much more, and why."""
    form = Form({"time_unit": "hours", "data_unit": "GB", "once": secrets.token_urlsafe(16)})
    return pages.show("sessions/extend.html", seen=_look(voucher_id), form=form)


@bp.post("/cards/<int:voucher_id>/extend")
@requires("cards:change")
def extend(voucher_id: int) -> ResponseReturnValue:
    """Give a card more, once: a second tap on the button changes nothing."""
    seen = _look(voucher_id)
    try:
        seconds = _amount("time", TIME_UNITS, SPAN_MOST_SECONDS)
        more_bytes = _amount("data", DATA_UNITS, QUOTA_MOST_BYTES)
        care.extend(runtime(), actor(), voucher_id, seconds, more_bytes, _reason(), form_once())
    except KeyTaken:
        return pages.go(f"/cards/{voucher_id}", "card_extended_before")
    except Problem as problem:
        fields = problem.details.get("fields", {})
        if fields:
            names = {"seconds": "time", "bytes": "data"}
            problem = Invalid(fields={names.get(name, name): texts for name, texts in fields.items()})
        return pages.show("sessions/extend.html", None, problem.status, seen=seen, form=typed(problem))
    return pages.go(f"/cards/{voucher_id}", "card_extended")


@bp.get("/cards/<int:voucher_id>/add")
@requires("cards:change")
def ask_to_add(voucher_id: int) -> Response:
    """Which card is to be added."""
    return pages.show("sessions/add.html", seen=_look(voucher_id), form=Form({}), other=None)


@bp.post("/cards/<int:voucher_id>/add")
@requires("cards:change")
def add(voucher_id: int) -> ResponseReturnValue:
    """First show what is on the other card; then, confirmed, add it."""
    seen = _look(voucher_id)
    try:
        other = _look(checking.check(runtime(), actor(), request.form.get("card", "")[:REASON_MOST]))
        if request.form.get("sure") != str(other.voucher.id):
            return pages.show("sessions/add.html", seen=seen, form=typed(), other=other)
        care.add_card(runtime(), actor(), voucher_id, other.voucher.id)
    except Problem as problem:
        return pages.show("sessions/add.html", None, problem.status, seen=seen, form=typed(problem), other=None)
    return pages.go(f"/cards/{voucher_id}", "card_added")


@bp.get("/cards/<int:voucher_id>/freeze")
@requires("cards:change")
def ask_to_freeze(voucher_id: int) -> Response:
    """What freezing means."""
    seen = _look(voucher_id)
    facts = [_("Its clock stops and its code is refused until you let it go on."), *_online(seen), *_left(seen)]
    return _question(seen, _("Freeze card %(serial)s?"), facts, _("Freeze"), "freeze")


@bp.post("/cards/<int:voucher_id>/freeze")
@requires("cards:change")
def freeze(voucher_id: int) -> ResponseReturnValue:
    """Stop a card's clock."""
    care.freeze(runtime(), actor(), voucher_id)
    return pages.go(f"/cards/{voucher_id}", "card_frozen")


@bp.post("/cards/<int:voucher_id>/unfreeze")
@requires("cards:change")
def unfreeze(voucher_id: int) -> ResponseReturnValue:
    """Let a frozen card go on."""
    care.unfreeze(runtime(), actor(), voucher_id)
    return pages.go(f"/cards/{voucher_id}", "card_unfrozen")


@bp.get("/cards/<int:voucher_id>/replace")
@requires("cards:change")
def ask_to_replace(voucher_id: int) -> Response:
    """What replacing a lost card means, and why it is done."""
    return pages.show("sessions/replace.html", seen=_look(voucher_id), form=Form({}))


@bp.post("/cards/<int:voucher_id>/replace")
@requires("cards:change")
def replace(voucher_id: int) -> ResponseReturnValue:
    """Make a card in place of a lost one; a second click leads to the card that the first one made."""
    seen = _look(voucher_id)
    try:
        made, _version = care.replace(runtime(), actor(), voucher_id, _reason())
    except CardMoved as moved:
        return pages.go(f"/cards/{moved.details['to']}", "card_replaced_before")
    except Problem as problem:
        return pages.show("sessions/replace.html", None, problem.status, seen=seen, form=typed(problem))
    return pages.go(f"/cards/{made.id}", "card_replaced")


def _look(voucher_id: int) -> Checked:
    return runtime().read(checking.look, actor(), voucher_id, runtime().clock.now())


def _reason() -> str:
    reason = request.form.get("reason", "").strip()
    if not reason or len(reason) > REASON_MOST:
        raise Invalid(fields={"reason": [_("Say in a few words why.")]})
    return reason


def _amount(name: str, units: dict[str, int], most: int) -> int:
    """A number with its unit, in seconds or bytes; 0 for an empty field."""
    text, unit = plain_number(request.form.get(name, "")), units.get(request.form.get(f"{name}_unit", ""), 0)
    if not text:
        return 0
    try:
        found = Decimal(text) * unit
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or not 0 < found <= most:
        raise Invalid(fields={name: [_("Write a number.")]})
    return int(found)


def _online(seen: Checked) -> list[str]:
    if not seen.online:
        return []
    one = "%(count)s device is online by it and will be cut off."
    return [translate_count(one, "%(count)s devices are online by it and will be cut off.", seen.online)]


def _left(seen: Checked) -> list[str]:
    told = []
    if seen.left.seconds is not None:
        told.append(_("%(left)s of time are left on it.", left=pages.apart(span(seen.left.seconds))))
    if seen.left.bytes_total is not None:
        told.append(_("%(left)s of data are left on it.", left=pages.ltr(size(seen.left.bytes_total))))
    return told


def _question(seen: Checked, question: str, facts: list[str], verb: str, deed: str) -> Response:
    place = f"/cards/{seen.voucher.id}"
    return pages.show(
        "question.html",
        question=question % {"serial": pages.ltr(seen.voucher.serial)},
        facts=facts,
        verb=verb,
        action=f"{place}/{deed}",
        back=place,
        hidden={},
        destroys=True,
    )
