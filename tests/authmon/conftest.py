"""A café whose gateway cannot be reached: it fetches its guests from the portal, over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jinja2
import pytest

from bawaba.app import create_app
from bawaba.routers.models import Router, RouterJob
from bawaba.routers.service import PASSWORD
from bawaba.server import build_front
from bawaba.sessions.models import GuestSession
from bawaba.vouchers.models import Voucher
from tests.authmon.far import FASKEY, Nds
from tests.cast import PHONE, TABLET
from tests.portal.phone import Phone
from tests.serving import serving

ADDRESSES = {PHONE: "10.88.0.21", TABLET: "10.88.0.22"}
NAT = "203.0.113.7"  # where guests and gateway come from alike


class Cafe:
    """The gateway, its row, and the phones in its WiFi."""

    def __init__(self, rt: Any, cast: Any, url: str, **options: Any) -> None:
        self.rt, self.cast, self.clock = rt, cast, rt.clock
        self.nds = Nds(url, rt.clock, posts=options.pop("posts", False))
        told = {"gateway_name": self.nds.name} | options
        sealed = rt.keyring.encrypt(FASKEY.encode(), PASSWORD)
        self.router = cast.make_router(cast.site.id, driver="authmon", address="", options=told, password_sealed=sealed)
        self.app = create_app(rt)
        self.app.jinja_env.undefined = jinja2.StrictUndefined
        for mac, ip in ADDRESSES.items():
            self.nds.join(mac, ip)
        self.nds.start()

    def phone(self, mac: str = PHONE, **said: Any) -> Phone:
        """A phone whose browser the gateway has sent to the portal."""
        phone = Phone(self.app, address=NAT)
        answer = phone.ask("GET", self.nds.redirect(mac, **said))
        assert answer.status_code == 302
        phone.go(answer.headers["Location"])
        return phone

    def come_in(self, card: Any, mac: str = PHONE) -> Phone:
        """A guest types a code, and the gateway lets him in."""
        phone = self.phone(mac)
        phone.type(card.code)
        self.nds.round()
        return phone

    def look(self) -> None:
        """The half-minute's look at the gateway."""
        routers = self.rt.parts["routers"]
        routers.loop.submit(routers.on_poll(self.rt, self.router.id)).result(10)
        routers.loop.submit(routers._deliver_due(self.router.id)).result(10)

    def pass_time(self, seconds: float, step: float = 15.0) -> None:
        """Time passes, and the gateway goes on calling."""
        until = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until:
            self.clock.advance(min(step, until - self.clock.monotonic()))
            self.nds.round()
            self.nds.check_time()

    def session(self) -> GuestSession:
        """The newest there is."""
        return self.sessions()[-1]

    def sessions(self) -> list[GuestSession]:
        """All, oldest first."""
        return self.rt.read(lambda db: list(db.query(GuestSession).order_by(GuestSession.id)))

    def jobs(self, kind: str) -> list[RouterJob]:
        """The promises of this kind, oldest first."""
        return self.rt.read(lambda db: list(db.query(RouterJob).filter_by(kind=kind).order_by(RouterJob.id)))

    def card(self, card: Any) -> Voucher:
        """A card as it stands."""
        return self.cast.row(Voucher, card.id)

    def row(self) -> Router:
        """The router as it stands."""
        return self.cast.row(Router, self.router.id)


@pytest.fixture
def served(rt, cast) -> Iterator[str]:
    """The program on a port."""
    with serving(build_front(rt)) as front:
        yield front.url


@pytest.fixture
def make_cafe(rt, cast, served) -> Iterator[Any]:
    """Makes a café whose gateway has these options."""
    made: list[Cafe] = []

    def make(**options: Any) -> Cafe:
        made.append(Cafe(rt, cast, served, **options))
        return made[-1]

    yield make
    for cafe in made:
        cafe.nds.close()


@pytest.fixture
def cafe(make_cafe) -> Cafe:
    return make_cafe()
