"""The guest's pages: one plain HTML file each, no script, no cookie, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Response, render_template
from markupsafe import Markup

from bawaba.core.errors import Problem
from bawaba.portal.visit import Visit
from bawaba.vouchers import codes
from bawaba.web import language
from bawaba.web.language import translate as _
from bawaba.web.messages import sentence

STYLE = Path(__file__).parent / "templates" / "portal.css"
REFRESH_OPENING_S = 2
REFRESH_STATUS_S = 60
REFRESH_AWAY_S = 10

HEADINGS = {
    "code_malformed": "That is not quite right",
    "invalid": "That is not quite right",
    "voucher_unknown": "We don't know this code",
    "wrong_site": "Not for this place",
    "voucher_disabled": "This card is switched off",
    "voucher_expired": "This card's time is over",
    "voucher_used": "This card is used up",
    "too_many_devices": "In use on another phone",
    "too_many_tries": "A short break",
    "device_blocked": "Not on this network",
    "router_unreachable": "One moment",
    "unknown_device": "We can't see your phone yet",
    "unknown_place": "Where are you?",
    "nothing_to_resume": "Type a code",
    "database_away": "One moment",
}
KEEPS_CODE = frozenset(HEADINGS) - {"too_many_tries", "voucher_unknown"}
TRY_AGAIN_BY_ITSELF = frozenset({"router_unreachable", "database_away"})


@lru_cache
def style() -> tuple[Markup, str]:
    """The stylesheet, and the policy that allows it and nothing else."""
    text = "".join(line.strip() for line in STYLE.read_text("utf-8").splitlines())
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    return Markup(text), policy


def page(here: Visit, name: str, status: int = 200, **values: Any) -> Response:
    """Render one page of the portal."""
    css, policy = style()
    site = here.site if name != "away" else None
    html = render_template(
        f"portal/{name}.html",
        css=css,
        here=here,
        site=site,
        place=site.name if site is not None else "WiFi",
        zone=site.time_zone if site is not None else "UTC",
        other_languages=[code for code in language.languages() if code != language.current()],
        **values,
    )
    answer = Response(html, status, mimetype="text/html")
    answer.headers["Content-Security-Policy"] = policy
    answer.headers["Cache-Control"] = "no-store"
    return answer


def enter(here: Visit, code: str = "", *, status: int = 200, note: str = "", **values: Any) -> Response:
    """Where a guest types the code."""
    return page(here, "enter", status, code=shown_code(code), note=note, **values)


def refusal(here: Visit, problem: Problem, code: str) -> Response:
    """What went wrong in words, what to do, and the field again."""
    values: dict[str, Any] = {
        "heading": _(HEADINGS.get(problem.code, "That did not work")),
        "words": refusal_words(here, problem),
        "may_move": bool(problem.details.get("may_move")),
        "refresh_s": REFRESH_AWAY_S if problem.code in TRY_AGAIN_BY_ITSELF else None,
    }
    kept = code if problem.code in KEEPS_CODE else ""
    answer = page(here, "enter", problem.status, code=shown_code(kept), note="", refused=problem.code, **values)
    if "retry_after_s" in problem.details:
        answer.headers["Retry-After"] = str(problem.details["retry_after_s"])
    return answer


def refusal_words(here: Visit, problem: Problem) -> str:
    """The sentence of a refusal, with the time that belongs to it where there is one."""
    ended_at = problem.details.get("ended_at")
    if problem.code == "voucher_expired" and ended_at is not None and here.site is not None:
        when = language.moment(ended_at, here.site.time_zone)
        return _("The time of this card ended on %(when)s. You need a new one.", when=when)
    if problem.code == "too_many_tries":
        wait = language.span(problem.details["retry_after_s"])
        return _("Too many wrong codes. Wait %(wait)s, then type the code from the card again.", wait=wait)
    if problem.code == "invalid":
        return sentence("code_malformed")
    return sentence(problem.code, problem.details)


def away() -> Response:
    """The database does not answer: say so politely, and try again by itself."""
    css, policy = style()
    html = render_template("portal/away.html", css=css, refresh_s=REFRESH_AWAY_S)
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store", "Retry-After": str(REFRESH_AWAY_S)}
    return Response(html, 503, mimetype="text/html", headers=headers)


def shown_code(text: str) -> str:
    """A code as it stands in the field: grouped when it is one, else as it was typed (cut to a sane length)."""
    try:
        return codes.grouped(codes.parse(text).text)
    except codes.CodeMalformed:
        return text[:40]
