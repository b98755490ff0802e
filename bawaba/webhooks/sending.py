"""Messages on their way: taken under a lease, posted beside one another, tried again with growing waits (steps)."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.orm import Session

from bawaba.core.events import Event
from bawaba.core.keyring import Keyring
from bawaba.notifications import incidents
from bawaba.notifications.incidents import Incident
from bawaba.webhooks import rules
from bawaba.webhooks.models import Webhook, WebhookDelivery
from bawaba.webhooks.posting import WITHOUT_ANSWER, Letter, Outcome

log = structlog.get_logger(__name__)
LEASE = timedelta(seconds=60)  # longer than a round may take
AT_ONCE = 20
SECRET = b"webhook secret"
KEPT_DONE, KEPT_FAILED = timedelta(days=14), timedelta(days=30)
PRUNE_MOST = 1000


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    rested = or_(Webhook.rest_until.is_(None), Webhook.rest_until <= now)
    return (WebhookDelivery.state == "open", WebhookDelivery.next_try_at <= now, Webhook.enabled.is_(True), rested)


def anything_due(db: Session, now: datetime) -> bool:
    """Whether a message waits: the look before the taking, which writes."""
    due = select(WebhookDelivery.id).join(Webhook, Webhook.id == WebhookDelivery.webhook_id).where(*_due(now))
    return db.scalar(due.limit(1)) is not None


def take(db: Session, keyring: Keyring, now: datetime) -> list[Letter]:
    """Take messages that are due, oldest first; no other process does so for a minute, nor waits for this one."""
    due = (
        select(WebhookDelivery, Webhook)
        .join(Webhook, Webhook.id == WebhookDelivery.webhook_id)
        .where(*_due(now))
        .order_by(WebhookDelivery.id)
        .limit(AT_ONCE)
        .with_for_update(of=WebhookDelivery, skip_locked=True)
    )
    return [_taken(keyring, delivery, webhook, now) for delivery, webhook in db.execute(due)]


def take_one(db: Session, keyring: Keyring, delivery_id: int, now: datetime) -> Letter:
    """Take this very message, due or not."""
    delivery = db.get_one(WebhookDelivery, delivery_id, with_for_update=True)
    return _taken(keyring, delivery, db.get_one(Webhook, delivery.webhook_id), now)


def _taken(keyring: Keyring, delivery: WebhookDelivery, webhook: Webhook, now: datetime) -> Letter:
    delivery.next_try_at = now + LEASE
    secret = keyring.decrypt(webhook.secret_sealed, SECRET).decode()
    return Letter(delivery.id, webhook.id, webhook.url, webhook.allow_private, secret, delivery.body)


def note(db: Session, letter: Letter, outcome: Outcome, now: datetime, jitter: float) -> list[Event]:
    """Write down how a try went; answers the news."""
    webhook = db.get(Webhook, letter.webhook_id, with_for_update=True)
    delivery = db.get(WebhookDelivery, letter.delivery_id)
    if webhook is None or delivery is None:  # it was removed meanwhile
        return []
    delivery.attempts += 1
    delivery.status, delivery.error, delivery.took_ms = outcome.status, outcome.error, outcome.took_ms
    delivery.tried_at = now
    if outcome.error is None:
        delivery.state = "done"
        webhook.failing_since, webhook.rest_until, webhook.failures, webhook.taken_at = None, None, 0, now
        return []
    delivery.next_try_at = now + timedelta(seconds=rules.retry_wait_s(delivery.attempts, jitter))
    if delivery.next_try_at > delivery.give_up_at:
        delivery.state = "failed"
    log.warning("a webhook did not take a message", webhook_id=webhook.id, reason=outcome.error, status=outcome.status)
    return [] if delivery.kind == rules.TEST else _note_failing(db, webhook, outcome, now)


def _note_failing(db: Session, webhook: Webhook, outcome: Outcome, now: datetime) -> list[Event]:
    """Spare one that is not there; switch off one that has taken nothing for days, and say so."""
    webhook.failing_since = webhook.failing_since or now
    if outcome.error in WITHOUT_ANSWER:
        webhook.failures += 1
        webhook.rest_until = now + timedelta(seconds=rules.rest_s(webhook.failures))
    if not webhook.enabled or now - webhook.failing_since < rules.SWITCH_OFF_AFTER:
        return []
    webhook.enabled, webhook.gave_up_at = False, now
    facts = {"name": webhook.name}
    path = f"/webhooks/{webhook.id}"
    incident = Incident("webhook", "warning", webhook.site_id, f"webhook:{webhook.id}", path, facts)
    return list(incidents.happened(db, incident, now))


def prune(db: Session, now: datetime) -> None:
    """Give up what was kept from being tried until its day was over, and forget what is long decided; 1,000 rows at a
    time."""
    late = (WebhookDelivery.state == "open", WebhookDelivery.next_try_at <= now, WebhookDelivery.give_up_at < now)
    some = select(WebhookDelivery.id).where(*late).limit(PRUNE_MOST)
    db.execute(update(WebhookDelivery).where(WebhookDelivery.id.in_(some)).values(state="failed"))
    for state, kept in (("done", KEPT_DONE), ("failed", KEPT_FAILED)):
        old = (WebhookDelivery.created_at < now - kept, WebhookDelivery.state == state)
        gone = select(WebhookDelivery.id).where(*old).order_by(WebhookDelivery.created_at).limit(PRUNE_MOST)
        db.execute(delete(WebhookDelivery).where(WebhookDelivery.id.in_(gone)))
