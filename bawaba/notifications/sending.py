"""Messages on their way outward: taken under a lease, carried one by one, tried again with growing waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bawaba.core.keyring import Keyring
from bawaba.core.runtime import Runtime
from bawaba.notifications import courier, rules, words
from bawaba.notifications.courier import Message
from bawaba.notifications.models import Notification, NotificationChannel, NotificationDelivery

log = structlog.get_logger(__name__)
LEASE_S = 60.0  # longer than a courier may take
AT_ONCE = 20
CHANNEL_SECRET = b"notification channel"
HOPELESS = frozenset({courier.BAD_URL, courier.PRIVATE_HOST})  # a person must change the channel


@dataclass(frozen=True)
class Letter:
    """One message for one channel, opened."""

    delivery_id: int
    channel_id: int
    url: str
    allow_private: bool
    severity: str
    message: Message


@dataclass(frozen=True)
class Way:
    """A channel as it is remembered for the time that the database is away."""

    url: str
    allow_private: bool
    language: str
    least: str


def ways(db: Session, keyring: Keyring) -> list[Way]:
    """Every channel that carries news of no particular site."""
    wanted = select(NotificationChannel).where(NotificationChannel.enabled, NotificationChannel.site_id.is_(None))
    return [
        Way(open_url(keyring, channel), channel.allow_private, channel.language, channel.least)
        for channel in db.scalars(wanted)
    ]


def open_url(keyring: Keyring, channel: NotificationChannel) -> str:
    """A channel's URL, in clear."""
    return keyring.decrypt(channel.url_sealed, CHANNEL_SECRET).decode()


def take(db: Session, keyring: Keyring, now: datetime) -> list[Letter]:
    """Take messages that are due; nobody else does so for a minute (step)."""
    due = (NotificationDelivery.state == "open", NotificationDelivery.next_try_at <= now)
    ids = db.scalars(select(NotificationDelivery.id).where(*due).order_by(NotificationDelivery.id).limit(AT_ONCE)).all()
    mine = update(NotificationDelivery).where(NotificationDelivery.id.in_(ids), *due)
    taken = mine.values(next_try_at=now + timedelta(seconds=LEASE_S)).returning(NotificationDelivery.id)
    return [_letter(db, keyring, delivery_id) for delivery_id in sorted(db.scalars(taken))]


def _letter(db: Session, keyring: Keyring, delivery_id: int) -> Letter:
    delivery = db.get_one(NotificationDelivery, delivery_id)
    channel = db.get_one(NotificationChannel, delivery.channel_id)
    notification = db.get_one(Notification, delivery.notification_id)
    message = words.of(notification, delivery.phase, channel.language)
    url = open_url(keyring, channel)
    return Letter(delivery.id, channel.id, url, channel.allow_private, notification.severity, message)


def send_due(rt: Runtime) -> int:
    """Send what is due, one after the other; how many were tried."""
    letters = rt.transact(take, rt.keyring, rt.clock.now())
    for letter in letters:
        word = courier.carry(letter.url, letter.message, letter.severity, allow_private=letter.allow_private)
        rt.transact(note, letter, word, rt.clock.now(), rt.rng.random())
    return len(letters)


def note(db: Session, letter: Letter, word: str, now: datetime, jitter: float) -> None:
    """Write down how a message fared (step)."""
    channel = db.get(NotificationChannel, letter.channel_id)
    delivery = db.get(NotificationDelivery, letter.delivery_id)
    if channel is None or delivery is None:  # the channel was removed meanwhile
        return
    delivery.attempts += 1
    if word == courier.SENT:
        delivery.state, delivery.done_at, delivery.last_error = "done", now, None
        channel.last_sent_at, channel.last_error = now, None
        return
    delivery.last_error = channel.last_error = word
    delivery.next_try_at = now + timedelta(seconds=rules.retry_wait_s(delivery.attempts, jitter))
    if word in HOPELESS or delivery.attempts >= rules.TRIES:
        delivery.state = "failed"
    log.warning("a message was not taken", channel_id=channel.id, reason=word, attempts=delivery.attempts)
