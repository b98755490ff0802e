"""A gateway that asks us by RADIUS: it lets guests in by our answers, and we change or end sessions by CoA (RFC 5176).

Its sessions and its health come from its accounting, not from asking it. The router's password is the shared secret,
its port where it listens for CoA (3799). What the NAS itself calls a session comes with the client as `site_ref`: its
own attributes, said back to it as it said them, and under `used-…` what the session has used.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from bawaba.core.clock import Clock, SystemClock
from bawaba.routers import nas
from bawaba.routers.driver import (
    Cap,
    Client,
    Connection,
    Grant,
    Info,
    Reason,
    RouterAuthFailed,
    RouterDriver,
    RouterProtocolError,
    RouterRejected,
    RouterSession,
)
from bawaba.routers.drivers.radius import packet
from bawaba.routers.drivers.radius.exchange import Exchange
from bawaba.routers.options import Needs

COA_PORT = 3799  # RFC 5176, 2.3; RouterOS has had 1700 and 3799, so it is always set
GONE = 503  # Session Context Not Found: for us that is success
PROHIBITED = frozenset({403, 501})
REASONS = {
    401: Reason.BAD_VALUE, 402: Reason.BAD_VALUE, 404: Reason.BAD_VALUE, 407: Reason.BAD_VALUE, 506: Reason.BUSY,
    508: Reason.DUPLICATE,
}  # fmt: skip
NOBODY = {"User-Name": "bawaba-test", "Acct-Session-Id": "bawaba-test"}
TOLD_BACK = ("User-Name", "Acct-Session-Id", "Framed-IP-Address", "Calling-Station-Id", "NAS-IP-Address",
             "NAS-Identifier")  # fmt: skip


class Driver(RouterDriver):
    """Speaks CoA and Disconnect to one NAS."""

    vendor = "radius"
    Options = nas.NasOptions
    needs = Needs(
        address_hint="192.168.88.1",
        address_help="Where its packets come from, and where it takes ours.",
        port=COA_PORT,
        password=True,
        password_help="The RADIUS secret, 22 random characters or more; made up where you leave it empty.",
        password_least=nas.SECRET_LEAST,
        password_made=True,
    )
    caps = Cap.KICK | Cap.TIME_LIMIT | Cap.RATE | Cap.LIVE_UPDATE | Cap.EVENTS

    def __init__(self, connection: Connection, clock: Clock | None = None) -> None:
        super().__init__(connection)
        self._clock = clock or SystemClock()
        self._options = nas.NasOptions.of(connection.options)
        secret = (connection.password or "").encode()
        self._exchange = Exchange(connection.address, connection.port or COA_PORT, secret)

    async def probe(self) -> Info:
        """Ask it to end a session that does not exist: its refusal shows that it is there and shares our secret."""
        code, cause = await self._exchange.ask(packet.DISCONNECT, NOBODY)
        if code == packet.NAKS[packet.DISCONNECT] and cause in PROHIBITED:
            raise _refusal(cause)
        return Info(f"CoA on port {self.connection.port or COA_PORT}", f"RADIUS NAS ({self._options.make})")

    async def admit(self, grant: Grant, client: Client) -> RouterSession:
        """Change the limits of a session that is online, all of them. A guest who is not signs in at the NAS."""
        now = self._clock.now()
        if nas.is_spent(grant.limits, now):
            raise RouterRejected("nothing is left", Reason.BAD_VALUE)
        if "Acct-Session-Id" not in client.site_ref:
            raise RouterRejected("the NAS has not told us of this session: the guest signs in there", UNKNOWN)
        used = nas.Used(*(int(client.site_ref.get(f"used-{name}", 0)) for name in ("seconds", "up", "down")))
        limits = nas.limits_for(self._options.make, grant.limits, used, now)
        limits["Acct-Interim-Interval"] = self._options.interim_s
        if idle := client.site_ref.get("idle-seconds"):
            limits["Idle-Timeout"] = int(idle)
        if not await self._ask(packet.COA, self._named(client) | limits):
            raise RouterRejected("the NAS has no such session any more", UNKNOWN)
        return RouterSession(grant.key, grant.key, grant.login, client, None, used.seconds, used.up, used.down)

    async def kick(self, session: RouterSession | Client) -> RouterSession | None:
        """End a session. Its last counters follow as accounting, so none are told here."""
        client = session if isinstance(session, Client) else session.client
        if not await self._ask(packet.DISCONNECT, self._named(client)):
            return None
        key = None if isinstance(session, Client) else session.key
        return RouterSession(key or client.mac or "", key, None, client, None, 0, 0, 0)

    async def close(self) -> None:
        self._exchange.close()

    def _named(self, client: Client) -> dict[str, int | str]:
        """All that we know of a session, in the NAS's own words where it has told them."""
        named: dict[str, int | str] = {name: client.site_ref[name] for name in TOLD_BACK if name in client.site_ref}
        if not named and client.mac is not None:
            separator = ":" if self._options.make == "mikrotik" else "-"
            named["Calling-Station-Id"] = client.mac.upper().replace(":", separator)
            named |= _framed(client.ip)
        if not named:
            raise RouterRejected("neither a session nor a MAC is known of this device", UNKNOWN)
        return named

    async def _ask(self, code: int, attributes: Mapping[str, int | str]) -> bool:
        """True for done, False for "no such session". Raises `GatewayError`s for all else."""
        answered, cause = await self._exchange.ask(code, attributes)
        if answered == packet.ACKS[code]:
            return True
        if answered != packet.NAKS[code]:
            raise RouterProtocolError(f"a RADIUS answer of code {answered} makes no sense here", outcome_known=False)
        if cause == GONE:
            return False
        raise _refusal(cause)


UNKNOWN = Reason.UNKNOWN_CLIENT


def _refusal(cause: int | None) -> RouterRejected | RouterAuthFailed:
    if cause in PROHIBITED:
        return RouterAuthFailed(f"the NAS takes no orders from us (Error-Cause {cause})")
    words = f"the NAS refused (Error-Cause {cause})" if cause else "the NAS refused"
    return RouterRejected(words, REASONS.get(cause or 0, Reason.OTHER))


def _framed(ip: str | None) -> dict[str, str]:
    try:
        return {"Framed-IP-Address": str(ipaddress.IPv4Address(ip or ""))}
    except ValueError:
        return {}
