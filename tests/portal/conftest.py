"""The cast for the portal: the application, a phone without scripts, and routers that can be told to fail."""

from __future__ import annotations

from collections.abc import Callable

import jinja2
import pytest
from flask import Flask
from flask.testing import FlaskClient

from bawaba.app import create_app
from bawaba.core.clock import ManualClock
from bawaba.core.runtime import Runtime
from bawaba.routers.models import Router
from tests.cast import PHONE, Cast
from tests.portal.phone import Phone


@pytest.fixture
def app(rt: Runtime, cast: Cast) -> Flask:
    """The web application; a template that names what is not there fails the test."""
    made = create_app(rt)
    made.jinja_env.undefined = jinja2.StrictUndefined
    return made


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """HTTP without a network."""
    return app.test_client()


@pytest.fixture
def phone(app: Flask) -> Phone:
    """A guest's phone, in English."""
    return Phone(app, PHONE)


@pytest.fixture
def deliver(rt: Runtime, clock: ManualClock) -> Callable[[Router], None]:
    """Let the outbox deliver what a router missed."""

    def now(router: Router) -> None:
        clock.advance(10)
        routers = rt.parts["routers"]
        routers.loop.submit(routers._deliver_due(router.id)).result(10)

    return now
