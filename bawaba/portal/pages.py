"""The guest's pages: one plain HTML file each, no script, no cookie, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Response, render_template, request
from markupsafe import Markup

from bawaba.core.errors import Problem
from bawaba.plans.words import plan_words
from bawaba.portal import words
from bawaba.portal.colours import accent
from bawaba.portal.visit import Visit
from bawaba.routers.driver import Handoff
from bawaba.sessions.guest_cards import Looked
from bawaba.sessions.standing import Standing
from bawaba.vouchers import codes
from bawaba.web.pages import other_languages

STYLE = Path(__file__).parent / "templates" / "portal.css"
REFRESH_OPENING_S = 2
REFRESH_WAITING_S = 5
REFRESH_HANDED_S = 15
AT_ONCE_S = 1
REFRESH_STATUS_S = 30
REFRESH_SOONEST_S = 5
REFRESH_AWAY_S = 10
LONG_WAIT_S = 20
LONGEST_SHOWN = 40

ENDS_A_CARD = frozenset({"voucher_expired", "voucher_used", "voucher_disabled", "wrong_site"})  # another one is needed
NO_USE_TYPING = frozenset({"unknown_place", "device_blocked"})
TRIES_AGAIN = frozenset({"router_unreachable"})
OPTIONAL = ("adding", "confirm", "heading", "left", "may_move", "note", "paused", "refused", "spent_code", "using")


@lru_cache(maxsize=64)
def style(colour: str = "") -> tuple[Markup, str]:
    """The stylesheet in a site's colour (empty: ours), and the policy that allows it and nothing else."""
    text = "".join(line.strip() for line in STYLE.read_text("utf-8").splitlines())
    text += accent(colour) if colour else ""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'self' data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    return Markup(text), policy


def page(here: Visit, name: str, status: int = 200, /, *, typed: str = "", **values: Any) -> Response:
    """Render one page of the portal. `typed` is the code that the guest has typed already, kept in other languages."""

    def in_language(code: str) -> str:
        if request.method != "GET":
            return here.enter_link(typed, lang=code)
        return here.link(request.path, lang=code, **({"out": "1"} if "out" in request.args else {}))

    return _answer(
        name,
        status,
        here=here,
        place=here.place,
        switches=[(code, name, in_language(code)) for code, name in other_languages()],
        **values,
    )


def enter(here: Visit, code: str = "", **values: Any) -> Response:
    """Where a guest types the code. `note` stands on top, `left` is what the device may go on with, `using` how it is
    online now."""
    return _form(here, 200, code, values)


def refusal(here: Visit, problem: Problem, typed: str) -> Response:
    """What went wrong in words, what to do, and the way to do it."""
    wait_s = problem.details.get("retry_after_s")
    values: dict[str, Any] = {
        "refused": problem.code,
        "heading": words.heading(problem),
        "note": words.refusal(here, problem),
        "may_move": words.moving(here, problem),
        "may_type": problem.code not in NO_USE_TYPING,
        "left": here.left_behind if not typed and problem.code not in TRIES_AGAIN else None,
    }
    if request.method == "GET" and problem.code in TRIES_AGAIN:
        values["refresh_s"] = REFRESH_AWAY_S
    elif wait_s is not None:
        values |= {"refresh_s": wait_s, "refresh_to": here.enter_link(typed)}
    if problem.code in ENDS_A_CARD:
        values["spent_code"], typed = shown_code(typed), ""
    answer = _form(here, problem.status, typed, values)
    if wait_s is not None:
        answer.headers["Retry-After"] = str(wait_s)
    return answer


def _form(here: Visit, status: int, code: str, values: dict[str, Any]) -> Response:
    letters = here.letters or any(symbol.isalpha() for symbol in code)
    shown = {"code": shown_code(code), "is_code": is_code(code), "letters": letters, "may_type": True}
    fresh = not values.get("refused") and not values.get("using") and not values.get("confirm")
    shown["may_try"] = fresh and not values.get("left") and here.may_try
    return page(here, "enter", status, typed=code, **{**shown, **dict.fromkeys(OPTIONAL), **values})


