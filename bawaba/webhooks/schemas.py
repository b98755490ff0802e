"""Webhooks as the API speaks of them."""

from __future__ import annotations

from typing import Any, Literal

import orjson
from pydantic import ConfigDict, Field

from bawaba.web.input import Id, Input
from bawaba.webhooks.models import Webhook, WebhookDelivery

Kind = Literal["voucher.redeemed", "session.ended", "router.down", "batch.ready"]
URL_MOST = 1000


class WebhookIn(Input):
    """A new webhook."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "Shop", "url": "https://shop.example/bawaba", "events": ["voucher.redeemed", "session.ended"]}
            ]
        }
    )

    name: str = Field(min_length=1, max_length=60)
    url: str = Field(min_length=8, max_length=URL_MOST, pattern=r"^https?://\S+$")
    events: list[Kind] = Field(min_length=1, max_length=20)
    site_id: Id | None = None
    allow_private: bool = False
    enabled: bool = True


class WebhookChange(Input):
    """What may be changed; what is left out stays."""

    name: str = Field("", min_length=1, max_length=60)
    url: str = Field("", min_length=8, max_length=URL_MOST, pattern=r"^https?://\S+$")
    events: list[Kind] = Field([], min_length=1, max_length=20)
    allow_private: bool = False
    enabled: bool = True

    def changes(self) -> dict[str, Any]:
        """Only what was sent."""
        return self.model_dump(exclude_unset=True)


def webhook_out(webhook: Webhook) -> dict[str, Any]:
    """A webhook, without its secret."""
    return {
        "id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": webhook.kinds,
        "site_id": webhook.site_id,
        "allow_private": webhook.allow_private,
        "enabled": webhook.enabled,
        "failing_since": webhook.failing_since,
        "gave_up_at": webhook.gave_up_at,
        "taken_at": webhook.taken_at,
        "created_at": webhook.created_at,
    }


def delivery_out(delivery: WebhookDelivery) -> dict[str, Any]:
    """A message and how it fared. `status` is the last answer's; `took_ms` how long the last try took."""
    return {
        "id": delivery.id,
        "webhook_id": delivery.webhook_id,
        "type": delivery.kind,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "status": delivery.status,
        "error": delivery.error,
        "took_ms": delivery.took_ms,
        "created_at": delivery.created_at,
        "tried_at": delivery.tried_at,
        "next_try_at": delivery.next_try_at if delivery.state == "open" else None,
        "body": orjson.loads(delivery.body),
    }
