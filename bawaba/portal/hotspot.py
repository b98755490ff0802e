"""The pages that lie on a MikroTik itself (RouterOS manual: HotSpot customisation).

They are small, hold no secret, and the router fills in what stands as $(…). Where the portal holds the cards they hand
over to it; where the router holds them they have the form themselves, so that guests are served while we are away.
"""

from __future__ import annotations

import io
import threading
import zipfile
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

from apiflask import APIBlueprint
from flask import Response, render_template

from bawaba.core.runtime import Runtime
from bawaba.portal.pages import style
from bawaba.routers.directory import directory
from bawaba.routers.errors import RouterNotFound
from bawaba.routers.setup.routeros import AWAY_PAGES, PAGES
from bawaba.sites.models import Site
from bawaba.web import language
from bawaba.web.guard import open_to_everyone, runtime

bp = APIBlueprint("hotspot_pages", __name__, enable_openapi=False)
TEMPLATES = {"status.html": "status", "logout.html": "logout", "alogin.html": "welcome", "error.html": "error"}
ZIPPED_AT = datetime(2026, 1, 1, tzinfo=UTC).timetuple()[:6]  # the same bytes each time
ZIPS_MOST = 32  # some 20 KB each
LOOK_ONLY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'"  # read here
CARRIED = (
    ("client_mac", "$(mac-esc)"),
    ("client_ip", "$(ip)"),
    ("link-login-only", "$(link-login-only-esc)"),
    ("link-orig", "$(link-orig-esc)"),
)


@bp.get("/hotspot/<int:router_id>/<name>")
@open_to_everyone
def page(router_id: int, name: str) -> Response:
    """One of the router's pages, or all of them as pages.zip."""
    return _answer(router_id, name, away=False)


@bp.get("/hotspot/<int:router_id>/away/<name>")
@open_to_everyone
def page_while_away(router_id: int, name: str) -> Response:
    """The page that the router shows while we are away."""
    return _answer(router_id, name, away=True)


def _answer(router_id: int, name: str, *, away: bool) -> Response:
    rt = runtime()
    site = _site(rt, router_id)
    if name == "pages.zip" and not away:
        return Response(zips(rt).of(rt, site, router_id), mimetype="application/zip")
    if name not in (AWAY_PAGES if away else PAGES):
        raise RouterNotFound()
    text = render(rt, site, router_id, name, away=away)
    return Response(text, mimetype="text/html", headers={"Content-Security-Policy": LOOK_ONLY})


def render(rt: Runtime, site: Site, router_id: int, name: str, *, away: bool = False) -> str:
    """The text of a page as it lies on the router."""
    css, _policy = style(site.colour)
    held_here = site.mode == "router_held"
    template = "away" if away else TEMPLATES.get(name, "login" if held_here else "to_portal")
    portal = rt.config.portal_url.rstrip("/")
    query = "&".join([f"router={router_id}", *(f"{word}={variable}" for word, variable in CARRIED)])
    return render_template(
        f"portal/hotspot/{template}.html",
        css=css,
        site=site,
        portal=portal,
        portal_link=f"{portal}/?{query}",
        status_link=f"{portal}/status?{query}",
        held_here=held_here,
        spoken=_spoken(site),
        direction=language.direction,
    )


def _spoken(site: Site) -> list[str]:
    """The site's language first: a router cannot choose by what the phone prefers."""
    return sorted(language.languages(), key=lambda code: code != site.language)


def _site(rt: Runtime, router_id: int) -> Site:
    """The site of a MikroTik. Raises `RouterNotFound`."""
    entry = next((entry for entry in directory(rt).entries() if entry.id == router_id), None)
    site = rt.read(lambda db: db.get(Site, entry.site_id)) if entry is not None and entry.driver == "routeros" else None
    if site is None:
        raise RouterNotFound()
    return site


class Zips:
    """The files of pages, each made once: anybody may ask for them, as often as they like."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()

    def of(self, rt: Runtime, site: Site, router_id: int) -> bytes:
        """The file for a router as its site stands; one is made at a time, and the newest are kept."""
        facts = tuple(getattr(site, column.key) for column in Site.__table__.columns)
        key = (router_id, rt.config.portal_url, language.current(), *facts)
        with self._lock:
            if key not in self._made:
                self._made[key] = _zipped(rt, site, router_id)
            self._made.move_to_end(key)
            while len(self._made) > ZIPS_MOST:
                self._made.popitem(last=False)
            return self._made[key]


def zips(rt: Runtime) -> Zips:
    """This process's."""
    found: Zips = rt.parts.setdefault("hotspot_zips", Zips())
    return found


def _zipped(rt: Runtime, site: Site, router_id: int) -> bytes:
    """Two folders to drag into Winbox: the pages, and those for while we are away."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        wanted = [("bawaba", name, False) for name in PAGES]
        if site.mode != "router_held":
            wanted += [("bawaba-away", name, True) for name in AWAY_PAGES]
        for folder, name, away in wanted:
            text = render(rt, site, router_id, name, away=away)
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}", ZIPPED_AT), text, zipfile.ZIP_DEFLATED)
    return whole.getvalue()
