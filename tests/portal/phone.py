"""A guest's phone as captive windows are: no scripts, no cookies, only links and forms. Each page that it opens is held
to what every page of the portal promises."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask
from werkzeug.test import TestResponse

MOST_BYTES = 14 * 1024
PORTAL = "http://login.wifi"
ALONE = frozenset({"input", "meta", "link", "br", "hr", "img"})
LOADS = ("src", "srcset", "data", "poster", "background")


@dataclass
class Form:
    """A form as a browser would send it."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    text: str = ""


@dataclass
class Page:
    """What a parser finds on a page."""

    status: int = 0
    headers: Any = None
    html: str = ""
    attributes: dict[str, str] = field(default_factory=dict)  # of <html>
    text: str = ""
    style: str = ""
    links: dict[str, str] = field(default_factory=dict)
    forms: list[Form] = field(default_factory=list)
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    handlers: list[str] = field(default_factory=list)
    refresh: str = ""

    def form(self, action: str) -> Form:
        """The form that is sent there; it must be the only one."""
        found = [form for form in self.forms if form.action.partition("?")[0] == action]
        assert len(found) == 1, f"{len(found)} forms for {action}: {self.text}"
        return found[0]

    @property
    def actions(self) -> set[str]:
        """Where the page's forms lead."""
        return {form.action for form in self.forms}

    @property
    def code(self) -> str:
        """What stands in the field for the code."""
        return self.inputs["code"].get("value", "")

    def refresh_to(self) -> tuple[int, str]:
        """After how many seconds the page goes where by itself."""
        seconds, _, address = self.refresh.partition(";url=")
        return int(seconds), address


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__(convert_charrefs=True)
        self.page, self._open, self._link = page, [], ""  # type: ignore[var-annotated]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.page.tags.append(tag)
        self.page.handlers += [name for name in values if name.startswith("on") or name == "style"]
        self.page.loaded += [values[name] for name in LOADS if name in values]
        if tag not in ALONE:
            self._open.append(tag)
        if tag == "html":
            self.page.attributes = values
        elif tag == "meta" and values.get("http-equiv") == "refresh":
            self.page.refresh = values["content"]
        elif tag == "link":
            self.page.loaded.append(values["href"])
        elif tag == "a":
            self._link = values["href"]
        elif tag == "form":
            assert values["method"] == "post" or values["action"].startswith("http"), (
                "a code would stand in the address"
            )
            self.page.forms.append(Form(values["action"]))
        elif tag == "input":
            self.page.forms[-1].fields[values["name"]] = values.get("value", "")
            self.page.inputs[values["name"]] = values

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        opened = self._open.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "style":
            self.page.style += data
        elif inside != "title" and data.strip():
            self.page.text += " " + " ".join(data.split())
            if "form" in self._open:
                self.page.forms[-1].text += " " + " ".join(data.split())
            if inside == "a":
                self.page.links[data.strip()] = self._link


def read(answer: TestResponse) -> Page:
    """Read a page of the portal and hold it to its promises."""
    page = Page(answer.status_code, answer.headers, answer.text)
    _Reader(page).feed(answer.text)
    assert answer.mimetype == "text/html"
    assert len(answer.data) + len(str(answer.headers)) <= MOST_BYTES
    assert page.attributes["dir"] == ("rtl" if page.attributes["lang"] == "ar" else "ltr")
    assert page.handlers == [] and not {"script", "iframe", "img", "object", "embed"} & set(page.tags)
    assert page.loaded == ["data:,"], "nothing may be loaded from anywhere"
    assert "url(" not in page.style and "@import" not in page.style
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "script-src" not in policy and "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    return page


class Phone:
    """A guest's phone. `mac` and `router` are what the gateway's redirect tells of it."""

    def __init__(
        self, app: Flask, mac: str = "", *, router: str = "", language: str = "en", address: str = "10.77.0.9"
    ) -> None:
        self.client = app.test_client(use_cookies=False)
        self.language, self.address = language, address
        self.told = {name: value for name, value in {"router": router, "client_mac": mac}.items() if value}
        self.url = ""
        self.page = Page()

    def open(self, address: str = "/", **query: str) -> Page:
        """Open an address as the redirect leads there, with what it tells."""
        return self._show(self.ask("GET", address, query_string={**self.told, **query} if "?" not in address else None))

    def follow(self, link: str) -> Page:
        """Follow a link of the page."""
        return self.go(self.page.links[link])

    def go(self, address: str) -> Page:
        """Go to an address as it is."""
        return self._show(self.ask("GET", address))

    def send(self, action: str = "/api/voucher/redeem", **typed: str) -> Page:
        """Send a form of the page, with what was typed; go where that leads."""
        form = self.page.form(action)
        answer = self.ask("POST", form.action, data={**form.fields, **typed})
        if answer.status_code != 303:
            return self._show(answer, action)
        return self.go(answer.headers["Location"])

    def send_to(self, action: str, **typed: str) -> Page:
        """Send the page's form with a field for a code, by the button that leads there."""
        assert f'formaction="{action}"' in self.page.html, "there is no such button"
        form = next(form for form in self.page.forms if form.fields.keys() >= {"code"} and "move" not in form.fields)
        answer = self.ask("POST", action, data={**form.fields, **typed})
        return self.go(answer.headers["Location"]) if answer.status_code == 303 else self._show(answer, action)

    def type(self, code: str) -> Page:
        """Type a code where the page has a field for it, and send it."""
        form = next(form for form in self.page.forms if form.fields.keys() >= {"code"} and "move" not in form.fields)
        answer = self.ask("POST", form.action, data={**form.fields, "code": code})
        return self.go(answer.headers["Location"]) if answer.status_code == 303 else self._show(answer, form.action)

    def ask(self, method: str, address: str, **more: Any) -> TestResponse:
        """One request, as the phone's browser makes it."""
        headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": self.language}
        headers |= more.pop("headers", {})
        return self.client.open(
            address, method=method, base_url=PORTAL, headers=headers, environ_base={"REMOTE_ADDR": self.address}, **more
        )

    def _show(self, answer: TestResponse, url: str = "") -> Page:
        self.url = url or answer.request.full_path
        self.page = read(answer)
        return self.page


def query_of(address: str) -> dict[str, str]:
    """The query of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def in_script(code: str, zero: int) -> str:
    """A code in another script's digits: 0x660 is ٠, 0x6f0 is ۰."""
    return re.sub(r"\d", lambda digit: chr(zero + int(digit[0])), code)
