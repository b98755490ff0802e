"""The hotspot itself: who is let in, and time that ends it.

Nothing ticks: whoever asks catches up first (`look`), so a session ends at the exact moment it should have, however
late that is noticed.
"""

from __future__ import annotations

import ipaddress
import math
import re
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from bawaba.routers.simulators.routeros import limits, values
from bawaba.routers.simulators.routeros.errors import LoginRefused
from bawaba.routers.simulators.routeros.guests import Cookie, Host, Phone, Session, UserRow
from bawaba.routers.simulators.routeros.settings import LICENCE_SESSIONS
from bawaba.routers.simulators.routeros.tables import Row, Table

if TYPE_CHECKING:
    from bawaba.routers.simulators.routeros.router import Router

HOST_DEAD_S = 300.0  # a host without a session is forgotten this long after its last packet
Check = Callable[[str], bool]

LIKE_MAC = re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}|[0-9A-Fa-f]{12}")


class Hotspot:
    """One hotspot server's live state. Its users and profiles are tables that people write in."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.lock = router.lock
        self.phones: dict[str, Phone] = {}
        self.hosts: dict[str, Host] = {}  # by IP
        self.sessions: dict[str, Session] = {}  # by IP
        self.cookies: dict[int, Cookie] = {}
        self._numbers = 0
        self._next_look = -math.inf

    # -- tables, found when asked, for they are made after this

    @property
    def users(self) -> Table:
        """The users that guests log in as."""
        return self.router.table("/ip/hotspot/user")

    def profile_of(self, user: Row) -> Row:
        """The profile that a user is in."""
        named = self.router.table("/ip/hotspot/user/profile").named(user.values.get("profile", "default"))
        return named[0] if named else Row(0, {"name": "default"})

    def server(self) -> Row | None:
        """The hotspot server that guests meet, unless it is disabled or not allowed."""
        if not self.router.hotspot_allowed:
            return None
        rows = self.router.table("/ip/hotspot").rows()
        return next((row for row in rows if row.values.get("disabled") != "true"), None)

    def server_profile(self) -> dict[str, str]:
        """The server's profile."""
        server = self.server()
        named = self.router.table("/ip/hotspot/profile").named(
            server.values.get("profile", "default") if server else ""
        )
        return named[0].values if named else {}

    def login_by(self) -> list[str]:
        """The ways to log in that the server's profile allows."""
        return self.server_profile().get("login-by", "cookie,http-chap").split(",")

    # -- phones

    def join(self, mac: str, ip: str) -> Phone:
        """A phone joins the network and sends its first packet."""
        self.look()
        phone = self.phones.get(mac)
        if phone is None:
            phone = self.phones[mac] = Phone(self, mac, ip)
        elif phone.ip != ip:
            self._forget_host(phone, "host address changed")
            phone.ip = ip
        phone.left_at = math.inf
        self.router.lease(mac, ip)
        self.move(phone, 0, 0)
        return phone

    def leave(self, phone: Phone) -> None:
        """A phone goes out of reach."""
        self.look()
        self.settle_phone(phone)
        phone.left_at = self.now()
        phone.wakes_at = math.inf
        phone.flow_up = phone.flow_down = 0.0
        self.expect(phone.left_at + HOST_DEAD_S)
        self.expect_end_of(phone)

    def move(self, phone: Phone, up: int, down: int) -> tuple[int, int]:
        """A packet or many from a phone."""
        self.look()
        if phone.left_at < math.inf:
            return 0, 0
        self._wake(phone, self.now())
        host = self.hosts.get(phone.ip)
        if host is None or host.session is None:
            return 0, 0
        session, now = host.session, self.now()
        self._settle(session, now)
        session.moved_at = host.seen_at = now
        up, down = limits.room(session, up, down)
        self._count(session, up, down)
        self.expect(limits.end(session)[0])
        self.look()
        return up, down

    def host_of(self, phone: Phone) -> Host | None:
        """The phone's row in the host table."""
        host = self.hosts.get(phone.ip)
        return host if host is not None and host.phone is phone else None

    def binding(self, phone: Phone) -> str | None:
        """The type of the first IP binding that fits: regular, bypassed or blocked."""
        for row in self.router.table("/ip/hotspot/ip-binding").rows():
            written = row.values
            if written.get("disabled") == "true" or not (written.get("mac-address") or written.get("address")):
                continue
            if written.get("mac-address", phone.mac) == phone.mac and _covers(written.get("address"), phone.ip):
                return written.get("type", "regular")
        return None

    def bindings_changed(self) -> None:
        """Bypassed and blocked devices have no session."""
        for host in list(self.hosts.values()):
            if host.session is not None and self.binding(host.phone) in ("bypassed", "blocked"):
                self.end(host.session, "host ip-binding changed", wake=False)

    def _wake(self, phone: Phone, now: float) -> None:
        """The phone sends a packet: it is in the host table, and a MAC cookie lets it in."""
        phone.wakes_at = math.inf
        if self.server() is None:
            return
        host = self.hosts.get(phone.ip)
        if host is not None and host.phone is not phone:
            self._forget_host(host.phone, "host address changed")
            host = None
        if host is None:
            host = self.hosts[phone.ip] = Host(self.number(), phone, now)
            self.router.menus["/ip/hotspot/host"].changed(host)
        host.seen_at = now
        if host.session is None and self.binding(phone) not in ("bypassed", "blocked"):
            self._slide_in(host, now)

    def _slide_in(self, host: Host, now: float) -> None:
        cookie = next((c for c in self.cookies.values() if c.is_mac_cookie and c.mac == host.mac), None)
        if cookie is None or cookie.expires_at <= now or "mac-cookie" not in self.login_by():
            return
        try:
            self._open(cookie.user, lambda password: True, host, "mac-cookie", now)
        except LoginRefused as refusal:
            self.router.log("hotspot,info,debug", f"{cookie.user} ({host.ip}): login failed: {refusal}")

    # -- logging in and out

    def login(self, name: str, check: Check, host: Host, by: str) -> Session:
        """Log a host in. Raises `LoginRefused`."""
        self.look()
        return self._open(name, check, host, by, self.now())

    def _open(self, name: str, check: Check, host: Host, by: str, now: float) -> Session:
        user = self._user(name, check)
        profile = self.profile_of(user)
        self._may(user, profile, host)
        number = int(ipaddress.ip_address(host.ip))
        if self.router.behaviour.active_ids != "address":
            number = self.number()
        session = Session(number, user, profile, host, by, now)
        session.limits_at_login = limits.left_at_login(user)
        host.session = self.sessions[host.ip] = session
        user.online.append(session)
        self._remember(session, now)
        self.expect(limits.end(session)[0])
        self.router.log("hotspot,account,info,debug", f"{name} ({host.ip}): logged in")
        self.router.menus["/ip/hotspot/active"].changed(session)
        return session

    def _user(self, name: str, check: Check) -> UserRow:
        server = self.server()
        servers = ("all", server.values.get("name", "") if server else "")
        for user in self.users.named(name):
            fits = user.values.get("server", "all") in servers and user.values.get("disabled") != "true"
            if fits and check(user.values.get("password", "")) and isinstance(user, UserRow):
                return user
        raise LoginRefused("invalid username or password")

    def _may(self, user: UserRow, profile: Row, host: Host) -> None:
        """Whether this user may have a session on this host now, in the order in which a router says no."""
        name = user.values["name"]
        if LIKE_MAC.fullmatch(name) and values.mac(name) != host.mac:
            raise LoginRefused(f"invalid username ({name}): this MAC address is not yours")
        if user.values.get("mac-address", host.mac) != host.mac:
            raise LoginRefused(f"user {name} is not allowed to log in from this MAC address")
        left = limits.left_at_login(user)
        if left.get("uptime", 1) <= 0:
            raise LoginRefused(f"user {name} has reached uptime limit")
        if any(left.get(way, 1) <= 0 for way in ("in", "out", "total")):
            raise LoginRefused(f"user {name} has reached traffic limit")
        shared = profile.values.get("shared-users", "1")
        if shared != "unlimited" and len(user.online) >= int(shared):
            raise LoginRefused(f"no more sessions are allowed for user {name}")
        ceiling = LICENCE_SESSIONS.get(self.router.settings.licence_level, 0)
        if ceiling and len(self.sessions) >= ceiling:
            raise LoginRefused(f"session limit reached ({ceiling})")

    def _remember(self, session: Session, now: float) -> None:
        profile = session.profile.values
        if profile.get("add-mac-cookie", "true") != "true" or "mac-cookie" not in self.login_by():
            return
        if any(c.is_mac_cookie and c.mac == session.host.mac and c.user == session.name for c in self.cookies.values()):
            return
        self.add_cookie(session, "", values.duration_seconds(profile.get("mac-cookie-timeout", "3d")), now)

    def add_cookie(self, session: Session, token: str, lasts_s: float, now: float) -> Cookie:
        """Remember a device; with a token it is a browser's cookie."""
        cookie = Cookie(self.number(), session.name, session.host.mac, token, now + lasts_s)
        self.cookies[cookie.number] = cookie
        self.router.menus["/ip/hotspot/cookie"].changed(cookie)
        return cookie

    def browser_cookie(self, session: Session) -> str:
        """A fresh cookie for the browser that logged in."""
        lasts_s = values.duration_seconds(self.server_profile().get("http-cookie-lifetime", "3d"))
        return self.add_cookie(session, secrets.token_hex(12), lasts_s, self.now()).token

    def end(self, session: Session, why: str, *, at: float | None = None, wake: bool = True) -> None:
        """Log a session out; its counters go into the user's row."""
        at = self.now() if at is None else at
        self._settle(session, at)
        user, host = session.user, session.host
        user.online.remove(session)
        user.uptime_s += at - session.started
        user.up += session.up
        user.down += session.down
        host.session = None
        self.sessions.pop(host.ip, None)
        if wake and host.phone.left_at == math.inf:
            self._wake_later(host.phone, at)
        self.user_changed(user)
        self.router.log("hotspot,account,info,debug", f"{session.name} ({host.ip}): logged out: {why}")
        self.router.menus["/ip/hotspot/active"].changed(session, gone=True)

    def remove_host(self, host: Host) -> None:
        """Forget a host; a phone that is still there comes back with its next packet."""
        if host.session is not None:
            if not self.router.behaviour.host_remove_ends_session:
                return
            self.end(host.session, "host removed")
        self._drop_host(host)
        if host.phone.left_at == math.inf:
            self._wake_later(host.phone, self.now())

    def _wake_later(self, phone: Phone, now: float) -> None:
        """The phone is still there, and sends its next packet soon."""
        phone.wakes_at = now + self.router.behaviour.slide_back_s
        self.expect(phone.wakes_at)

    def _forget_host(self, phone: Phone, why: str) -> None:
        host = self.host_of(phone)
        if host is None:
            return
        if host.session is not None:
            self.end(host.session, why, wake=False)
        self._drop_host(host)

    def _drop_host(self, host: Host) -> None:
        if self.hosts.get(host.ip) is host:
            del self.hosts[host.ip]
            self.router.menus["/ip/hotspot/host"].changed(host, gone=True)

    def reboot(self, *, saved: bool) -> None:
        """Everything live is gone. `saved` says whether counters of open sessions were written before."""
        now = self.now()
        for session in list(self.sessions.values()):
            if saved:
                self.end(session, "system reboot", wake=False)
            else:
                session.user.online.clear()
        self.sessions.clear()
        self.hosts.clear()
        if not self.router.behaviour.cookies_survive_reboot:
            self.cookies.clear()
        for phone in self.phones.values():
            phone.wakes_at = now + self.router.behaviour.slide_back_s if phone.left_at == math.inf else math.inf
        self.restless()

    # -- time and traffic

    def now(self) -> float:
        """Seconds on a clock that never jumps."""
        return self.router.clock.monotonic()

    def number(self) -> int:
        """An id that was never used."""
        self._numbers += 1
        return self._numbers

    def expect(self, at: float) -> None:
        """Something may happen then."""
        self._next_look = min(self._next_look, at)

    def expect_end_of(self, phone: Phone) -> None:
        """The phone's session may end at another moment than thought."""
        host = self.host_of(phone)
        if host is not None and host.session is not None:
            self.expect(limits.end(host.session)[0])

    def restless(self) -> None:
        """Anything may happen sooner than thought."""
        self._next_look = -math.inf

    def user_changed(self, user: Row) -> None:
        """Limits may be other ones now."""
        if isinstance(user, UserRow) and user.online:
            self.restless()

    def look(self) -> None:
        """Catch up: end what is over, wake who sends again, in the order in which it happened."""
        now = self.now()
        while self._next_look <= now:
            ends = [(*limits.end(session), session) for session in self.sessions.values()]
            wakes = [(phone.wakes_at, phone) for phone in self.phones.values() if phone.wakes_at < math.inf]
            dead = [(host.phone.left_at + HOST_DEAD_S, host) for host in self.hosts.values() if host.session is None]
            moments = [*(end[0] for end in ends), *(wake[0] for wake in wakes), *(end[0] for end in dead)]
            self._next_look = min(moments, default=math.inf)
            if self._next_look > now:
                return
            self._catch_up(now, ends, wakes, dead)
            self.restless()

    def _catch_up(
        self,
        now: float,
        ends: list[tuple[float, str, Session]],
        wakes: list[tuple[float, Phone]],
        dead: list[tuple[float, Host]],
    ) -> None:
        for at, why, session in sorted((end for end in ends if end[0] <= now), key=lambda end: end[0]):
            talks = session.host.phone.left_at == math.inf and why != "idle timeout"
            self.end(session, why, at=at, wake=talks)
            if session.host.phone.left_at < math.inf:
                self._drop_host(session.host)
        for at, phone in sorted((wake for wake in wakes if wake[0] <= now), key=lambda wake: wake[0]):
            self._wake(phone, at)
        for at, host in dead:
            if at <= now:
                self._drop_host(host)

    def _count(self, session: Session, up: int, down: int) -> None:
        session.up += up
        session.down += down
        self.router.traffic(up, down)

    def settle_phone(self, phone: Phone) -> None:
        """Bring a phone's counters up to now."""
        host = self.hosts.get(phone.ip)
        if host is not None and host.session is not None:
            self._settle(host.session, self.now())

    def settle(self) -> None:
        """Bring all counters up to now."""
        now = self.now()
        for session in self.sessions.values():
            self._settle(session, now)

    def _settle(self, session: Session, now: float) -> None:
        phone, elapsed = session.host.phone, now - session.settled_at
        session.settled_at = now
        if elapsed <= 0 or not (phone.flow_up or phone.flow_down):
            return
        session.moved_at = session.host.seen_at = now
        self._count(session, *limits.room(session, round(phone.flow_up * elapsed), round(phone.flow_down * elapsed)))

    def used(self, user: UserRow) -> tuple[float, int, int]:
        """A user's seconds and bytes up and down, as its row shows them."""
        online: Iterable[Any] = user.online if self.router.behaviour.counters_live else ()
        now = self.now()
        return (
            user.uptime_s + sum(now - session.started for session in online),
            user.up + sum(session.up for session in online),
            user.down + sum(session.down for session in online),
        )


def _covers(written: str | None, ip: str) -> bool:
    if not written:
        return True
    first, _, last = written.partition("-")
    if last:
        return ipaddress.ip_address(first) <= ipaddress.ip_address(ip) <= ipaddress.ip_address(last)  # type: ignore[operator]
    return ipaddress.ip_address(ip) in ipaddress.ip_network(written, strict=False)
