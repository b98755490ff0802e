"""A browser without scripts: it signs in, follows forms, and reads pages."""

from __future__ import annotations

import html
import re
from typing import Any

import jinja2
from flask import Flask
from werkzeug.test import TestResponse

from tests.staff import PASSWORD

TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
TAG = re.compile(r"<[^>]+>")


class Browser:
    """A signed-in person's browser."""

    def __init__(self, app: Flask, username: str, password: str = PASSWORD) -> None:
        app.jinja_env.undefined = jinja2.StrictUndefined  # a template that names what is not there fails the test
        self._client = app.test_client()
        answer = self._client.post("/login", data={"username": username, "password": password})
        assert answer.status_code == 303, answer.text
        self._token = ""

    def open(self, path: str, headers: dict[str, str] | None = None) -> TestResponse:
        """Whatever is at an address: a page, a picture, a file."""
        return self._client.get(path, headers={"Accept": "text/html", **(headers or {})})

    def get(self, path: str, **headers: str) -> TestResponse:
        """A page."""
        answer = self._client.get(path, headers={"Accept": "text/html", **headers})
        if found := TOKEN.search(answer.text):
            self._token = found[1]
        return answer

    def read(self, path: str) -> str:
        """What a person reads on a page that must be there."""
        answer = self.get(path)
        assert answer.status_code == 200, (path, answer.status_code, words(answer.text)[-400:])
        return words(answer.text)

    def post(self, path: str, data: dict[str, Any] | None = None, token: str | None = None) -> TestResponse:
        """Send a form with the token of the last page read."""
        if not self._token:
            self.get("/account")
        sent = {"csrf_token": self._token if token is None else token, **(data or {})}
        return self._client.post(path, data=sent, headers={"Accept": "text/html"})

    def submit(self, path: str, data: dict[str, Any] | None = None) -> str:
        """Send a form that must be taken; gives where it leads."""
        answer = self.post(path, data)
        assert answer.status_code == 303, (path, answer.status_code, words(answer.text)[-600:])
        return str(answer.headers["Location"])

    def fields(self, path: str) -> dict[str, str]:
        """What a form is filled in with, as a browser would send it unchanged."""
        return form_fields(self.get(path).text)


def words(page: str) -> str:
    """The text of a page, without its marks."""
    return " ".join(html.unescape(TAG.sub(" ", page)).split())


def form_fields(page: str) -> dict[str, str]:
    """The named inputs of the page's form inside `main`, as they would be sent."""
    main = page[page.index("<main") :]
    sent: dict[str, str] = {}
    for tag in re.findall(r"<input\b[^>]*>", main):
        name, value, kind = (_attribute(tag, wanted) for wanted in ("name", "value", "type"))
        chosen = kind not in {"radio", "checkbox"} or re.search(r"\bchecked\b", tag)
        if name and name != "csrf_token" and chosen:
            sent[name] = value
    for name, options in re.findall(r'<select\b[^>]*\bname="([^"]+)"[^>]*>(.*?)</select>', main, re.S):
        values = re.findall(r'<option value="([^"]*)"([^>]*)>', options)
        sent[name] = next((value for value, more in values if "selected" in more), values[0][0] if values else "")
    for name, text in re.findall(r'<textarea\b[^>]*\bname="([^"]+)"[^>]*>(.*?)</textarea>', main, re.S):
        sent[name] = html.unescape(text)
    return sent


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', tag)
    return html.unescape(found[1]) if found else ""
