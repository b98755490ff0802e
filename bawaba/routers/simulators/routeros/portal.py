"""The hotspot's own web pages, as guests meet them before they log in (RouterOS manual, HotSpot).

A browser is a phone by its address. On one machine, where all browsers have the same, a request may name its phone in
the header `X-Phone` (address or MAC); an address that nobody knows joins as a new phone.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from bawaba.routers.simulators.routeros import garden, limits, templates, values
from bawaba.routers.simulators.routeros.errors import LoginRefused
from bawaba.routers.simulators.routeros.guests import Phone, Session
from bawaba.routers.simulators.routeros.hotspot import Check
from bawaba.routers.simulators.routeros.http import Reply, Request

if TYPE_CHECKING:
    from bawaba.routers.simulators.routeros.router import Router

COOKIE = "MIKROTIK_HOTSPOT"
NO_CHALLENGE = "web browser did not send challenge response (try again, enable JavaScript)"
ONLINE_ANSWERS = {  # what the internet would say to the phones that ask whether they are in it
    "/generate_204": (204, b""),
    "/hotspot-detect.html": (
        200,
        b"<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>\n",
    ),
    "/connecttest.txt": (200, b"Microsoft Connect Test"),
}


class Servlet:
    """Answers guests' browsers."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self._challenges: dict[str, tuple[bytes, bytes]] = {}  # by address of the phone

    def answer(self, request: Request) -> Reply:
        """One request, whatever host it was meant for."""
        with self.router.lock:
            self.router.hotspot.look()
            phone = self._phone(request)
            host = request.headers.get("host", "").lower()
            if not self._is_ours(host):
                return self._elsewhere(request, phone, host)
            page = {"/login": self._login, "/logout": self._logout, "/status": self._status, "/api": self._capport}
            return page.get(request.path, self._other)(request, phone)

    def _phone(self, request: Request) -> Phone:
        hotspot = self.router.hotspot
        named = request.headers.get("x-phone", request.peer)
        found = next((phone for phone in hotspot.phones.values() if named.upper() in (phone.ip, phone.mac)), None)
        phone = found or self.router.join(ip=named)
        phone.come_back()
        return phone

    def _is_ours(self, host: str) -> bool:
        name = host.partition(":")[0]
        return host == urlsplit(self.router.web_url).netloc or name in (
            "",
            self.router.settings.address,
            self.router.hotspot.server_profile().get("dns-name", ""),
        )

    def _elsewhere(self, request: Request, phone: Phone, host: str) -> Reply:
        """A page of the internet: passed on for those who are in, else the way to the log-in page."""
        name, _, port = host.partition(":")
        if phone.online or garden.open_for(self.router, name, None, int(port or 80)):
            status, body = ONLINE_ANSWERS.get(request.path, (200, f"This would be {name}.".encode()))
            return Reply(status, body, {"Content-Type": "text/plain"})
        return self._show("rlogin.html", request, phone, {"dst": f"http://{host}{request.path}"})

    def _other(self, request: Request, phone: Phone) -> Reply:
        return self._go("/status" if self._session(phone) else "/login")

    def _go(self, path: str) -> Reply:
        return Reply(302, headers={"Location": self.router.web_url + path})

    def _session(self, phone: Phone) -> Session | None:
        host = self.router.hotspot.host_of(phone)
        return host.session if host is not None else None

    def _login(self, request: Request, phone: Phone) -> Reply:
        """A form, or one that was sent; GET with the same fields logs in as well."""
        if self._session(phone) is not None:
            return self._go("/status")
        form = request.form
        try:
            if "username" in form:
                return self._enter(request, phone, form["username"], form.get("password", ""))
            if (cookie := self._cookie(request, phone)) is not None:
                return self._enter_by(request, phone, cookie, lambda password: True, "cookie")
        except LoginRefused as refusal:
            name = "flogin.html" if self.router.page("flogin.html") else "login.html"
            return self._show(name, request, phone, {"error": str(refusal)})
        return self._show("login.html", request, phone)

    def _cookie(self, request: Request, phone: Phone) -> str | None:
        hotspot, token = self.router.hotspot, request.cookies.get(COOKIE)
        if not token or "cookie" not in hotspot.login_by():
            return None
        for cookie in hotspot.cookies.values():
            if cookie.token == token and cookie.mac == phone.mac and cookie.expires_at > hotspot.now():
                return cookie.user
        return None

    def _enter(self, request: Request, phone: Phone, user: str, password: str) -> Reply:
        ways = self.router.hotspot.login_by()
        identifier, challenge = self._challenges.get(phone.ip, (b"", b""))

        def check(secret: str) -> bool:
            data = identifier + secret.encode() + challenge
            answered = hashlib.md5(data, usedforsecurity=False).hexdigest() == password.lower()
            return ("http-chap" in ways and bool(challenge) and answered) or ("http-pap" in ways and secret == password)

        if "http-pap" not in ways and len(password) != 32:
            raise LoginRefused(NO_CHALLENGE)
        by = "http-pap" if "http-pap" in ways else "http-chap"
        return self._enter_by(request, phone, user, check, by)

    def _enter_by(self, request: Request, phone: Phone, user: str, check: Check, by: str) -> Reply:
        host = self.router.hotspot.host_of(phone)
        if host is None or self.router.hotspot.binding(phone) == "blocked":
            raise LoginRefused("hotspot service is shutting down" if host is None else "you are blocked")
        session = self.router.hotspot.login(user, check, host, by)
        self._challenges.pop(phone.ip, None)
        reply = self._show("alogin.html", request, phone)
        if "cookie" in self.router.hotspot.login_by() and by != "cookie":
            token = self.router.hotspot.browser_cookie(session)
            reply.headers["Set-Cookie"] = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax"
        return reply

    def _logout(self, request: Request, phone: Phone) -> Reply:
        session = self._session(phone)
        if session is None:
            return self._go("/login")
        reply = self._show("logout.html", request, phone)
        if request.form.get("erase-cookie") in ("on", "true"):
            cookies = self.router.hotspot.cookies
            for number in [number for number, cookie in cookies.items() if cookie.mac == phone.mac]:
                del cookies[number]
        self.router.hotspot.end(session, "user request", wake=False)
        return reply

    def _status(self, request: Request, phone: Phone) -> Reply:
        return self._show("status.html", request, phone) if self._session(phone) else self._go("/login")

    def _capport(self, request: Request, phone: Phone) -> Reply:
        body = json.dumps({"captive": not phone.online, "user-portal-url": f"{self.router.web_url}/login"})
        return Reply(200, body.encode(), {"Content-Type": "application/captive+json"})

    def _show(self, name: str, request: Request, phone: Phone, more: dict[str, str] | None = None) -> Reply:
        page = templates.render(self.router.page(name), self._variables(request, phone, more or {}))
        return Reply(page.status, page.text.encode(), page.headers)

    def _challenge(self, phone: Phone) -> tuple[str, str]:
        """A fresh one, as octal escapes; empty where the server does not ask for it."""
        if "http-chap" not in self.router.hotspot.login_by():
            return "", ""
        fresh = self._challenges[phone.ip] = (secrets.token_bytes(1), secrets.token_bytes(16))
        return _octal(fresh[0]), _octal(fresh[1])

    def _variables(self, request: Request, phone: Phone, more: dict[str, str]) -> dict[str, str]:
        base, hotspot, session = self.router.web_url, self.router.hotspot, self._session(phone)
        server = hotspot.server()
        original = more.get("dst", request.form.get("dst", ""))
        identifier, challenge = ("", "") if session else self._challenge(phone)
        known = {
            "hostname": hotspot.server_profile().get("dns-name", ""),
            "identity": self.router.find("/system/identity")[0].get("name", ""),
            "server-address": urlsplit(base).netloc,
            "server-name": server.values.get("name", "") if server else "",
            "ip": phone.ip,
            "mac": phone.mac,
            "logged-in": "yes" if session else "no",
            "link-login": f"{base}/login" + (f"?dst={quote(original, safe='')}" if original else ""),
            "link-login-only": f"{base}/login",
            "link-logout": f"{base}/logout",
            "link-status": f"{base}/status",
            "link-orig": original,
            "link-redirect": original if session else f"{base}/login",
            "chap-id": identifier,
            "chap-challenge": challenge,
            "plain-passwd": "yes" if "http-pap" in hotspot.login_by() else "no",
            "username": session.name if session else request.form.get("username", ""),
            "error": more.get("error", ""),
            "error-orig": more.get("error", ""),
            **(self._of_session(session) if session else {}),
        }
        return known | {f"{name}-esc": quote(value, safe="") for name, value in known.items()}

    def _of_session(self, session: Session) -> dict[str, str]:
        hotspot = self.router.hotspot
        hotspot.settle()
        left = limits.time_left(session, hotspot.now())
        up, down = session.up, session.down
        known = {
            "uptime": values.shown_duration(hotspot.now() - session.started),
            "uptime-secs": str(int(hotspot.now() - session.started)),
            "bytes-in": str(up),
            "bytes-out": str(down),
            "login-by": session.login_by,
            "refresh-timeout": session.profile.values.get("status-autorefresh", "1m"),
        }
        if left is not None:
            known |= {"session-time-left": values.shown_duration(left), "session-time-left-secs": str(int(left))}
        for way, used in (("in", up), ("out", down), ("total", up + down)):
            if way in session.limits_at_login:
                known[f"remain-bytes-{way}"] = str(session.limits_at_login[way] - used)
        nice = {f"{name}-nice": _nice(int(value)) for name, value in known.items() if "bytes" in name}
        return known | nice


def _octal(data: bytes) -> str:
    return "".join(f"\\{byte:03o}" for byte in data)


def _nice(size: int) -> str:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"
