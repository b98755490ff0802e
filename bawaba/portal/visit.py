"""A guest's request: what the redirect carried, which place it is, which language is spoken there, how they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

from flask import g, request
from sqlalchemy.orm import Session

from bawaba.core.errors import Invalid
from bawaba.core.runtime import Runtime
from bawaba.portal import redirects
from bawaba.portal.guests import Told, find_router, identify
from bawaba.portal.places import Place, place
from bawaba.routers import devices
from bawaba.routers.directory import Entry, directory
from bawaba.routers.errors import RouterUnreachableNow
from bawaba.sessions import standing, trial
from bawaba.sessions.errors import UnknownDevice, UnknownPlace
from bawaba.sessions.redeem import Guest
from bawaba.sessions.standing import Standing
from bawaba.vouchers import codes
from bawaba.web import language

OUR_LANGUAGE = "ar"  # where nothing tells us better


@dataclass
class Visit:
    """One request of one guest. Nothing in it is believed: `guest` asks the router."""

    rt: Runtime
    carried: dict[str, str]
    source_ip: str
    asked_language: str | None = None
    asked_letters: bool = False

    @cached_property
    def told(self) -> Told:
        """What the redirect said, and where the request came from."""
        known = self.carried
        ref = {**redirects.site_ref(known.get("token")), "return_url": self.return_url}
        router, mac, ip = known.get("router"), known.get("client_mac"), known.get("client_ip")
        return Told(self.source_ip, router, mac, ip, known.get("at"), ref)

    @property
    def return_url(self) -> str:
        """Where a browser comes back to that had to sign in at the gateway."""
        return self.rt.config.portal_url + self.link("/status", back="1")

    @cached_property
    def router(self) -> Entry | None:
        """Where the guest is."""
        return find_router(self.rt, self.told)

    @cached_property
    def guest(self) -> Guest:
        """The device, as its router knows it. Raises what `identify` raises."""
        return identify(self.rt, self.told)

    @cached_property
    def place(self) -> Place | None:
        """The router's site, else the only one there is; None when we cannot tell."""
        if self.router is not None:
            return place(self.rt, self.router.site_id)
        sites = {entry.site_id for entry in directory(self.rt).entries()}
        return place(self.rt, sites.pop()) if len(sites) == 1 else None

    @property
    def letters(self) -> bool:
        """Whether codes here may hold letters, so that a keypad of digits would not do."""
        return self.asked_letters or (self.place is not None and self.place.letters)

    @property
    def zone(self) -> str:
        """The place's time zone."""
        return self.place.time_zone if self.place is not None else "UTC"

    @cached_property
    def known_guest(self) -> Guest | None:
        """The device; None where nobody knows it. Raises `RouterUnreachableNow` when its router, who would, does not
        answer."""
        try:
            return self.guest
        except (UnknownPlace, UnknownDevice, Invalid):
            return None

    @property
    def standing(self) -> Standing | None:
        """How the device stands. Raises `RouterUnreachableNow`."""
        return self._looked_up[0]

    @property
    def is_trusted(self) -> bool:
        """Whether this device needs no card here. Raises `RouterUnreachableNow`."""
        return self._looked_up[1]

    @property
    def left_behind(self) -> Standing | None:
        """What this device may go on with, without typing the code again; None also where its router cannot say."""
        try:
            now = self.standing
        except RouterUnreachableNow:
            return None
        return now if now is not None and standing.may_resume(now, self.rt.clock.now()) else None

    @property
    def may_try(self) -> bool:
        """Whether this device may have the place's free trial today."""
        if self.place is None or self.place.trial_minutes is None or self.router is None:
            return False
        try:
            guest = self.known_guest
        except RouterUnreachableNow:
            return False
        now = self.rt.clock.now()
        return guest is not None and self.rt.read(trial.may_try, self.router.site_id, guest.mac, now)

    def look_anew(self) -> None:
        """Forget how the device stood: it has changed."""
        self.__dict__.pop("_looked_up", None)

    @cached_property
    def _looked_up(self) -> tuple[Standing | None, bool]:
        if self.known_guest is None or self.router is None:
            return None, False
        return self.rt.read(_look_up, self.router.site_id, self.known_guest.mac, self.rt.clock.now())

    def speak(self) -> None:
        """Choose the language: the one asked for, the phone's, the place's."""
        spoken_here = self.place.language if self.place is not None else OUR_LANGUAGE
        g.language = language.choose(self.asked_language, request.accept_languages, spoken_here)

    def link(self, path: str, **more: str) -> str:
        """An address that carries on what the redirect brought, and what the guest chose by hand."""
        query = dict(self.carried)
        if self.asked_language:
            query["lang"] = self.asked_language
        if self.asked_letters:
            query["keys"] = "letters"
        query |= more
        return f"{quote(path)}?{urlencode(query)}" if query else quote(path)

    def enter_link(self, typed: str, **more: str) -> str:
        """The way in, with a code that was typed already where it is one."""
        try:
            return self.link(f"/c/{codes.grouped(codes.parse(typed).text)}", **more)
        except codes.CodeMalformed:
            return self.link("/", **more)


def visit(rt: Runtime) -> Visit:
    """This request's visit. Until `speak`, the language is what can be told without the database."""
    values: Mapping[str, Any] = request.values if request.mimetype != "application/json" else request.args
    carried = redirects.translated({**values, **(request.view_args or {})})
    asked = values.get("lang")
    asked = asked if asked in language.languages() else None
    g.language = language.choose(asked, request.accept_languages, OUR_LANGUAGE)
    return Visit(rt, carried, request.remote_addr or "", asked, values.get("keys") == "letters")


def _look_up(db: Session, site_id: int, device: str, now: datetime) -> tuple[Standing | None, bool]:
    """How a device stands at a site, and whether it needs no card there."""
    found = standing.of_device(db, site_id, device, now)
    if found is not None and not found.over:
        return found, False
    return found, devices.standing_of(db, site_id, device) == "trusted"
