"""Where the news of a process comes together, and goes out to every open page."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import orjson
import structlog

from bawaba.core.broadcast import Audience
from bawaba.realtime.throttle import Message, SessionThrottle

MOST_WAITING = 10_000
PORTION = 64  # well below what a socket's queue holds
RESYNC: dict[str, Any] = {"type": "resync"}

log = structlog.get_logger(__name__)


class Outlet(Protocol):
    """A kind of socket that news goes out by. All of it is called in the loop and must not wait."""

    @property
    def is_empty(self) -> bool:
        """Is nobody connected?"""
        ...

    def deliver(self, message: Message) -> None:
        """Send to those in the message's audience."""
        ...

    def resync(self) -> None:
        """Tell everybody that news were lost, and that they should read afresh."""
        ...

    def end_user(self, user_id: int, login_id: int | None) -> None:
        """Close what this person has open, by one sign-in or by all."""
        ...


class Relay(Protocol):
    """The way to the other processes. Called in the loop; must not wait."""

    def send(self, kind: str, fields: dict[str, Any]) -> None:
        """Tell the hubs of the other processes."""
        ...


class Hub:
    """Takes news from any thread and hands them out in the server's loop.

    `publish` and `end_user` may be called from anywhere and never wait. All else belongs to the loop.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._waking = False
        self._outlets: list[Outlet] = []
        self._relay: Relay | None = None
        self._throttle = SessionThrottle(self._deliver, later=lambda message: self.post(self._deliver, message))
        self._hearers: dict[str, Callable[[dict[str, Any]], None]] = {
            "publish": self._hear_publish,
            "resync": lambda _: self.resync(),
            "end_user": lambda fields: self._end_user(fields["user_id"], fields["login_id"]),
        }

    def start(self) -> None:
        """Begin to hand out; called in the loop."""
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """Hand out nothing more."""
        self._loop = None
        self._inbox.clear()
        self._throttle.clear()

    def add_outlet(self, outlet: Outlet) -> None:
        """Send by this too."""
        self._outlets.append(outlet)

    def set_relay(self, relay: Relay | None) -> None:
        """Tell the other processes by this."""
        self._relay = relay

    @property
    def anybody_listens(self) -> bool:
        """Is it worth making a message? May be asked from any thread."""
        return self._relay is not None or not all(outlet.is_empty for outlet in self._outlets)

    def publish(self, body: dict[str, Any], audience: Audience, *, urgent: bool = False) -> None:
        """Send a JSON object, with its `type`, to an audience here and in the other processes."""
        self.post(self._publish, Message(body, audience, urgent))

    def end_user(self, user_id: int, login_id: int | None = None) -> None:
        """Close what a person has open, here and elsewhere: signed out, disabled, or allowed other things now.

        With `login_id` only what that one sign-in let in.
        """
        self.post(self._end_user_everywhere, user_id, login_id)

    def post(self, step: Callable[..., None], *args: Any) -> None:
        """Have the loop run something, from any thread. Steps that come close together cost it one wake-up."""
        if self._loop is None:
            return
        if len(self._inbox) >= MOST_WAITING:
            log.error("the loop has fallen behind, open pages start afresh", lost=len(self._inbox))
            self._inbox.clear()
            self._inbox.append((self.resync, ()))
        self._inbox.append((step, args))
        self._wake()

    def tell_others(self, kind: str, fields: dict[str, Any]) -> None:
        """Tell the other processes only."""
        if self._relay is not None:
            self._relay.send(kind, fields)

    def when_told(self, kind: str, hearer: Callable[[dict[str, Any]], None]) -> None:
        """What to do when another process tells this kind of thing."""
        self._hearers[kind] = hearer

    def told(self, kind: str, fields: dict[str, Any]) -> None:
        """Another process tells us something; what we don't know comes from a newer version."""
        if (hearer := self._hearers.get(kind)) is not None:
            hearer(fields)

    def resync(self) -> None:
        """Tell everybody here to read afresh."""
        for outlet in self._outlets:
            outlet.resync()

    def _work_off(self) -> None:
        """Run some of what waits. Between two portions the sockets take what the first one gave them."""
        self._waking = False  # before the inbox is looked into: what comes later wakes us again
        for _ in range(PORTION):
            if not self._inbox:
                return
            step, args = self._inbox.popleft()
            try:
                step(*args)
            except Exception:
                log.exception("news could not be handed out")
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None and self._inbox and not self._waking:
            self._waking = True
            self._loop.call_soon_threadsafe(self._work_off)

    def _publish(self, message: Message) -> None:
        self.tell_others("publish", fields_of(message))
        self._throttle.take(message)

    def _hear_publish(self, fields: dict[str, Any]) -> None:
        self._throttle.take(message_of(fields))

    def _deliver(self, message: Message) -> None:
        for outlet in self._outlets:
            if not outlet.is_empty:
                message.text = message.text or as_text(message.body)
                outlet.deliver(message)

    def _end_user_everywhere(self, user_id: int, login_id: int | None) -> None:
        self.tell_others("end_user", {"user_id": user_id, "login_id": login_id})
        self._end_user(user_id, login_id)

    def _end_user(self, user_id: int, login_id: int | None) -> None:
        for outlet in self._outlets:
            outlet.end_user(user_id, login_id)


def as_text(body: dict[str, Any]) -> str:
    """A body as it goes out; times as RFC 3339 UTC with a Z."""
    return orjson.dumps(body, option=orjson.OPT_UTC_Z).decode()


def fields_of(message: Message) -> dict[str, Any]:
    """A message as other processes get it."""
    audience = message.audience
    return {
        "body": message.body,
        "rooms": sorted(audience.rooms),
        "site_id": audience.site_id,
        "user_id": audience.user_id,
        "urgent": message.urgent,
    }


def message_of(fields: dict[str, Any]) -> Message:
    """A message from another process."""
    audience = Audience(frozenset(fields["rooms"]), fields["site_id"], fields["user_id"])
    return Message(fields["body"], audience, fields["urgent"])
