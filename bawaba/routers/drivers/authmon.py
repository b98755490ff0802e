"""openNDS 10 that cannot be reached: it fetches its guests from us itself (FAS level 4, its script `authmon`).

Nothing is ever sent to it. What it shall do lies ready as promised work, and what it says arrives at the portal, in a
folder of its own. So it can be told to let a device in and nothing else: a session ends by the limits that it was
given, and what it moved is known when it has ended. Tested against a client that speaks its protocol, not run on a real
10.x.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from bawaba.core.clock import Clock, SystemClock
from bawaba.routers import nds
from bawaba.routers.driver import (
    Awaited,
    Cap,
    Client,
    Connection,
    Grant,
    Info,
    Note,
    Reason,
    RouterDriver,
    RouterRejected,
    RouterSession,
    Unsupported,
)
from bawaba.routers.options import Needs, Networks, RouterOptions

FASKEY_LEAST = 32
UNTESTED = "Tested against a client that speaks openNDS's protocol, not run on a real 10.x."
NO_KICK = "Nobody can be put out before the time or data that the gateway was given is used up."
MOVED = "A card that is switched off, or goes on with another phone, still works on the first one for that long."
LATE = "What a guest used is known when the session has ended."
MINUTES = "Time is cut in whole minutes, rounded down; what is left stays on the card."
SENTENCES = (UNTESTED, NO_KICK, MOVED, LATE, MINUTES)
Hash = Annotated[str, StringConstraints(pattern=r"^$|^[0-9a-f]{64}$", to_lower=True)]


class Options(RouterOptions):
    """How the gateway is known, and what it was set to."""

    gateway_name: str = Field(
        "",
        title="Gateway name",
        description="The option gatewayname of openNDS; its setup script chooses one that nobody guesses.",
        max_length=80,
    )
    gateway_hash: Hash = Field(
        "",
        title="Gateway hash",
        description="What it calls itself, where its name has a serial number behind it (gatewayhash, 64 letters).",
    )
    calls_from: Networks = Field(
        (),
        title="It calls from",
        description="Networks of its calls, like 203.0.113.7/32; empty: from anywhere but the guests' networks.",
    )
    poll_seconds: int = Field(5, title="Asks every (seconds)", ge=1, le=59, description="nat_traversal_poll_interval.")
    idle_minutes: int = Field(
        15, title="Signs out the silent after (minutes)", ge=1, le=1440, description="authidletimeout of openNDS."
    )


class Driver(RouterDriver):
    """What can be promised to an openNDS that fetches its guests."""

    vendor = "authmon"
    Options = Options
    notes = SENTENCES
    needs = Needs(
        password=True,
        password_help="The faskey of openNDS, 32 characters or more; made up where you leave it empty.",
        password_least=FASKEY_LEAST,
        password_made=True,
    )
    caps = Cap.ADMIT | Cap.TIME_LIMIT | Cap.BYTES_SPLIT | Cap.RATE | Cap.EVENTS

    def __init__(self, connection: Connection, clock: Clock | None = None) -> None:
        super().__init__(connection)
        self._clock = clock or SystemClock()

    async def probe(self) -> Info:
        """Say what is known without asking: it calls us, and its page says when it last did."""
        return Info("openNDS 10, FAS level 4", "openNDS", notes=tuple(Note(sentence) for sentence in SENTENCES))

    async def admit(self, grant: Grant, client: Client) -> RouterSession | Awaited:
        """Leave a right for the gateway to fetch. Raises `RouterRejected` where nothing is left, or where the guest has
        not come by the gateway's own redirect."""
        nds.allowed(grant.limits, self._clock.now())
        if not nds.HID.fullmatch(client.site_ref.get("hid", "")):
            raise RouterRejected("the guest has not come by the gateway's redirect", Reason.UNKNOWN_CLIENT)
        return Awaited()

    async def kick(self, session: RouterSession | Client) -> RouterSession | None:
        raise Unsupported("this gateway takes no orders: the session ends by the limits that it was given")
