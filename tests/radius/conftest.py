"""A café whose gateway speaks RADIUS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bawaba.monitoring.polling import by_make
from bawaba.radius.accounting import account
from bawaba.radius.authorising import Verdict, authorise
from bawaba.radius.gateways import DRIVER
from bawaba.radius.packet import Packet
from bawaba.radius.rules import STOP
from bawaba.radius.watching import look_now
from bawaba.routers.models import Router
from bawaba.sessions.models import GuestSession
from tests.cast import PHONE, Cast
from tests.radius.nas import SECRET, nas

WORD = 2**32


class Gateway:
    """What a NAS would say to FreeRADIUS, said to what stands behind it."""

    def __init__(self, rt: Any, cast: Cast, **options: Any) -> None:
        self.rt, self.cast = rt, cast
        sealed = rt.keyring.encrypt(SECRET.encode(), b"router password")
        facts = {"driver": "radius", "address": "127.0.0.1", "password_sealed": sealed}
        self.router = cast.make_router(cast.site.id, options={"nas": "mikrotik"} | options, **facts)

    def ask(self, code: str, mac: str | None = PHONE, **more: Any) -> Verdict:
        """An Access-Request."""
        station = {"Calling-Station-Id": mac.upper().replace(":", "-")} if mac else {}
        values = {"User-Name": code, "Framed-IP-Address": "10.77.0.9"} | station | more
        return authorise(self.rt, self.router.id, packet(values))

    def tell(self, kind: str, acct: str = "81", code: str = "x", mac: str = PHONE, **more: Any) -> None:
        """An Accounting-Request: `up`, `down` and `seconds` in plain numbers, `verdict` whose Class is said back."""
        verdict: Verdict | None = more.pop("verdict", None)
        values: dict[str, Any] = {"Acct-Status-Type": kind, "Acct-Session-Id": acct, "User-Name": code}
        values |= {"Calling-Station-Id": mac.upper(), "Framed-IP-Address": "10.77.0.9", "NAS-Identifier": "roof"}
        if verdict is not None:
            values["Class"] = "0x" + str(verdict.attributes["Class"]).encode().hex()
        for name, word in (("up", "Input"), ("down", "Output")):
            high, low = divmod(more.pop(name, 0), WORD)
            values |= {f"Acct-{word}-Octets": low, f"Acct-{word}-Gigawords": high}
        values["Acct-Session-Time"] = more.pop("seconds", 0)
        values |= {"Acct-Terminate-Cause": more.pop("cause", "User-Request")} if kind == STOP else {}
        account(self.rt, self.router.id, packet(values | more))

    def session(self) -> GuestSession:
        """The newest there is."""
        return newest(self.rt)

    def sessions(self) -> list[GuestSession]:
        """All, oldest first."""
        return self.rt.read(lambda db: list(db.query(GuestSession).order_by(GuestSession.id)))

    def row(self) -> Router:
        """The router as it stands."""
        return self.cast.row(Router, self.router.id)

    def look(self) -> None:
        """The half-minute's look at it."""
        self.rt.parts["routers"].loop.submit(by_make({DRIVER: look_now})(self.rt, self.router.id)).result(10)


def packet(values: dict[str, Any]) -> Packet:
    return Packet({name: [value] for name, value in values.items()})


def newest(rt: Any) -> GuestSession:
    return rt.read(lambda db: db.query(GuestSession).order_by(GuestSession.id.desc()).first())


@pytest.fixture
def gateway(rt, cast) -> Gateway:
    return Gateway(rt, cast)


@pytest.fixture
def make_gateway(rt, cast):
    """More of them, with options."""
    return lambda **options: Gateway(rt, cast, **options)


@pytest.fixture
def box() -> Iterator[Any]:
    """A NAS that takes CoA."""
    with nas() as listening:
        yield listening
