"""The door that `/ws` and Socket.IO share: which pages may open a socket, and who is coming in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from urllib.parse import urlsplit

import structlog

from bawaba.core.clock import Clock
from bawaba.realtime.audience import Identity
from bawaba.web.proxies import Caller, Proxies, Scope

AUTH_DEADLINE_S = 5.0
FRAMES_AT_ONCE = 40
FRAMES_A_SECOND = 4.0
DEFAULT_PORTS = {"http": ":80", "https": ":443"}

log = structlog.get_logger(__name__)

CookieCheck = Callable[[Scope], Awaitable[Identity | None]]
TokenCheck = Callable[[str], Awaitable[Identity | None]]


class Entrance:
    """Checks the page's origin, the cookie and the token.

    `authenticate_cookie(scope)` and `authenticate_token(token)` answer None for who may not come in. A cookie counts
    only with an Origin that is one of ours, for browsers send it along from any page.
    """

    def __init__(
        self,
        *,
        authenticate_cookie: CookieCheck,
        authenticate_token: TokenCheck,
        clock: Clock,
        proxies: Proxies,
        public_url: str = "",
    ) -> None:
        self._cookie, self._token = authenticate_cookie, authenticate_token
        self._clock = clock
        self._public_origin = origin_of(public_url)
        self._proxies = proxies

    def caller(self, scope: Scope) -> Caller | None:
        """Who wants to connect; None when it is a page of somebody else's, which may not whatever it holds."""
        caller = self._proxies.caller(scope)
        origin = said_origin(caller)
        if origin and origin_of(origin) not in {origin_of(caller.origin), self._public_origin} - {""}:
            log.warning("a foreign page was refused", path=scope["path"], address=caller.address, origin=origin[:100])
            return None
        return caller

    async def by_cookie(self, scope: Scope, caller: Caller) -> Identity | None:
        """Who the browser's cookie speaks for; for nobody when no page of ours sent it."""
        return self._still_valid(await self._cookie(scope)) if said_origin(caller) else None

    async def by_token(self, token: object) -> Identity | None:
        """Who the token speaks for."""
        if not isinstance(token, str) or not token:
            return None
        return self._still_valid(await self._token(token))

    def seconds_left(self, expires_at: datetime) -> float:
        """How long it is until then."""
        return max(0.0, (expires_at - self._clock.now()).total_seconds())

    def _still_valid(self, identity: Identity | None) -> Identity | None:
        return identity if identity is not None and self.seconds_left(identity.expires_at) > 0 else None


class FrameBudget:
    """How much one client may send: a handful at once, and a few a second after that."""

    __slots__ = ("_at", "_left")

    def __init__(self) -> None:
        self._left, self._at = float(FRAMES_AT_ONCE), 0.0

    def spend(self, now: float) -> bool:
        """Take one frame at `now` (monotonic seconds); False when there is none left."""
        self._left = min(FRAMES_AT_ONCE, self._left + (now - self._at) * FRAMES_A_SECOND) - 1
        self._at = now
        return self._left >= 0


def said_origin(caller: Caller) -> str:
    """The page that a browser says the request comes from; empty for other programs."""
    return next((value.decode("latin-1") for name, value in caller.headers if name == b"origin"), "")


def origin_of(url: str) -> str:
    """Scheme, host and port of an address, the port left out where it is the scheme's own; empty when it has none."""
    parts = urlsplit(url.lower())
    if not parts.scheme or not parts.netloc:
        return ""
    return f"{parts.scheme}://{parts.netloc.removesuffix(DEFAULT_PORTS.get(parts.scheme, ''))}"
