"""What templates can say: sentences, numbers, times, who is signed in, and where else they may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, g, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from bawaba.web import guard, language
from bawaba.web.language import translate as _
from bawaba.web.static_files import StaticFiles

FILES = StaticFiles()
THEME_COOKIE = "bawaba_theme"
THEMES = ("light", "dark")  # neither: as the device has it


@dataclass(frozen=True, slots=True)
class Link:
    """A way to another page. `permission` empty: everybody who is signed in."""

    path: str
    icon: str
    text: str
    permission: str = ""
    short: str = ""
    here: bool = False
    key: str = ""  # g and this letter lead there


@dataclass(frozen=True, slots=True)
class Said:
    """What a page says once, on top: what was just done. `kind` is good or bad."""

    text: str
    kind: str = "good"


DASHBOARD = Link("/dashboard", "home", "Dashboard", "sessions:read", "Home", key="d")
CARDS = Link("/cards", "card", "Cards", "vouchers:read", key="c")
BATCHES = Link("/batches", "batch", "Batches", "vouchers:read", key="b")
MAKE = Link("/cards/new", "make", "Make cards", "vouchers:create", "Make", key="n")
SESSIONS = Link("/sessions", "online", "Sessions", "sessions:read", key="s")
SALES = Link("/sales", "sales", "Sales", "reports:read", key="m")
REPORTS = Link("/reports", "data", "Reports", "reports:read")
COUNTER = Link("/counter", "counter", "Counter", "counter:sell", key="k")
CHECK = Link("/check", "search", "Check a card", "cards:check", "Check", key="h")
MENU: Sequence[tuple[str, Sequence[Link]]] = (
    ("", (DASHBOARD, COUNTER, CHECK, MAKE, CARDS, BATCHES, SESSIONS, SALES, REPORTS)),
    (
        "Network",
        (
            Link("/routers", "router", "Routers", "routers:read", key="r"),
            Link("/jobs", "alert", "Error list", "routers:read", key="e"),
            Link("/devices", "device", "Known devices", "devices:read"),
        ),
    ),
    (
        "Set up",
        (
            Link("/plans", "plan", "Plans", "plans:read", key="p"),
            Link("/people", "people", "People", "users:read"),
            Link("/site", "settings", "Site settings", "sites:write"),
            Link("/backups", "copy", "Backups", "backups:read"),
            Link("/diagnostics", "check", "Health", "diagnostics:read"),
        ),
    ),
)
TABS = (DASHBOARD, CARDS, MAKE, SESSIONS)
TABS_OF_CLERKS = (COUNTER, CHECK)
SAID: dict[str, Said] = {}


def install(app: Flask) -> None:
    """Give Jinja the reader's language and our ways to write things."""
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(
        _=language.translate,
        ngettext=language.translate_count,
        number=language.number,
        money=language.money,
        moment=language.moment,
        clock_time=language.clock_time,
        size=language.size,
        span=language.span,
        rate=language.rate,
        languages=language.languages,
        static=FILES.url,
        csrf_token=csrf_token,
        apart=apart,
        ltr=ltr,
        here_with=here_with,
        is_later=is_later,
        may=may,
        navigation=navigation,
        tabs=tabs,
        home=home,
        other_languages=other_languages,
    )

    @app.context_processor
    def about_the_reader() -> dict[str, Any]:
        spoken = language.current()
        caller = guard.caller()
        return {
            "lang": spoken,
            "dir": language.direction(spoken),
            "theme": theme(),
            "me": caller.actor if caller else None,
            "request_id": g.get("request_id", ""),
            "fragment": is_fragment(),
            "said": said(),
        }


def is_fragment() -> bool:
    """Whether htmx asks for a piece of a page."""
    return request.headers.get("HX-Request") == "true"


def show(page: str, piece: str | None = None, status: int = 200, /, **facts: Any) -> Response:
    """Answer with a page; to htmx, with its `piece`, the part that changes."""
    answer = make_response(render_template(piece if piece and is_fragment() else page, **facts), status)
    answer.vary.add("HX-Request")
    return answer


def go(path: str, said: str = "") -> AnyResponse:
    """Go on to another page after a form, which says once what was done."""
    if said:
        path += ("&" if "?" in path else "?") + urlencode({"said": said})
    return redirect(path, 303)


def say(**sentences: str | Said) -> None:
    """Register what pages say after a deed, by its short name. The catalogues have the other languages."""
    SAID.update({name: text if isinstance(text, Said) else Said(text) for name, text in sentences.items()})


def said() -> Said | None:
    """What this page says once, in the reader's language."""
    known = SAID.get(request.args.get("said", ""))
    return Said(_(known.text), known.kind) if known else None


def back_to(otherwise: str) -> str:
    """The page of ours that a form or link names as `back`; never another site's."""
    path = request.values.get("back", "")
    inside = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if inside else otherwise


def theme() -> str:
    """The colours that this browser was told to show: light, dark, or none, for what the device says."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else ""


def here_with(**query: Any) -> str:
    """This page's address with some of its query changed; None takes a name out."""
    kept: dict[str, Any] = {name: value for name, value in request.args.items() if name != "said"}
    kept.update(query)
    text = urlencode({name: value for name, value in kept.items() if value not in (None, "")})
    return f"{request.path}?{text}" if text else request.path


def is_later() -> bool:
    """Whether this is a later page of a list."""
    return bool(request.args.get("cursor"))


def apart(text: str) -> str:
    """A name inside a sentence, kept in its own direction (Unicode UAX 9, isolates)."""
    return f"\u2068{text}\u2069"


def ltr(text: str) -> str:
    """A serial or address inside a sentence, read from left to right."""
    return f"\u2066{text}\u2069"


def csrf_token() -> str:
    """What proves that a form is one of ours."""
    caller = guard.caller()
    return (caller.csrf or "") if caller else ""


def may(permission: str) -> bool:
    """Whether the reader has a permission."""
    caller = guard.caller()
    return caller is not None and (not permission or caller.actor.may(permission))


def navigation() -> list[tuple[str, list[Link]]]:
    """The menu of those pages that the reader may see."""
    menu = [(title, _allowed(links)) for title, links in MENU]
    return [(_(title) if title else "", links) for title, links in menu if links]


def home() -> str:
    """The page that the reader begins with."""
    return next((link.path for link in (DASHBOARD, COUNTER) if may(link.permission)), "/account")


def tabs() -> list[Link]:
    """What a phone shows at the bottom."""
    return _allowed(TABS) or _allowed(TABS_OF_CLERKS)


def other_languages() -> list[tuple[str, str]]:
    """The languages that the reader could switch to, by their own names."""
    return [(code, language.own_name(code)) for code in language.languages() if code != language.current()]


def _allowed(links: Sequence[Link]) -> list[Link]:
    here = _longest_match(request.path)
    return [
        replace(link, text=_(link.text), short=_(link.short) if link.short else "", here=link is here)
        for link in links
        if may(link.permission)
    ]


def _longest_match(path: str) -> Link | None:
    """/cards/new is its own page, /cards/17 is one of the cards."""
    links = [link for _title, group in MENU for link in group]
    fitting = [link for link in links if path == link.path or path.startswith(link.path + "/")]
    return max(fitting, key=lambda link: len(link.path), default=None)
