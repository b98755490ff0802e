"""A site with one router whose link is cut at a call that a test names, as the whole product sees it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Protocol

import httpx
from sqlalchemy import select

from bawaba.core.actor import SYSTEM
from bawaba.core.clock import ManualClock
from bawaba.core.runtime import Runtime
from bawaba.monitoring.polling import poll
from bawaba.routers import nds
from bawaba.routers.driver import Client
from bawaba.routers.drivers import fake
from bawaba.routers.models import Router, RouterGrant, RouterJob
from bawaba.routers.reconcile import Drift, reconcile
from bawaba.routers.service import PASSWORD
from bawaba.sessions import redeem as redeeming
from bawaba.sessions.models import GuestSession
from bawaba.vouchers import codes, making
from bawaba.vouchers.models import Voucher
from tests.cast import PHONE, Cast
from tests.lab import INTERNET4
from tests.routers.opennds_box import OpenNdsBox

ADDRESS = "10.5.50.11"
FRESH_S = 120.0  # nothing is taken away in a router's first minute
WAIT_S = 30.0


class FarEnd(Protocol):
    """The router itself. `mode` is how its site holds cards, `device` its phone: MAC and address."""

    mode: str
    device: tuple[str, str]

    def row(self, rt: Runtime, cast: Cast, site_id: int) -> Router: ...
    def cut(self, how: str, at: int, times: int | None = 1) -> None: ...
    def heal(self) -> None: ...
    def begin_counting(self) -> None: ...
    def calls(self) -> int: ...
    def sign_in(self, code: str) -> bool: ...
    def move(self, up: int, down: int) -> None: ...
    def is_online(self) -> bool: ...


class Memory:
    """A router in memory."""

    mode = "router_held"
    device = (PHONE, ADDRESS)

    def row(self, rt: Runtime, cast: Cast, site_id: int) -> Router:
        """The router's row."""
        router = cast.make_router(site_id)
        self.box = fake.box(router.id, rt.clock)
        return router

    def cut(self, how: str, at: int, times: int | None = 1) -> None:
        """Lose the link before or after this call is done, so many times, None for as long as it is not mended."""
        self.box.break_with({"before": "unreachable", "after": "lost_answer"}[how], after=at, times=times)

    def heal(self) -> None:
        """The link is there."""
        self.box.mend()

    def begin_counting(self) -> None:
        """Count calls from now on."""
        self.box.calls.clear()

    def calls(self) -> int:
        """How many came."""
        return len(self.box.calls)

    def sign_in(self, code: str) -> bool:
        """The phone uses a card at the router's own page."""
        return self.box.sign_in(code, "", Client(PHONE, ADDRESS))

    def move(self, up: int, down: int) -> None:
        """The phone moves so much."""
        self.box.move_traffic(PHONE, up, down)

    def is_online(self) -> bool:
        """Whether the phone's packets pass."""
        return self.box.move_traffic(PHONE, 1, 0) == (1, 0)


class MikroTik:
    """A simulated RouterOS."""

    mode = "router_held"
    device = (PHONE, ADDRESS)

    def __init__(self, make_routeros: Any, **settings: Any) -> None:
        self.simulated = make_routeros(password="secret", **settings)
        self.phone = self.simulated.join(PHONE, ADDRESS)

    def row(self, rt: Runtime, cast: Cast, site_id: int) -> Router:
        """The router's row."""
        sealed = rt.keyring.encrypt(b"secret", PASSWORD)
        way = {"address": "127.0.0.1", "port": self.simulated.api_port, "username": "admin", "password_sealed": sealed}
        return cast.make_router(site_id, driver="routeros", options={"tls": False}, **way)

    def cut(self, how: str, at: int, times: int | None = 1) -> None:
        """Lose the link before or after this call is done, so many times, None for as long as it is not mended."""
        self.simulated.fail(f"cut-{how}", "*", skip=at, times=times)

    def heal(self) -> None:
        """The link is there."""
        self.simulated.heal()

    def begin_counting(self) -> None:
        """Count calls from now on."""
        self._calls = self.simulated.record()

    def calls(self) -> int:
        """How many came."""
        return sum(call.command != "/login" for call in self._calls)

    def sign_in(self, code: str) -> bool:
        """The phone uses a card at the router's own page."""
        page = f"{self.simulated.web_url}/login"
        httpx.post(page, data={"username": code, "password": ""}, headers={"X-Phone": PHONE}, timeout=3)
        return bool(self.phone.online)

    def move(self, up: int, down: int) -> None:
        """The phone moves so much."""
        self.phone.move(up, down)

    def is_online(self) -> bool:
        """Whether the phone's packets pass."""
        self.phone.come_back()
        return bool(self.phone.online)


