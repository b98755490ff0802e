"""Notifications and the ways outward over the API."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import request

from bawaba.accounts.idempotency import idempotent, once
from bawaba.notifications import channels, courier, queries
from bawaba.notifications.notifier import notifier
from bawaba.notifications.schemas import ChannelChange, ChannelIn, ReadIn, channel_out, notification_out
from bawaba.sites.asked import site_in_body
from bawaba.web import language
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import body, takes
from bawaba.web.paging import page_of, page_request

bp = APIBlueprint("notifications_api", __name__)


@bp.get("/api/notifications")
@requires("routers:read")
def list_notifications() -> dict[str, Any]:
    """What happened at the caller's sites, newest first; `unread=true` and `open=true` narrow it."""
    page = page_request()
    narrowed = {"unread": request.args.get("unread") == "true", "is_open": request.args.get("open") == "true"}
    rows = runtime().read(lambda db: queries.list_notifications(db, actor(), page, **narrowed))
    spoken = language.current()
    return page_of(rows, page, lambda row: row[0].id).answer(lambda row: notification_out(row[0], row[1], spoken))


@bp.post("/api/notifications/read")
@requires("routers:read")
@takes(ReadIn)
def mark_read() -> dict[str, Any]:
    """Note that the caller has read these notifications, or all."""
    return {"read": runtime().transact(queries.mark_read, actor(), body(ReadIn).ids, runtime().clock.now())}


@bp.get("/api/notification-channels")
@requires("settings:read")
def list_channels() -> dict[str, Any]:
    """The ways outward; their URLs are never shown."""
    found = runtime().read(channels.list_channels, actor())
    return {"items": [channel_out(channel) for channel in found], "next": None}


def _show(channel_id: int) -> dict[str, Any]:
    return channel_out(runtime().read(channels.get_channel, actor(), channel_id))


@bp.post("/api/notification-channels")
@requires("settings:write")
@takes(ChannelIn)
@idempotent(again=_show)
def add_channel() -> tuple[dict[str, Any], int]:
    """Add a way outward, by its apprise URL."""
    site_in_body()
    return channel_out(channels.add_channel(runtime(), actor(), body(ChannelIn).model_dump(), once())), 201


@bp.patch("/api/notification-channels/<int:channel_id>")
@requires("settings:write")
@takes(ChannelChange)
def change_channel(channel_id: int) -> dict[str, Any]:
    """Change a way outward; what is left out stays."""
    runtime().read(channels.get_channel, actor(), channel_id)
    changed = channels.change_channel(runtime(), actor(), channel_id, body(ChannelChange).changes())
    notifier(runtime()).wake()
    return channel_out(changed)


@bp.delete("/api/notification-channels/<int:channel_id>")
@requires("settings:write")
def remove_channel(channel_id: int) -> tuple[str, int]:
    """Remove a way outward."""
    channels.remove_channel(runtime(), actor(), channel_id)
    return "", 204


@bp.post("/api/notification-channels/<int:channel_id>/test")
@requires("settings:write")
def test_channel(channel_id: int) -> dict[str, Any]:
    """Send a test now."""
    word = channels.test_channel(runtime(), actor(), channel_id)
    return {"ok": word == courier.SENT, "result": word}


test_channel.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for a test
