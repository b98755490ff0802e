"""Setting up webhooks, and sending by hand. A secret is told once, when it is made."""

from __future__ import annotations

import base64
import random
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.accounts.idempotency import Once
from bawaba.core.actor import Actor
from bawaba.core.errors import field_fault
from bawaba.core.runtime import Runtime
from bawaba.sites.service import resolve_site
from bawaba.webhooks import outbox, rules
from bawaba.webhooks.models import Webhook, WebhookDelivery
from bawaba.webhooks.queries import WEBHOOKS_MOST, get_delivery, get_webhook
from bawaba.webhooks.sender import sender
from bawaba.webhooks.sending import LEASE, SECRET

SECRET_BYTES = 32


def new_secret(rng: random.Random) -> str:
    """A signing secret: `whsec_` and 256 bits in base64url."""
    return "whsec_" + base64.urlsafe_b64encode(rng.randbytes(SECRET_BYTES)).decode().rstrip("=")


def add_webhook(rt: Runtime, actor: Actor, facts: dict[str, Any], once: Once | None = None) -> tuple[Webhook, str]:
    """Add one; answers it and its secret. Raises `Invalid` for an address that may not be told."""
    secret = new_secret(rt.rng)
    webhook = rt.transact(_add, rt, actor, facts, secret, rt.clock.now(), once)
    sender(rt).refresh()
    return webhook, secret


def _add(
    db: Session, rt: Runtime, actor: Actor, facts: dict[str, Any], secret: str, now: datetime, once: Once | None
) -> Webhook:
    site_id = facts.get("site_id")
    if site_id is not None or actor.site_ids is not None:
        site_id = resolve_site(db, actor, site_id).id
    _check_url(facts["url"], facts["allow_private"])
    if len(db.scalars(select(Webhook.id).limit(WEBHOOKS_MOST)).all()) >= WEBHOOKS_MOST:
        raise field_fault("name", "there are too many webhooks already")
    plain = {name: facts[name] for name in ("name", "url", "allow_private", "enabled")}
    sealed = rt.keyring.encrypt(secret.encode(), SECRET)
    webhook = Webhook(
        **plain, events=_as_text(facts["events"]), site_id=site_id, secret_sealed=sealed, failures=0, created_at=now
    )
    db.add(webhook)
    db.flush()
    if once is not None:
        once.record(db, webhook.id)
    audit.record(db, actor, "webhook.added", site_id, "webhook", webhook.id, now, name=webhook.name)
    return webhook


def change_webhook(rt: Runtime, actor: Actor, webhook_id: int, changes: dict[str, Any]) -> Webhook:
    """Change what is given. One that is switched on again begins with a clean slate."""
    webhook = rt.transact(_change, actor, webhook_id, changes, rt.clock.now())
    sender(rt).refresh()
    sender(rt).wake()
    return webhook


def _change(db: Session, actor: Actor, webhook_id: int, changes: dict[str, Any], now: datetime) -> Webhook:
    webhook = get_webhook(db, actor, webhook_id)
    for name, value in changes.items():
        setattr(webhook, name, _as_text(value) if name == "events" else value)
    _check_url(webhook.url, webhook.allow_private)
    if {"url", "allow_private"} & set(changes) or changes.get("enabled"):
        webhook.failures, webhook.failing_since, webhook.rest_until, webhook.gave_up_at = 0, None, None, None
    names = ", ".join(sorted(changes))
    audit.record(db, actor, "webhook.changed", webhook.site_id, "webhook", webhook.id, now, fields=names)
    return webhook


def remove_webhook(rt: Runtime, actor: Actor, webhook_id: int) -> None:
    """Remove one, with its log and what was still to be sent."""
    rt.transact(_remove, actor, webhook_id, rt.clock.now())
    sender(rt).refresh()


def _remove(db: Session, actor: Actor, webhook_id: int, now: datetime) -> None:
    webhook = get_webhook(db, actor, webhook_id)
    audit.record(db, actor, "webhook.removed", webhook.site_id, "webhook", webhook.id, now, name=webhook.name)
    db.delete(webhook)
    db.execute(delete(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id))


def renew_secret(rt: Runtime, actor: Actor, webhook_id: int) -> tuple[Webhook, str]:
    """Give it another secret, in use at once; the old one signs nothing more."""
    secret = new_secret(rt.rng)
    sealed = rt.keyring.encrypt(secret.encode(), SECRET)
    return rt.transact(_renew, actor, webhook_id, sealed, rt.clock.now()), secret


def _renew(db: Session, actor: Actor, webhook_id: int, sealed: bytes, now: datetime) -> Webhook:
    webhook = get_webhook(db, actor, webhook_id)
    webhook.secret_sealed = sealed
    audit.record(db, actor, "webhook.secret_renewed", webhook.site_id, "webhook", webhook.id, now, name=webhook.name)
    return webhook


def send_test(rt: Runtime, actor: Actor, webhook_id: int) -> WebhookDelivery:
    """Send a test now (5 s at most); answers the message as it fared. It is tried this once."""
    event_id = outbox.new_event_id(rt.rng)
    delivery_id = rt.transact(_write_test, actor, webhook_id, event_id, rt.clock.now())
    return _sent_now(rt, actor, webhook_id, delivery_id)


def _write_test(db: Session, actor: Actor, webhook_id: int, event_id: str, now: datetime) -> int:
    webhook = get_webhook(db, actor, webhook_id)
    body = outbox.body_of(event_id, rules.TEST, now, {"webhook_id": webhook.id, "name": webhook.name})
    test = WebhookDelivery(
        webhook_id=webhook.id, event_id=event_id, kind=rules.TEST, body=body, state="open", attempts=0,
        created_at=now, next_try_at=now + LEASE, give_up_at=now,
    )  # fmt: skip
    db.add(test)
    db.flush()
    audit.record(db, actor, "webhook.tested", webhook.site_id, "webhook", webhook.id, now)
    return test.id


def send_again(rt: Runtime, actor: Actor, webhook_id: int, delivery_id: int) -> WebhookDelivery:
    """Send a message once more now, whatever came of it; where that fails it is tried again like a new one."""
    rt.transact(_open_again, actor, webhook_id, delivery_id, rt.clock.now())
    return _sent_now(rt, actor, webhook_id, delivery_id)


def _open_again(db: Session, actor: Actor, webhook_id: int, delivery_id: int, now: datetime) -> None:
    delivery = get_delivery(db, actor, webhook_id, delivery_id)
    delivery.state, delivery.attempts, delivery.next_try_at = "open", 0, now + LEASE
    if delivery.kind != rules.TEST:
        delivery.give_up_at = now + rules.GIVE_UP_AFTER
    site_id = get_webhook(db, actor, webhook_id).site_id
    audit.record(db, actor, "webhook.sent_again", site_id, "webhook", webhook_id, now, delivery_id=delivery_id)


def _sent_now(rt: Runtime, actor: Actor, webhook_id: int, delivery_id: int) -> WebhookDelivery:
    sender(rt).send_now(delivery_id)
    return rt.read(get_delivery, actor, webhook_id, delivery_id)


def _check_url(url: str, allow_private: bool) -> None:
    if fault := rules.url_fault(url, allow_private):
        raise field_fault("url", fault)


def _as_text(kinds: list[str]) -> str:
    return f" {' '.join(kind for kind in rules.KINDS if kind in kinds)} "
