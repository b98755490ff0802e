"""The controller itself: who may ask it, and what it answers over HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from datetime import UTC, datetime
from random import Random
from typing import Any

from bawaba.core.clock import Clock, SystemClock
from bawaba.routers.simulators.routeros.http import Reply, Request
from bawaba.routers.simulators.unifi import classic, official
from bawaba.routers.simulators.unifi.faults import KINDS, Fault
from bawaba.routers.simulators.unifi.settings import Behaviour, Settings
from bawaba.routers.simulators.unifi.site import Phone, Refused, Site

OS_PREFIX = "/proxy/network"
OFFICIAL = "/integration/v1/"
COOKIE = {True: "TOKEN", False: "unifises"}
HTML = b"<!DOCTYPE html><html><body>UniFi</body></html>"


class Controller:
    """One controller. `port` and `fingerprint` are set by who serves it."""

    def __init__(
        self, settings: Settings | None = None, *, clock: Clock | None = None, behaviour: Behaviour | None = None
    ) -> None:
        self.settings = settings or Settings()
        self.behaviour = behaviour or Behaviour()
        self.clock = clock or SystemClock()
        self.lock = threading.RLock()
        self.sites = {name: Site(name, self.settings, self.behaviour, self.clock) for name in self.settings.sites}
        self.faults: list[Fault] = []
        self.calls: list[str] = []
        self.logins = 0
        self.port, self.fingerprint = 0, ""
        self._chance = Random(7)
        self._sessions: dict[str, tuple[float, str]] = {}  # cookie: until when, and its CSRF token
        self._tried: deque[float] = deque()
        self.booted_at = self.clock.monotonic()

    @property
    def site(self) -> Site:
        """The first site."""
        return next(iter(self.sites.values()))

    def join(self, mac: str | None = None, ip: str | None = None, *, is_guest: bool = True) -> Phone:
        """A phone comes into the WiFi of the first site."""
        with self.lock:
            return self.site.join(mac, ip, is_guest=is_guest)

    def reboot(self) -> None:
        """Off and on: log-ins are forgotten, and every device has to connect anew. Authorisations are kept."""
        with self.lock:
            self._sessions.clear()
            self.booted_at = self.clock.monotonic()
            for site in self.sites.values():
                for phone in site.phones.values():
                    phone.leave()

    def expire_logins(self) -> None:
        """Forget who is logged in."""
        with self.lock:
            self._sessions.clear()

    def fail(self, kind: str, match: str = "*", **details: Any) -> Fault:
        """Let something go wrong; see `faults.Fault`."""
        if kind not in KINDS:
            raise ValueError(f"{kind} is none of {', '.join(KINDS)}")
        fault = Fault(kind, match, **details)
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.faults.clear()

    async def answer(self, request: Request) -> Reply:
        """Answer one request, with what is to go wrong."""
        call = self._call(request)
        with self.lock:
            self.calls.append(call)
            fault = next((fault for fault in self.faults if fault.strikes(call)), None)
        await asyncio.sleep(self.behaviour.delay_s + (fault.seconds if fault and fault.kind == "slow" else 0.0))
        if fault is not None and fault.kind == "cut-before":
            raise ConnectionResetError("simulated")
        if fault is not None and fault.kind == "status":
            return Reply(fault.status, b"{}", {"Content-Type": "application/json", "Retry-After": "7"})
        with self.lock:
            reply = self._routed(request)
        if fault is not None and fault.kind == "cut-after":
            raise ConnectionResetError("simulated")
        if fault is not None and fault.kind in ("html", "nonsense"):
            return Reply(200, HTML if fault.kind == "html" else fault.text.encode())
        reply.headers.setdefault("Date", self._date())
        return reply

    def _call(self, request: Request) -> str:
        """What is asked, in short: the method, the path below the site, and a command's name."""
        path = request.path.removeprefix(OS_PREFIX)
        for name in self.sites:
            path = path.removeprefix(f"/api/s/{name}/")
        sent = _json(request.body)
        word = sent.get("cmd") or sent.get("action") or "" if isinstance(sent, dict) else ""
        return f"{request.method} {path} {word}".strip()

    def _routed(self, request: Request) -> Reply:
        os, path = self.settings.unifi_os, request.path
        if path == "/":
            return Reply(200, HTML) if os else Reply(302, b"", {"Location": "/manage"})
        if path == ("/api/auth/login" if os else "/api/login") and request.method == "POST":
            return self._login(_json(request.body))
        if os and not path.startswith(OS_PREFIX + "/"):
            return Reply(404, HTML)
        path = path.removeprefix(OS_PREFIX) if os else path
        if path.startswith(OFFICIAL):
            return self._official(request, path.removeprefix(OFFICIAL))
        return self._classic(request, path) if self.behaviour.classic else Reply(404, HTML)

    # --- logging in

    def _login(self, sent: Any) -> Reply:
        now = self.clock.monotonic()
        self.logins += 1
        while self._tried and now - self._tried[0] > 60:
            self._tried.popleft()
        self._tried.append(now)
        if len(self._tried) > self.behaviour.logins_a_minute:
            return _reply(429, {"code": "AUTHENTICATION_FAILED_LIMIT_REACHED"}, {"Retry-After": "30"})
        mine = (self.settings.username, self.settings.password)
        if not isinstance(sent, dict) or (sent.get("username"), sent.get("password")) != mine:
            wrong = {"meta": {"rc": "error", "msg": "api.err.Invalid"}, "data": []}
            return _reply(403 if self.settings.unifi_os else 400, wrong)
        if self.settings.two_factor:
            return _reply(499, {"meta": {"rc": "error", "msg": "api.err.Ubic2faTokenRequired"}, "data": []})
        cookie, token = self._random(), self._random()
        self._sessions[cookie] = now + self.behaviour.session_s, token
        headers = {"Set-Cookie": f"{COOKIE[self.settings.unifi_os]}={cookie}; Path=/; Secure; HttpOnly"}
        if self.settings.unifi_os:
            headers["X-CSRF-Token"] = token
        return _reply(200, {"meta": {"rc": "ok"}, "data": []}, headers)

    def _may(self, request: Request, by_key: bool) -> tuple[bool, dict[str, str]]:
        """Whether the request is let through, and headers that its answer carries."""
        key = request.headers.get("x-api-key")
        if key is not None:
            return by_key and bool(self.settings.api_key) and key == self.settings.api_key, {}
        cookie = request.cookies.get(COOKIE[self.settings.unifi_os], "")
        until, token = self._sessions.get(cookie, (0.0, ""))
        if self.clock.monotonic() >= until:
            self._sessions.pop(cookie, None)
            return False, {}
        if not self.settings.unifi_os:
            return True, {}
        if request.method == "GET":
            return True, {"X-CSRF-Token": token} if self.behaviour.csrf_on_reads else {}
        if request.headers.get("x-csrf-token") != token:
            return False, {}
        if not self.behaviour.csrf_rotates:
            return True, {}
        self._sessions[cookie] = until, (fresh := self._random())
        return True, {"X-Updated-CSRF-Token": fresh, "X-CSRF-Token": fresh}

    # --- the two APIs

    def _classic(self, request: Request, path: str) -> Reply:
        allowed, headers = self._may(request, self.behaviour.key_on_classic)
        if not allowed:
            return _classic_error("api.err.LoginRequired", 401)
        try:
            if path == "/api/self/sites":
                return _reply(200, _rows(self._own_sites()), headers)
            _, _, _, name, *rest = path.split("/")
            if name not in self.sites:
                raise Refused("api.err.NoSiteContext")
            below, sent = "/".join(rest), _json(request.body)
            rows = classic.answer(self.sites[name], self.settings, request.method, below, request.query, sent)
            return _reply(200, _rows(self._sysinfo() if below == "stat/sysinfo" else rows), headers)
        except Refused as refused:
            return _classic_error(str(refused), 200 if self.behaviour.errors_as_200 else 400, headers)
        except (KeyError, TypeError, ValueError, AttributeError):
            return _classic_error("api.err.InvalidPayload", 400, headers)

    def _official(self, request: Request, path: str) -> Reply:
        if not self._may(request, True)[0] or "x-api-key" not in request.headers:
            return _official_error(request, official.Failed(401, "api.authentication.missing-credentials", "who?"))
        try:
            sent = _json(request.body)
            return _reply(200, official.answer(self.sites, self.settings, request.method, path, request.query, sent))
        except official.Failed as failed:
            return _official_error(request, failed)

    def _own_sites(self) -> list[dict[str, Any]]:
        return [{"_id": site.uuid, "name": name, "desc": name, "role": self.settings.role}
                for name, site in self.sites.items()]  # fmt: skip

    def _sysinfo(self) -> list[dict[str, Any]]:
        up = int(self.clock.monotonic() - self.booted_at)
        settings = self.settings
        return [{"version": settings.version, "name": settings.name, "hostname": settings.name, "uptime": up,
                 "ubnt_device_type": settings.device_type, "build": f"atag_{settings.version}"}]  # fmt: skip

    def _date(self) -> str:
        return datetime.fromtimestamp(self.site.now(), UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")

    def _random(self) -> str:
        return f"{self._chance.getrandbits(128):032x}"


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else {}
    except ValueError:
        return None


def _rows(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"meta": {"rc": "ok"}, "data": rows}


def _reply(status: int, value: Any, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


def _classic_error(word: str, status: int, headers: dict[str, str] | None = None) -> Reply:
    return _reply(status, {"meta": {"rc": "error", "msg": word}, "data": []}, headers)


def _official_error(request: Request, failed: official.Failed) -> Reply:
    told = {"statusCode": failed.status, "statusName": "ERROR", "code": failed.code, "message": failed.message,
            "timestamp": "2026-01-01T00:00:00Z", "requestPath": request.path, "requestId": "0"}  # fmt: skip
    return _reply(failed.status, told)
