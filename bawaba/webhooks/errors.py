"""What can go wrong with webhooks."""

from __future__ import annotations

from bawaba.core.errors import NotFound
from bawaba.web.messages import say


class WebhookNotFound(NotFound):
    """There is no such webhook for this person."""

    code = "webhook_not_found"


class DeliveryNotFound(NotFound):
    """This webhook has no such message (any more)."""

    code = "webhook_delivery_not_found"


say(
    webhook_not_found="There is no such webhook here.",
    webhook_delivery_not_found="There is no such message here. Old ones are forgotten.",
)
