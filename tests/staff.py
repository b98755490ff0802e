"""The people of the tests: Hana the admin, Omar the operator, Vera the viewer; each speaks to the app over HTTP.

A test folder takes the fixtures with `from tests.staff import app, hana, omar, vera`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from bawaba.accounts import passwords, people
from bawaba.accounts.people import NewPerson
from bawaba.app import create_app
from bawaba.core.actor import SYSTEM
from bawaba.core.runtime import Runtime

PASSWORD = "quiet-lantern-7"
YEMEN = {"name": "Café", "time_zone": "Asia/Aden", "currency": "YER"}
THREE_HOURS = {"name": "3 hours", "duration_seconds": 10_800, "price_minor": 200}
numbers = itertools.count(1)
_hashed: list[str] = []


@dataclass
class Person:
    """Somebody with an access token. `address` is where their requests come from."""

    app: Flask
    username: str
    token: str = ""
    refresh_token: str = ""
    user_id: int = 0
    address: str = "192.0.2.10"
    headers: dict[str, str] = field(default_factory=dict)

    def sign_in(self, password: str = PASSWORD, **more: Any) -> TestResponse:
        """Take new tokens where the answer has some."""
        answer = self.app.test_client().post(
            "/api/auth/login",
            json={"username": self.username, "password": password, **more},
            environ_base={"REMOTE_ADDR": self.address},
        )
        if answer.status_code == 200:
            body: Any = answer.json
            self.token, self.refresh_token = body["access_token"], body["refresh_token"]
            self.user_id = body["user"]["id"]
        return answer

    def ask(self, method: str, path: str, json: Any = None, **headers: str) -> TestResponse:
        """One request with the token; header names with _ for -."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.app.test_client().open(
            path,
            method=method,
            json=json,
            headers={"Authorization": f"Bearer {self.token}", **said},
            environ_base={"REMOTE_ADDR": self.address},
        )

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.ask("GET", path, **headers)

    def post(self, path: str, json: Any = None, **headers: str) -> TestResponse:
        return self.ask("POST", path, {} if json is None else json, **headers)

    def patch(self, path: str, json: Any, **headers: str) -> TestResponse:
        return self.ask("PATCH", path, json, **headers)

    def delete(self, path: str, json: Any = None, **headers: str) -> TestResponse:
        return self.ask("DELETE", path, json, **headers)


def let_in(
    rt: Runtime, username: str, role: str, site_ids: list[int] | None = None, language: str | None = "en"
) -> int:
    """Make a person with `PASSWORD`; the hash is made once a run."""
    if not _hashed:
        _hashed.append(passwords.hash_password(PASSWORD))
    wanted = NewPerson(username, PASSWORD, role, language, site_ids)
    person = rt.transact(people._add, SYSTEM, username, _hashed[0], wanted, rt.clock.now(), None)
    return person.user.id


def signed_in(app: Flask, rt: Runtime, username: str, role: str, site_ids: list[int] | None = None) -> Person:
    """A person who has just signed in."""
    let_in(rt, username, role, site_ids)
    person = Person(app, username)
    assert person.sign_in().status_code == 200
    return person


@pytest.fixture
def app(rt: Runtime) -> Flask:
    """The whole web application on the test's database."""
    return create_app(rt)


@pytest.fixture
def hana(app: Flask, rt: Runtime) -> Person:
    """The admin."""
    return signed_in(app, rt, "hana", "admin")


@pytest.fixture
def omar(app: Flask, rt: Runtime, hana: Person) -> Person:
    """An operator."""
    return signed_in(app, rt, "omar", "operator")


@pytest.fixture
def vera(app: Flask, rt: Runtime, hana: Person) -> Person:
    """A viewer."""
    return signed_in(app, rt, "vera", "viewer")


def error_of(answer: TestResponse) -> str:
    """The code of a refusal."""
    body: Any = answer.json
    return str(body["error"])


def faults_of(answer: TestResponse) -> dict[str, list[str]]:
    """The faults by field of a 422."""
    assert answer.status_code == 422, answer.json
    body: Any = answer.json
    fields: dict[str, list[str]] = body["details"]["fields"]
    return fields
