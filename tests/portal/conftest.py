"""The portal as a phone meets it: HTTP, forms and links, no script, no cookie."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from bawaba.app import create_app
from bawaba.core.runtime import Runtime
from tests.cast import PHONE

HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
FORM = re.compile(r'<form method="post" action="([^"]+)">(.*?)</form>', re.DOTALL)


class Phone:
    """A phone's browser with everything modern switched off."""

    def __init__(self, client: FlaskClient, mac: str = PHONE, language: str = "en") -> None:
        self.client, self.mac, self.language = client, mac, language
        self.answer: Any = None

    def get(self, path: str, **headers: str) -> str:
        """Open an address; what it says."""
        self.answer = self.client.get(
            path, headers={"Accept-Language": self.language, "Accept": "text/html", **headers}
        )
        return str(self.answer.text)

    def open_portal(self, path: str = "/", **query: str) -> str:
        """Come by the gateway's redirect."""
        return self.get(path + "?" + "&".join(f"{k}={v}" for k, v in ({"client_mac": self.mac} | query).items()))

    def submit(self, action: str, **fields: str) -> str:
        """Send the form with this action, as it stands on the page, and follow where it leads."""
        found = [body for where, body in FORM.findall(self.answer.text) if where == action]
        assert found, f"no form for {action} on {self.answer.text[-1500:]}"
        hidden = {name: html.unescape(value) for name, value in HIDDEN.findall(found[-1])}
        headers = {"Accept-Language": self.language, "Accept": "text/html"}
        self.answer = self.client.post(action, data=hidden | fields, headers=headers)
        while self.answer.status_code == 303:
            self.get(self.answer.location)
        return str(self.answer.text)

    def type_code(self, code: str) -> str:
        """Type a code and press the button."""
        return self.submit("/api/voucher/redeem", code=code)


@pytest.fixture
def client(rt: Runtime, cast: Any) -> FlaskClient:
    """HTTP without a network."""
    return create_app(rt).test_client()


@pytest.fixture
def phone(client: FlaskClient) -> Phone:
    """A guest's phone, in English."""
    return Phone(client)
