"""A guest's request: what the redirect carried, which place it is, which language is spoken there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from flask import g, request
from sqlalchemy import select

from bawaba.core.runtime import Runtime
from bawaba.portal.guests import Told, find_router, identify
from bawaba.routers.directory import Entry
from bawaba.sessions.redeem import Guest
from bawaba.sites.models import Site
from bawaba.web import language

LONGEST = 200
ALIASES = {  # what other gateways call it in their redirects
    "router": ("router", "nasid", "gatewayname"),
    "client_mac": ("client_mac", "mac", "clientmac", "id"),
    "client_ip": ("client_ip", "ip", "clientip"),
    "token": ("token", "tok", "hid"),
}
CARRIED = tuple(ALIASES)


@dataclass
class Visit:
    """One request of one guest. Nothing in it is believed: `guest` asks the router."""

    rt: Runtime
    carried: dict[str, str]
    source_ip: str
    asked_language: str | None

    @cached_property
    def told(self) -> Told:
        """What the redirect said, and where the request came from."""
        known = self.carried
        return Told(self.source_ip, known.get("router"), known.get("client_mac"), known.get("client_ip"))

    @cached_property
    def router(self) -> Entry | None:
        """Where the guest is."""
        return find_router(self.rt, self.told)

    @cached_property
    def site(self) -> Site | None:
        """The place; None when we cannot tell."""
        router = self.router
        if router is None:
            return None
        return self.rt.read(lambda db: db.scalar(select(Site).where(Site.id == router.site_id)))

    @cached_property
    def guest(self) -> Guest:
        """The device, as its router knows it. Raises what `identify` raises."""
        return identify(self.rt, self.told)

    def speak(self) -> None:
        """Choose the language: the one asked for, the phone's, the place's."""
        place = self.site.language if self.site is not None else "ar"
        g.language = language.choose(self.asked_language, request.accept_languages, place)

    def link(self, path: str, **more: str) -> str:
        """An address that carries on what the redirect brought, and the language once it was chosen by hand."""
        query = dict(self.carried)
        if self.asked_language:
            query["lang"] = self.asked_language
        query |= more
        return f"{path}?{urlencode(query)}" if query else path


def visit(rt: Runtime) -> Visit:
    """This request's visit, its language chosen."""
    values: Mapping[str, Any] = request.values if request.mimetype != "application/json" else request.args
    carried = {}
    for name, aliases in ALIASES.items():
        found = next((str(values[alias]) for alias in aliases if values.get(alias)), "")
        if 0 < len(found) <= LONGEST and found.isprintable():
            carried[name] = found
    asked = values.get("lang")
    found_visit = Visit(rt, carried, request.remote_addr or "", asked if asked in language.languages() else None)
    found_visit.speak()
    return found_visit