def left_on_card(here: Visit, found: Looked, typed: str) -> Response:
    """What a card still gives, before the guest signs in by it."""
    card = found.card
    over_at = words.until(here, card.over_at) if card.over_at is not None else ""
    facts = {"found": found, "until": over_at, "bought": plan_words(card), "code": shown_code(typed)}
    return page(here, "left", typed=typed, **facts)


def standing(here: Visit, now: Standing) -> Response:
    """How a guest who is online stands, or who waits for the router."""
    if now.opening:
        waited_s = (here.rt.clock.now() - now.session.created_at).total_seconds()
        long_wait = waited_s >= LONG_WAIT_S
        refresh_s = REFRESH_WAITING_S if long_wait else REFRESH_OPENING_S
        return page(here, "opening", long_wait=long_wait, refresh_s=refresh_s, refresh_to=here.link("/status"))
    card, ends = now.card, now.session.end_time
    facts = {
        "until": words.until(here, ends) if ends is not None else "",
        "valid_until": words.until(here, card.over_at) if card.over_at not in (None, ends) else "",
        "used_bytes": card.bytes_up + card.bytes_down,
        "bought": plan_words(card),
    }
    return page(here, "status", now=now, refresh_s=_next_look_s(now), refresh_to=here.link("/status"), **facts)


def _next_look_s(now: Standing) -> int:
    """Seconds until the status page asks again: at the card's end, if that comes sooner than usual."""
    if now.left.seconds is None:
        return REFRESH_STATUS_S
    return max(REFRESH_SOONEST_S, min(REFRESH_STATUS_S, now.left.seconds + 1))


def hand_over(here: Visit, handoff: Handoff) -> Response:
    """One big button: the form that the guest's own browser has to send to the gateway. Where that is a GET, the page
    goes there by itself, once."""
    refresh_s, refresh_to = REFRESH_HANDED_S, here.link("/status", back="1")
    if handoff.method == "GET" and "back" not in request.args:
        refresh_s, refresh_to = AT_ONCE_S, f"{handoff.action_url}?{urlencode(handoff.fields)}"
    answer = page(
        here,
        "handoff",
        handoff=handoff,
        again=here.link("/status", back="1"),
        refresh_s=refresh_s,
        refresh_to=refresh_to,
    )
    gate = urlsplit(handoff.action_url)
    policy = answer.headers["Content-Security-Policy"]
    allowed = f"form-action 'self' {gate.scheme}://{gate.netloc}"
    answer.headers["Content-Security-Policy"] = policy.replace("form-action 'self'", allowed)
    return answer


def away(here: Visit, typed: str = "") -> Response:
    """The database does not answer: say so politely, and try again by itself."""
    refresh_to = "" if request.method == "GET" else here.enter_link(typed)
    answer = _answer("away", 503, place=None, refresh_s=REFRESH_AWAY_S, refresh_to=refresh_to)
    answer.headers["Retry-After"] = str(REFRESH_AWAY_S)
    return answer


def shown_code(text: str) -> str:
    """A code as it stands in the field: grouped when it is one, else as it was typed (cut to a sane length)."""
    return codes.grouped(codes.normalise(text)) if is_code(text) else text.strip()[:LONGEST_SHOWN]


def is_code(text: str) -> bool:
    """Whether it has the shape of a code."""
    try:
        codes.parse(text)
    except codes.CodeMalformed:
        return False
    return True


def _answer(template: str, status: int, /, **values: Any) -> Response:
    place = values.get("place")
    css, policy = style(place.colour if place is not None else "")
    html = render_template(f"portal/{template}.html", css=css, **{"refresh_s": None, "refresh_to": "", **values})
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
    return Response(html, status, mimetype="text/html", headers=headers)
