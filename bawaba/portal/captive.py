"""Requests that a gateway caught: a phone's probe, or a page of the internet. They are sent to the portal."""

from __future__ import annotations

import ipaddress
import time
from urllib.parse import urlsplit

from flask import Flask, Response, request
from sqlalchemy import select
from sqlalchemy.orm import Session

from bawaba.core.database import DatabaseAway
from bawaba.core.errors import Problem
from bawaba.core.runtime import Runtime
from bawaba.portal.visit import Visit
from bawaba.routers.directory import directory
from bawaba.sites.models import Site

HOSTS_TTL_S = 5.0
SUCCESS = "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>\n"
EMPTY = (204, "", "text/plain")
PROBES: dict[str, tuple[int, str, str]] = {  # what each system expects once it is online
    "/generate_204": EMPTY,
    "/gen_204": EMPTY,
    "/hotspot-detect.html": (200, SUCCESS, "text/html"),
    "/library/test/success.html": (200, SUCCESS, "text/html"),
    "/connecttest.txt": (200, "Microsoft Connect Test", "text/plain"),
    "/ncsi.txt": (200, "Microsoft NCSI", "text/plain"),
    "/captiveportal/generate_204": EMPTY,
    "/success.txt": (200, "success\n", "text/plain"),
    "/canonical.html": (
        200,
        '<meta http-equiv="refresh" content="0;url=https://support.mozilla.org/kb/captive-portal"/>',
        "text/html",
    ),
    "/static/hotspot.txt": (200, "OK", "text/plain"),
    "/check_network_status.txt": (200, "NetworkManager is online\n", "text/plain"),
    "/nm": (200, "NetworkManager is online\n", "text/plain"),
    "/kindle-wifi/wifistub.html": (200, "<html>81ce4465-7167-4dcb-835b-dcc9e44c112a</html>", "text/html"),
}
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def install(app: Flask, rt: Runtime) -> None:
    """Look at every request's host before anything else does."""
    hosts = _Hosts(rt)

    @app.before_request
    def caught() -> Response | None:
        source = request.remote_addr or ""
        probe = PROBES.get(request.path)
        if probe is not None:
            return _as_expected(probe) if _is_online(rt, source) else _to_the_portal(rt)
        if hosts.ours(_host_of(request.host)) or not _is_guests_address(rt, source):
            return None
        return _to_the_portal(rt)


def _as_expected(probe: tuple[int, str, str]) -> Response:
    status, text, mimetype = probe
    return Response(text, status, mimetype=mimetype, headers={"Cache-Control": "no-store"})


def _to_the_portal(rt: Runtime) -> Response:
    """302, and the connection ends: one that is kept would bring the guest back here after signing in."""
    headers = {"Location": f"{rt.config.portal_url}/", "Connection": "close", "Cache-Control": "no-store"}
    return Response("", 302, headers=headers, mimetype="text/html")


def _is_online(rt: Runtime, source: str) -> bool:
    here = Visit(rt, {}, source)
    try:
        return here.standing is not None and here.standing.online
    except Problem:
        return False


def _is_guests_address(rt: Runtime, source: str) -> bool:
    try:
        return directory(rt).behind(source) is not None
    except DatabaseAway:
        return False  # we cannot tell; the page that was asked for says what is wrong


class _Hosts:
    """The names that we are reached by; anything else that a guest asks for is the internet."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._always = LOCAL | {(urlsplit(rt.config.portal_url).hostname or "").lower(), rt.config.host.lower()}
        self._of_sites: frozenset[str] = frozenset()
        self._until = 0.0

    def ours(self, host: str) -> bool:
        """Whether a request for this host is meant for us."""
        if host in self._always:
            return True
        if time.monotonic() >= self._until:
            try:
                self._of_sites = frozenset(_host_of(name) for name in self._rt.read(_portal_hosts))
            except DatabaseAway:
                return host in self._of_sites
            self._until = time.monotonic() + HOSTS_TTL_S
        return host in self._of_sites


def _portal_hosts(db: Session) -> list[str]:
    return list(db.scalars(select(Site.portal_host).distinct().limit(1000)))


def _host_of(name: str) -> str:
    """A host without its port, in lower case; empty for what is none."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return (urlsplit(f"//{name}").hostname or "").lower()
    except ValueError:
        return ""
