"""Webhooks over the API."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import request

from bawaba.accounts.idempotency import idempotent, once
from bawaba.core.errors import Invalid
from bawaba.sites.asked import site_in_body
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import body, takes
from bawaba.web.paging import page_of, page_request
from bawaba.webhooks import queries, service
from bawaba.webhooks.schemas import WebhookChange, WebhookIn, delivery_out, webhook_out

bp = APIBlueprint("webhooks_api", __name__)
STATES = ("open", "done", "failed")


@bp.get("/api/webhooks")
@requires("settings:read")
def list_webhooks() -> dict[str, Any]:
    """The webhooks; their secrets are never shown."""
    return {"items": [webhook_out(webhook) for webhook in runtime().read(queries.list_webhooks, actor())], "next": None}


@bp.post("/api/webhooks")
@requires("settings:write")
@takes(WebhookIn)
@idempotent()
def add_webhook() -> tuple[dict[str, Any], int]:
    """Add a webhook. `secret` is shown this once."""
    site_in_body()
    webhook, secret = service.add_webhook(runtime(), actor(), body(WebhookIn).model_dump(), once())
    return webhook_out(webhook) | {"secret": secret}, 201


@bp.get("/api/webhooks/<int:webhook_id>")
@requires("settings:read")
def show_webhook(webhook_id: int) -> dict[str, Any]:
    """One webhook."""
    return webhook_out(runtime().read(queries.get_webhook, actor(), webhook_id))


@bp.patch("/api/webhooks/<int:webhook_id>")
@requires("settings:write")
@takes(WebhookChange)
def change_webhook(webhook_id: int) -> dict[str, Any]:
    """Change a webhook; what is left out stays."""
    runtime().read(queries.get_webhook, actor(), webhook_id)
    return webhook_out(service.change_webhook(runtime(), actor(), webhook_id, body(WebhookChange).changes()))


@bp.delete("/api/webhooks/<int:webhook_id>")
@requires("settings:write")
def remove_webhook(webhook_id: int) -> tuple[str, int]:
    """Remove a webhook with its log."""
    service.remove_webhook(runtime(), actor(), webhook_id)
    return "", 204


@bp.post("/api/webhooks/<int:webhook_id>/secret")
@requires("settings:write")
def renew_secret(webhook_id: int) -> dict[str, Any]:
    """Give a webhook another secret, in use at once. `secret` is shown this once."""
    webhook, secret = service.renew_secret(runtime(), actor(), webhook_id)
    return webhook_out(webhook) | {"secret": secret}


@bp.post("/api/webhooks/<int:webhook_id>/test")
@requires("settings:write")
def test_webhook(webhook_id: int) -> dict[str, Any]:
    """Send a test now and tell how it went."""
    return delivery_out(service.send_test(runtime(), actor(), webhook_id))


test_webhook.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for a test


@bp.get("/api/webhooks/<int:webhook_id>/deliveries")
@requires("settings:read")
def list_deliveries(webhook_id: int) -> dict[str, Any]:
    """What a webhook was sent, newest first; `state` (open, done, failed) narrows it."""
    rt = runtime()
    rt.read(queries.get_webhook, actor(), webhook_id)
    state, page = asked_state(), page_request()
    rows = rt.read(queries.list_deliveries, actor(), webhook_id, page, state)
    return page_of(rows, page, lambda row: row.id).answer(delivery_out)


def asked_state() -> str | None:
    """`state` of the query string. Raises `Invalid` for one that there is not."""
    state = request.args.get("state") or None
    if state is not None and state not in STATES:
        raise Invalid(fields={"state": ["must be open, done or failed"]})
    return state


@bp.post("/api/webhooks/<int:webhook_id>/deliveries/<int:delivery_id>/again")
@requires("settings:write")
def send_again(webhook_id: int, delivery_id: int) -> dict[str, Any]:
    """Send a message once more now and tell how it went."""
    return delivery_out(service.send_again(runtime(), actor(), webhook_id, delivery_id))
