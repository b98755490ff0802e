"""Setting up the ways outward: their URLs are secrets, written once and never shown again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from bawaba.accounts import audit
from bawaba.accounts.idempotency import Once
from bawaba.core.actor import Actor
from bawaba.core.errors import field_fault
from bawaba.core.runtime import Runtime
from bawaba.notifications import courier, words
from bawaba.notifications.errors import ChannelNotFound
from bawaba.notifications.models import NotificationChannel
from bawaba.notifications.sending import CHANNEL_SECRET, open_url
from bawaba.sites.service import resolve_site

CHANNELS_MOST = 50


def visible(actor: Actor) -> Select[NotificationChannel]:
    """The channels that someone may set up: of their sites; of every site, for those who see them all."""
    wanted = select(NotificationChannel).order_by(NotificationChannel.id)
    return wanted if actor.site_ids is None else wanted.where(NotificationChannel.site_id.in_(actor.site_ids))


def list_channels(db: Session, actor: Actor) -> list[NotificationChannel]:
    """All of them (50 at most)."""
    return list(db.scalars(visible(actor).limit(CHANNELS_MOST)))


def get_channel(db: Session, actor: Actor, channel_id: int) -> NotificationChannel:
    """One. Raises `ChannelNotFound`."""
    found = db.scalar(visible(actor).where(NotificationChannel.id == channel_id))
    if found is None:
        raise ChannelNotFound()
    return found


def add_channel(rt: Runtime, actor: Actor, facts: dict[str, Any], once: Once | None = None) -> NotificationChannel:
    """Add a way outward. Raises `Invalid` for a URL that apprise does not understand."""
    _understood(facts["url"])
    return rt.transact(_add, rt, actor, facts, rt.clock.now(), once)


def _add(
    db: Session, rt: Runtime, actor: Actor, facts: dict[str, Any], now: datetime, once: Once | None
) -> NotificationChannel:
    site_id = facts.get("site_id")
    if site_id is not None or actor.site_ids is not None:
        site_id = resolve_site(db, actor, site_id).id
    if len(db.scalars(select(NotificationChannel.id).limit(CHANNELS_MOST)).all()) >= CHANNELS_MOST:
        raise field_fault("name", "there are too many channels already")
    url = facts["url"]
    plain = {name: facts[name] for name in ("name", "language", "least", "allow_private", "enabled")}
    channel = NotificationChannel(
        **plain, kind=_kind(url), url_sealed=rt.keyring.encrypt(url.encode(), CHANNEL_SECRET), site_id=site_id,
        created_at=now,
    )  # fmt: skip
    db.add(channel)
    db.flush()
    if once is not None:
        once.record(db, channel.id)
    audit.record(db, actor, "channel.added", site_id, "channel", channel.id, now, name=channel.name, way=channel.kind)
    return channel


def change_channel(rt: Runtime, actor: Actor, channel_id: int, changes: dict[str, Any]) -> NotificationChannel:
    """Change what is given; a URL that is left out stays."""
    if changes.get("url"):
        _understood(changes["url"])
    return rt.transact(_change, rt, actor, channel_id, changes, rt.clock.now())


def _change(
    db: Session, rt: Runtime, actor: Actor, channel_id: int, changes: dict[str, Any], now: datetime
) -> NotificationChannel:
    channel = get_channel(db, actor, channel_id)
    names = ", ".join(sorted(changes))
    if url := changes.pop("url", None):
        channel.url_sealed = rt.keyring.encrypt(url.encode(), CHANNEL_SECRET)
        channel.kind, channel.last_error = _kind(url), None
    for name, value in changes.items():
        setattr(channel, name, value)
    audit.record(db, actor, "channel.changed", channel.site_id, "channel", channel.id, now, fields=names)
    return channel


def remove_channel(rt: Runtime, actor: Actor, channel_id: int) -> None:
    """Remove a way outward, with what was still to go over it."""
    rt.transact(_remove, actor, channel_id, rt.clock.now())


def _remove(db: Session, actor: Actor, channel_id: int, now: datetime) -> None:
    channel = get_channel(db, actor, channel_id)
    audit.record(db, actor, "channel.removed", channel.site_id, "channel", channel.id, now, name=channel.name)
    db.delete(channel)


def test_channel(rt: Runtime, actor: Actor, channel_id: int) -> str:
    """Send a test now; how that went, in a word of `courier`'s."""
    channel = rt.read(get_channel, actor, channel_id)
    message = words.test_message(channel.language)
    word = courier.carry(
        open_url(rt.keyring, channel), message, "info", allow_private=channel.allow_private, deadline_s=TEST_S
    )
    rt.transact(_note_test, actor, channel_id, word, rt.clock.now())
    return word


TEST_S = 15.0
test_channel.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for a test


def _note_test(db: Session, actor: Actor, channel_id: int, word: str, now: datetime) -> None:
    channel = get_channel(db, actor, channel_id)
    channel.last_error = None if word == courier.SENT else word
    if word == courier.SENT:
        channel.last_sent_at = now


def _understood(url: str) -> None:
    if courier.check(url) != courier.SENT:
        raise field_fault("url", "is not an address that Apprise knows")


def _kind(url: str) -> str:
    return url.partition("://")[0].lower()[:24]
