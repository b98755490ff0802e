"""Notifications and channels as the API speaks of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bawaba.notifications import words
from bawaba.notifications.models import Notification, NotificationChannel
from bawaba.web.input import Id, Input

IDS_MOST = 500


class ReadIn(Input):
    """Which notifications were read: these, or (left out) all."""

    ids: list[Id] | None = Field(None, max_length=IDS_MOST)


class ChannelIn(Input):
    """A new way outward."""

    name: str = Field(min_length=1, max_length=60)
    url: str = Field(min_length=4, max_length=1000, pattern=r"^[A-Za-z][A-Za-z0-9+.-]*://\S+$", repr=False)
    language: Literal["ar", "en"] = "ar"
    least: Literal["info", "warning", "critical"] = "warning"
    allow_private: bool = False
    enabled: bool = True
    site_id: Id | None = None


class ChannelChange(Input):
    """What may be changed; what is left out stays."""

    name: str = Field("", min_length=1, max_length=60)
    url: str = Field("", min_length=4, max_length=1000, pattern=r"^[A-Za-z][A-Za-z0-9+.-]*://\S+$", repr=False)
    language: Literal["ar", "en"] = "ar"
    least: Literal["info", "warning", "critical"] = "warning"
    allow_private: bool = False
    enabled: bool = True

    def changes(self) -> dict[str, Any]:
        """Only what was sent."""
        return self.model_dump(exclude_unset=True)


def notification_out(notification: Notification, read: bool, language: str) -> dict[str, Any]:
    """A notification in the caller's language."""
    phase = words.OVER if notification.closed_at is not None and notification.closing else words.BEGUN
    message = words.of(notification, phase, language)
    return {
        "id": notification.id,
        "kind": notification.kind,
        "severity": notification.severity,
        "site_id": notification.site_id,
        "title": message.title,
        "body": message.body,
        "path": notification.path,
        "opened_at": notification.opened_at,
        "closed_at": notification.closed_at,
        "read": read,
    }


def channel_out(channel: NotificationChannel) -> dict[str, Any]:
    """A channel, without its URL."""
    return {
        "id": channel.id,
        "name": channel.name,
        "kind": channel.kind,
        "language": channel.language,
        "least": channel.least,
        "allow_private": channel.allow_private,
        "enabled": channel.enabled,
        "site_id": channel.site_id,
        "last_error": channel.last_error,
        "last_sent_at": channel.last_sent_at,
        "created_at": channel.created_at,
    }
