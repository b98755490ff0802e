"""The pages of webhooks: who is told of what, and what was sent."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from bawaba.core.errors import Problem
from bawaba.web import pages
from bawaba.web.forms import Form, typed
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import parse
from bawaba.web.language import translate as _
from bawaba.web.paging import page_of, page_request
from bawaba.webhooks import posting, queries, rules, service
from bawaba.webhooks.api import asked_state
from bawaba.webhooks.models import Webhook, WebhookDelivery
from bawaba.webhooks.schemas import WebhookChange, WebhookIn

bp = APIBlueprint("webhooks_pages", __name__, enable_openapi=False)
KIND_NAMES = {
    rules.REDEEMED: "A card is used for the first time",
    rules.ENDED: "A guest's session ends",
    rules.DOWN: "A router stops answering",
    rules.READY: "A batch of cards is ready",
    rules.TEST: "A test",
}
FAILURES = {
    posting.NOT_TAKEN: "It answered that it does not take it.",
    posting.REDIRECTED: "It sends elsewhere, and redirects are not followed: enter the final address.",
    posting.TIMED_OUT: "It did not answer in time.",
    posting.PRIVATE_HOST: "This address is inside a private network, which has to be allowed for it.",
    posting.UNKNOWN_HOST: "Nobody knows a machine of this name.",
    posting.UNREACHABLE: "Nothing answers at this address.",
    posting.BAD_CERTIFICATE: "Its certificate is not trusted.",
}

pages.say(
    webhook_saved="The webhook is saved.",
    webhook_removed="The webhook is removed.",
    webhook_sent="It was sent and taken.",
    webhook_not_sent=pages.Said("It was not taken. The log below says why.", "bad"),
)


@bp.app_template_global()
def webhook_kind(kind: str) -> str:
    """A kind of event in the reader's language."""
    return _(KIND_NAMES[kind])


@bp.app_template_global()
def webhook_failure(word: str) -> str:
    """Why a try failed, in the reader's language."""
    return _(FAILURES[word])


@bp.get("/webhooks")
@requires("settings:read")
def list_webhooks() -> Response:
    """The webhooks, and the form for another one."""
    return _list_page(Form({"events": list(rules.KINDS)}))


@bp.post("/webhooks")
@requires("settings:write")
def add_webhook() -> ResponseReturnValue:
    """Add a webhook, and show its secret this once."""
    try:
        webhook, secret = service.add_webhook(runtime(), actor(), parse(WebhookIn, _sent()).model_dump())
    except Problem as problem:
        return _list_page(typed(problem), problem.status)
    return pages.show("webhooks/secret.html", webhook=webhook, secret=secret)


@bp.get("/webhooks/<int:webhook_id>")
@requires("settings:read")
def show_webhook(webhook_id: int) -> Response:
    """One webhook with its log."""
    webhook = runtime().read(queries.get_webhook, actor(), webhook_id)
    return _one_page(webhook_id, Form(_as_typed(webhook)))


@bp.post("/webhooks/<int:webhook_id>")
@requires("settings:write")
def change_webhook(webhook_id: int) -> ResponseReturnValue:
    """Save what was changed."""
    runtime().read(queries.get_webhook, actor(), webhook_id)
    try:
        changes = parse(WebhookChange, {"events": []} | _sent()).changes()
        service.change_webhook(runtime(), actor(), webhook_id, changes)
    except Problem as problem:
        return _one_page(webhook_id, typed(problem), problem.status)
    return pages.go(f"/webhooks/{webhook_id}", "webhook_saved")


@bp.post("/webhooks/<int:webhook_id>/enabled")
@requires("settings:write")
def switch_webhook(webhook_id: int) -> ResponseReturnValue:
    """Let a webhook rest, or use it again."""
    service.change_webhook(runtime(), actor(), webhook_id, {"enabled": request.form.get("enabled") == "true"})
    return pages.go(f"/webhooks/{webhook_id}", "webhook_saved")


@bp.post("/webhooks/<int:webhook_id>/secret")
@requires("settings:write")
def renew_secret(webhook_id: int) -> Response:
    """Make another secret, and show it this once."""
    webhook, secret = service.renew_secret(runtime(), actor(), webhook_id)
    return pages.show("webhooks/secret.html", webhook=webhook, secret=secret)


@bp.post("/webhooks/<int:webhook_id>/test")
@requires("settings:write")
def test_webhook(webhook_id: int) -> ResponseReturnValue:
    """Send a test now."""
    return _went(webhook_id, service.send_test(runtime(), actor(), webhook_id))


test_webhook.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for a test


@bp.post("/webhooks/<int:webhook_id>/deliveries/<int:delivery_id>/again")
@requires("settings:write")
def send_again(webhook_id: int, delivery_id: int) -> ResponseReturnValue:
    """Send a message once more now."""
    return _went(webhook_id, service.send_again(runtime(), actor(), webhook_id, delivery_id))


@bp.get("/webhooks/<int:webhook_id>/remove")
@requires("settings:write")
def ask_to_remove(webhook_id: int) -> Response:
    """What removing a webhook means."""
    webhook = runtime().read(queries.get_webhook, actor(), webhook_id)
    return pages.show(
        "question.html",
        question=_("Remove %(name)s?", name=pages.apart(webhook.name)),
        facts=[_("Nothing is sent there any more. Its log and its secret are forgotten.")],
        verb=_("Remove"),
        action=f"/webhooks/{webhook_id}/remove",
        back=f"/webhooks/{webhook_id}",
        hidden={},
        destroys=True,
    )


@bp.post("/webhooks/<int:webhook_id>/remove")
@requires("settings:write")
def remove_webhook(webhook_id: int) -> ResponseReturnValue:
    """Remove a webhook with its log."""
    service.remove_webhook(runtime(), actor(), webhook_id)
    return pages.go("/webhooks", "webhook_removed")


def _sent() -> dict[str, Any]:
    sent: dict[str, Any] = {name: text for name in ("name", "url") if (text := request.form.get(name, "").strip())}
    allowed = request.form.get("allow_private") == "true"
    return sent | {"events": request.form.getlist("events"), "allow_private": allowed}


def _as_typed(webhook: Webhook) -> dict[str, Any]:
    allowed = "true" if webhook.allow_private else ""
    return {"name": webhook.name, "url": webhook.url, "events": webhook.kinds, "allow_private": allowed}


def _went(webhook_id: int, delivery: WebhookDelivery) -> ResponseReturnValue:
    return pages.go(f"/webhooks/{webhook_id}", "webhook_sent" if delivery.state == "done" else "webhook_not_sent")


def _list_page(form: Form, status: int = 200) -> Response:
    found = runtime().read(queries.list_webhooks, actor())
    return pages.show("webhooks/list.html", None, status, webhooks=found, form=form, kinds=rules.KINDS)


def _one_page(webhook_id: int, form: Form, status: int = 200) -> Response:
    wanted, state = page_request(), asked_state()

    def read(db: Session) -> tuple[Webhook, list[WebhookDelivery]]:
        found = queries.get_webhook(db, actor(), webhook_id)
        return found, queries.list_deliveries(db, actor(), webhook_id, wanted, state)

    webhook, rows = runtime().read(read)
    page = page_of(rows, wanted, lambda row: row.id)
    facts = {"webhook": webhook, "page": page, "form": form, "kinds": rules.KINDS, "state": state}
    return pages.show("webhooks/one.html", "webhooks/_log.html", status, **facts)