class Unifi:
    """A simulated UniFi controller, which holds no cards."""

    mode = "server_held"
    device = (PHONE, ADDRESS)

    def __init__(self, controllers: Any, clock: ManualClock) -> None:
        self.simulated = controllers.start(clock=clock)
        self.phone = self.simulated.join(PHONE, ADDRESS)

    def row(self, rt: Runtime, cast: Cast, site_id: int) -> Router:
        """The router's row."""
        sealed = rt.keyring.encrypt(b"secret", PASSWORD)
        way = {"address": "127.0.0.1", "port": self.simulated.port, "username": "bawaba", "password_sealed": sealed}
        options = {"certificate": self.simulated.fingerprint}
        return cast.make_router(site_id, driver="unifi", options=options, **way)

    def cut(self, how: str, at: int, times: int | None = 1) -> None:
        """Lose the link before or after this call is done, so many times, None for as long as it is not mended."""
        self.simulated.fail(f"cut-{how}", skip=at, times=times)

    def heal(self) -> None:
        """The link is there."""
        self.simulated.heal()

    def begin_counting(self) -> None:
        """Count calls from now on."""
        self.simulated.calls.clear()

    def calls(self) -> int:
        """How many came."""
        return len(self.simulated.calls)

    def sign_in(self, code: str) -> bool:
        """A controller has no page of its own that takes our cards."""
        return False

    def move(self, up: int, down: int) -> None:
        """The phone moves so much."""
        self.phone.move(up, down)

    def is_online(self) -> bool:
        """Whether the phone's packets pass."""
        self.phone.come_back()
        return bool(self.phone.move(1, 0) == (1, 0))


class OpenNds:
    """Debian's openNDS in a box, with its shell on this machine, through which every call goes (`cut_shell`)."""

    mode = "server_held"

    def __init__(self, box: OpenNdsBox) -> None:
        self.box = box
        self.phone = box.lab.guests[0]
        self.device = (self.phone.mac, self.phone.ip4)
        self.folder = box.folder / "cut"
        self._clear()

    @staticmethod
    def way(box: OpenNdsBox) -> Path:
        """The folder to stand first on the PATH."""
        folder = box.folder / "cut"
        folder.mkdir(exist_ok=True)
        relay = Path(__file__).with_name("cut_shell.py")
        words = f'exec {sys.executable} -ES {relay} {folder} {box.bin}/sh "$@"'
        (folder / "sh").write_text(f"#!/bin/sh\n{words}\n")
        (folder / "sh").chmod(0o755)
        return folder

    def row(self, rt: Runtime, cast: Cast, site_id: int) -> Router:
        """The router's row."""
        return cast.make_router(site_id, driver="opennds", address="", options={"channel": "local"})

    def cut(self, how: str, at: int, times: int | None = 1) -> None:
        """Lose the link before or after this change is done, so many times, None for as long as it is not mended."""
        (self.folder / "cut").write_text(f"{how} {at} {times or 10**6}", encoding="ascii")

    def heal(self) -> None:
        """The link is there."""
        (self.folder / "cut").unlink(missing_ok=True)

    def begin_counting(self) -> None:
        """Count changes from now on."""
        (self.folder / "calls").unlink(missing_ok=True)

    def calls(self) -> int:
        """How many came."""
        calls = self.folder / "calls"
        return calls.stat().st_size if calls.exists() else 0

    def sign_in(self, code: str) -> bool:
        """openNDS has no page of its own that takes our cards."""
        return False

    def move(self, up: int, down: int) -> None:
        """The phone fetches so much, and sends what belongs to that."""
        self.phone.curl(f"http://{INTERNET4}/big/{down}", "-o", "/dev/null")

    def is_online(self) -> bool:
        """Whether the phone's packets pass."""
        return self.phone.is_online()

    def allowed_s(self) -> int:
        """How long the phone's session may be, by openNDS."""
        told = json.loads(self.box.sh("ndsctl json"))["clients"][self.phone.mac]
        return int(told["session_end"]) - int(told["session_start"])

    def told(self) -> tuple[int, int]:
        """What openNDS has counted of all sessions that have ended: bytes up and down."""
        log = self.box.sh("ndsctl json >/dev/null; cat /tmp/ndslog/binauthlog.log")
        ends = [nds.farewell(line[line.index("method=") :]) for line in log.splitlines() if "_deauth" in line]
        over = [end for end in ends if end is not None]
        return sum(end.up for end in over), sum(end.down for end in over)

    def _clear(self) -> None:
        """Nobody online, no lists, no log, no cut."""
        self.heal()
        self.begin_counting()
        off = "; ".join(f"ndsctl {verb} {self.phone.mac}" for verb in ("deauth", "untrust", "unblock"))
        self.box.sh(f"{off}; ndsctl json; rm -f /tmp/ndslog/binauthlog.log /tmp/bawaba-*-devices")


