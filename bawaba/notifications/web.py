"""The bell, the page of notifications, and the page of the ways outward."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from flask.typing import ResponseReturnValue

from bawaba.core.errors import Problem
from bawaba.notifications import channels, courier, queries
from bawaba.notifications.models import NotificationChannel
from bawaba.notifications.notifier import notifier
from bawaba.notifications.schemas import ChannelChange, ChannelIn, notification_out
from bawaba.web import language, pages
from bawaba.web.forms import Form, typed
from bawaba.web.guard import actor, requires, runtime
from bawaba.web.input import parse
from bawaba.web.language import translate as _
from bawaba.web.paging import PageRequest, page_of, page_request

bp = APIBlueprint("notifications_pages", __name__, enable_openapi=False)
RESULTS = {
    courier.SENT: "It was sent.",
    courier.NOT_TAKEN: "It was not taken: check the address, its user name and its password.",
    courier.TIMED_OUT: "It did not answer in time.",
    courier.PRIVATE_HOST: "This address is inside a private network, which has to be allowed for it.",
    courier.BAD_URL: "This address is not understood.",
}
ON_THE_DASHBOARD = frozenset({"router_down", "jobs", "guessing"})
INCIDENTS_MOST = 20
SEVERITY_NAMES = {"info": "All", "warning": "Warnings and worse", "critical": "Only what is urgent"}

pages.say(
    notifications_read="All are read.",
    channel_added="The channel is added. Send a test to see whether it works.",
    channel_saved="The channel is saved.",
    channel_removed="The channel is removed.",
)


@bp.app_template_global()
def unread_notifications() -> int:
    """How many the reader has not read; 0 for whoever may not see any."""
    return runtime().read(queries.count_unread, actor()) if pages.may("routers:read") else 0


@bp.app_template_global()
def open_incidents() -> list[dict[str, Any]]:
    """What goes on and is not read, for the dashboard; without what it tells by itself."""
    if not pages.may("routers:read"):
        return []
    page = PageRequest(INCIDENTS_MOST, None)
    rows = runtime().read(lambda db: queries.list_notifications(db, actor(), page, unread=True, is_open=True))
    spoken = language.current()
    told = [notification_out(row, read, spoken) for row, read in rows if row.kind not in ON_THE_DASHBOARD]
    return [one for one in told if one["severity"] != "info"]


@bp.get("/notifications")
@requires("routers:read")
def list_notifications() -> Response:
    """What happened, newest first."""
    page = page_request()
    unread = request.args.get("unread") == "true"
    rows = runtime().read(lambda db: queries.list_notifications(db, actor(), page, unread=unread))
    spoken = language.current()
    found = page_of(rows, page, lambda row: row[0].id)
    items = [notification_out(row, read, spoken) for row, read in found.items]
    return pages.show("notifications/list.html", "notifications/_list.html", page=found, items=items, unread=unread)


@bp.get("/notifications/bell")
@requires("routers:read")
def show_bell() -> Response:
    """The bell with its number, for a page that is open."""
    return pages.show("notifications/_bell.html", "notifications/_bell.html")


@bp.post("/notifications/read")
@requires("routers:read")
def mark_all_read() -> ResponseReturnValue:
    """The reader has read them all."""
    runtime().transact(queries.mark_read, actor(), None, runtime().clock.now())
    return pages.go("/notifications", "notifications_read")


@bp.get("/channels")
@requires("settings:read")
def list_channels() -> Response:
    """The ways outward."""
    return _channels_page(Form({"language": language.current(), "least": "warning"}))


@bp.post("/channels")
@requires("settings:write")
def add_channel() -> ResponseReturnValue:
    """Add a way outward."""
    try:
        channels.add_channel(runtime(), actor(), parse(ChannelIn, _sent()).model_dump())
    except Problem as problem:
        return _channels_page(typed(problem), problem.status)
    return pages.go("/channels", "channel_added")


@bp.post("/channels/<int:channel_id>/test")
@requires("settings:write")
def test_channel(channel_id: int) -> Response:
    """Send a test now and show how it went."""
    word = channels.test_channel(runtime(), actor(), channel_id)
    return _channels_page(Form({"least": "warning"}), tested=channel_id, result=word)


test_channel.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for a test


@bp.post("/channels/<int:channel_id>/enabled")
@requires("settings:write")
def switch_channel(channel_id: int) -> ResponseReturnValue:
    """Let a channel rest, or use it again."""
    changes = parse(ChannelChange, {"enabled": request.form.get("enabled") == "true"}).changes()
    channels.change_channel(runtime(), actor(), channel_id, changes)
    notifier(runtime()).wake()
    return pages.go("/channels", "channel_saved")


@bp.get("/channels/<int:channel_id>/remove")
@requires("settings:write")
def ask_to_remove(channel_id: int) -> Response:
    """What removing a channel means."""
    channel = runtime().read(channels.get_channel, actor(), channel_id)
    return pages.show(
        "question.html",
        question=_("Remove %(name)s?", name=pages.apart(channel.name)),
        facts=[_("Nothing is sent this way any more. Its address is forgotten.")],
        verb=_("Remove"),
        action=f"/channels/{channel_id}/remove",
        back="/channels",
        hidden={},
        destroys=True,
    )


@bp.post("/channels/<int:channel_id>/remove")
@requires("settings:write")
def remove_channel(channel_id: int) -> ResponseReturnValue:
    """Remove a way outward."""
    channels.remove_channel(runtime(), actor(), channel_id)
    return pages.go("/channels", "channel_removed")


def _sent() -> dict[str, Any]:
    names = ("name", "url", "language", "least", "site_id")
    sent: dict[str, Any] = {name: request.form.get(name, "").strip() for name in names}
    allowed = {"allow_private": request.form.get("allow_private") == "true"}
    return {name: text for name, text in sent.items() if text} | allowed


def _channels_page(form: Form, status: int = 200, tested: int | None = None, result: str = "") -> Response:
    found: list[NotificationChannel] = runtime().read(channels.list_channels, actor())
    results = {word: _(text) for word, text in RESULTS.items()}
    severities = [(value, _(text)) for value, text in SEVERITY_NAMES.items()]
    facts = {"channels": found, "results": results, "severities": severities, "tested": tested, "result": result}
    return pages.show("notifications/channels.html", None, status, form=form, **facts)
