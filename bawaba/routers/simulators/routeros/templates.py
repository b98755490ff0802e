"""The hotspot's page language: `$(name)`, `$(if …)`, `$(endif)` (RouterOS manual, HotSpot customisation)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

_TOKEN = re.compile(r"\$\(([^()]*)\)")
_TEST = re.compile(r'(?P<name>[\w-]+)(?:\s*(?P<sign>==|!=)\s*"?(?P<value>[^"]*)"?)?$')
SETTERS = ("http-status", "http-header")  # an `if` on these does not test, it sets


@dataclass(slots=True)
class Page:
    """A page as the browser gets it."""

    text: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Branch:
    """An open `if`: whether this arm is shown, whether an arm was, and where its text began when it sets something."""

    shown: bool
    taken: bool
    sets: str = ""
    value: str = ""
    start: int = 0


def render(source: str, variables: Mapping[str, str]) -> Page:
    """Show a page. A variable that is not there is empty; text that goes into the page is escaped for HTML."""
    page, out, stack, position = Page(""), [], [_Branch(True, True)], 0
    for token in _TOKEN.finditer(source):
        if stack[-1].shown:
            out.append(source[position : token.start()])
        position = token.end()
        word, _, rest = token[1].strip().partition(" ")
        if word == "if":
            stack.append(_opened(rest, variables, stack[-1].shown, len(out)))
        elif word in ("elif", "else") and len(stack) > 1:
            shown = not stack[-1].taken and stack[-2].shown and (word == "else" or _holds(rest, variables))
            stack[-1] = _Branch(shown, stack[-1].taken or shown)
        elif word == "endif" and len(stack) > 1:
            _closed(stack.pop(), page, out)
        elif stack[-1].shown:
            value = variables.get(token[1].strip(), "")
            out.append(value if any(branch.sets for branch in stack) else escape(value))
    if stack[-1].shown:
        out.append(source[position:])
    page.text = "".join(out)
    return page


def _opened(test: str, variables: Mapping[str, str], outside: bool, start: int) -> _Branch:
    match = _TEST.match(test.strip())
    if match is not None and match["name"] in SETTERS and match["sign"] == "==":
        return _Branch(outside, True, match["name"], match["value"], start)
    holds = outside and _holds(test, variables)
    return _Branch(holds, holds or not outside)


def _holds(test: str, variables: Mapping[str, str]) -> bool:
    match = _TEST.match(test.strip())
    if match is None:
        return False
    value = variables.get(match["name"], "")
    if match["sign"] is None:
        return bool(value)
    return (value == match["value"]) is (match["sign"] == "==")


def _closed(branch: _Branch, page: Page, out: list[str]) -> None:
    """What stood in a setter goes into the answer's head and not into the page."""
    if not branch.sets:
        return
    text = "".join(out[branch.start :])
    del out[branch.start :]
    if not branch.shown:
        return
    if branch.sets == "http-status" and branch.value.isdecimal():
        page.status = int(branch.value)
    elif branch.sets == "http-header":
        page.headers[branch.value] = text.strip()