class House:
    """The site in the database, its router, and the work that the product does for it in the background."""

    def __init__(self, rt: Runtime, cast: Cast, far: FarEnd) -> None:
        self.rt, self.cast, self.far = rt, cast, far
        assert isinstance(rt.clock, ManualClock)
        self.clock = rt.clock
        self.site = cast.make_site(mode=far.mode)
        self.router = far.row(rt, cast, self.site.id)
        self.plan = cast.make_plan(site_id=self.site.id, quota_bytes=10**9, rate_up_kbps=512, rate_down_kbps=2048)
        self.clock.advance(FRESH_S)
        self.poll()
        self.look()

    def on_loop(self, work: Any) -> Any:
        """Do this on the router loop."""
        return self.rt.parts["routers"].loop.submit(work).result(WAIT_S)

    def deliver(self) -> None:
        """What the outbox does with all that is due."""
        self.on_loop(self.rt.parts["routers"]._deliver_due(self.router.id))

    def poll(self) -> None:
        """One look at the router's sessions, and what follows."""
        self.on_loop(poll(self.rt, self.router.id))
        self.deliver()

    def look(self) -> Drift:
        """One comparison, and what follows."""
        drift = self.on_loop(reconcile(self.rt, self.router.id))
        self.deliver()
        assert isinstance(drift, Drift)
        return drift

    def make_card(self) -> Voucher:
        """A card of the site's plan."""
        card, _version = making.make_card(self.rt, SYSTEM, making.CardOrder(self.plan.plan_id, None))
        return card

    def code(self, card: Voucher) -> str:
        """What stands on a card."""
        return codes.grouped(making.open_code(self.rt.keyring, card))

    def redeem(self, card: Voucher) -> redeeming.Redemption:
        """The phone uses a card at the portal."""
        return redeeming.redeem(self.rt, self.code(card), redeeming.Guest(self.router.id, *self.far.device))

    def owned(self) -> list[str]:
        """Keys of what is ours on the router, as often as it is there."""
        links = self.rt.parts["routers"].links
        return sorted(mine.key for mine in self.on_loop(links.ask(self.router.id, "owned")))

    def on_line(self) -> list[str]:
        """Keys of who is online at the router."""
        links = self.rt.parts["routers"].links
        seen = self.on_loop(links.ask(self.router.id, "sessions"))
        return sorted(there.key for there in seen if not there.raw.get("ended"))

    def wanted(self) -> list[str]:
        """Keys of the cards that should lie there, by the database."""
        held = select(RouterGrant.key).where(RouterGrant.router_id == self.router.id, RouterGrant.wanted)
        return sorted(f"card:{card_id}" for card_id in self.rt.read(lambda db: db.scalars(held).all()))

    def live(self) -> list[str]:
        """Keys of who should be online there, by the database."""
        mine = select(GuestSession).where(GuestSession.router_id == self.router.id, GuestSession.state == "online")
        found = self.rt.read(lambda db: db.scalars(mine).all())
        return sorted(session.router_key or f"session:{session.id}" for session in found)

    def open_work(self) -> list[tuple[str, str, str | None]]:
        """Promises that are not kept."""
        jobs = select(RouterJob.kind, RouterJob.state, RouterJob.last_error)
        still = jobs.where(RouterJob.router_id == self.router.id, RouterJob.state != "done")
        rows = self.rt.read(lambda db: db.execute(still).all())
        return [(kind, state, error) for kind, state, error in rows]
