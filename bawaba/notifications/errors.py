"""What can go wrong with notifications."""

from __future__ import annotations

from bawaba.core.errors import NotFound
from bawaba.web.messages import say


class NotificationNotFound(NotFound):
    """There is no such notification for this person."""

    code = "notification_not_found"


class ChannelNotFound(NotFound):
    """There is no such channel for this person."""

    code = "channel_not_found"


say(
    notification_not_found="There is no such notification here.",
    channel_not_found="There is no such channel here.",
)
