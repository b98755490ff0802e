"""Reads of webhooks and their log, each as the person who asks may see them."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from bawaba.core.actor import Actor
from bawaba.web.paging import PageRequest
from bawaba.webhooks.errors import DeliveryNotFound, WebhookNotFound
from bawaba.webhooks.models import Webhook, WebhookDelivery

WEBHOOKS_MOST = 50


def visible(actor: Actor) -> Select[Webhook]:
    """The webhooks of the sites that someone sees; those of every site for whoever sees them all."""
    wanted = select(Webhook).order_by(Webhook.id)
    return wanted if actor.site_ids is None else wanted.where(Webhook.site_id.in_(actor.site_ids))


def list_webhooks(db: Session, actor: Actor) -> list[Webhook]:
    """All of them (50 at most)."""
    return list(db.scalars(visible(actor).limit(WEBHOOKS_MOST)))


def get_webhook(db: Session, actor: Actor, webhook_id: int) -> Webhook:
    """One. Raises `WebhookNotFound`."""
    found = db.scalar(visible(actor).where(Webhook.id == webhook_id))
    if found is None:
        raise WebhookNotFound()
    return found


def list_deliveries(
    db: Session, actor: Actor, webhook_id: int, page: PageRequest, state: str | None = None
) -> list[WebhookDelivery]:
    """A webhook's messages, newest first; one row more than the page holds. Raises `WebhookNotFound`."""
    get_webhook(db, actor, webhook_id)
    wanted = select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id)
    if state is not None:
        wanted = wanted.where(WebhookDelivery.state == state)
    if page.after_id is not None:
        wanted = wanted.where(WebhookDelivery.id < page.after_id)
    return list(db.scalars(wanted.order_by(WebhookDelivery.id.desc()).limit(page.limit + 1)))


def get_delivery(db: Session, actor: Actor, webhook_id: int, delivery_id: int) -> WebhookDelivery:
    """One message. Raises `WebhookNotFound`, `DeliveryNotFound`."""
    get_webhook(db, actor, webhook_id)
    delivery = db.get(WebhookDelivery, delivery_id)
    if delivery is None or delivery.webhook_id != webhook_id:
        raise DeliveryNotFound()
    return delivery
